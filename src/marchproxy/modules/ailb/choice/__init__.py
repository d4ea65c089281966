"""Choice: which pool and which endpoint a request is sent to. Pure.

`chooser` joins the rest: `targets` puts the pools of a model in order, `members` are the endpoints of a pool, each a `member`,
`order` scores them, `prefix` knows who has seen the beginning of a prompt, `cooldown` who is left alone, `latency` who is fast.
"""

from marchproxy.modules.ailb.choice.chooser import (
    FULL,
    NOBODY,
    Chooser,
    Chosen,
    NotNow,
    Outcome,
    Places,
    Wanted,
)
from marchproxy.modules.ailb.choice.prefix import Prompt
from marchproxy.modules.ailb.choice.standing import Attempts, Standing
from marchproxy.modules.ailb.choice.targets import Attempt

__all__ = [
    "FULL",
    "NOBODY",
    "Attempt",
    "Attempts",
    "Chooser",
    "Chosen",
    "NotNow",
    "Outcome",
    "Places",
    "Prompt",
    "Standing",
    "Wanted",
]
