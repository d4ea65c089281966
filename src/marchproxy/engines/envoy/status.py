"""What a supervisor knows of its Envoy at one moment."""

from dataclasses import dataclass
from datetime import datetime

from marchproxy.engines.envoy.restart import EnvoyState, LastExit, RestartPolicy, Supervision


@dataclass(frozen=True, slots=True)
class EnvoyStatus:
    """A supervised Envoy at one moment. `since` is when `state` was entered; `restarts` counts from our start.

    `epoch` counts hot restarts since the last cold start, `hand_overs` those since our start; `retired_pid` is the Envoy
    before this one, as long as it finishes what is open. `trouble`: what is wrong, with a remedy; empty when nothing is.
    """

    pid: int | None
    state: EnvoyState
    restarts: int
    adopted: bool
    since: datetime
    last_exit: LastExit | None
    epoch: int = 0
    hand_overs: int = 0
    retired_pid: int | None = None
    crash_loop: bool = False
    trouble: str = ""


def crash_loop_words(known: Supervision, policy: RestartPolicy, last_words: str, log: str) -> str:
    """Return what is said of an Envoy that dies again and again."""
    return (
        f"crash loop: {known.quick_deaths} times in a row Envoy died within {policy.settle_seconds:g} s of its start,"
        f" last by {known.last_exit}: {last_words or 'it said nothing'}; see {log}"
    )
