"""StatusBadge: a state as colour, shape and word at once, so that none of them is needed to tell. Pure."""

from enum import Enum

from markupsafe import Markup

from marchproxy.manager.ui.components.icons import shape
from marchproxy.manager.ui.components.markup import tag


class Tone(Enum):
    """How good a state is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    BUSY = "busy"
    NONE = "none"


#: The words that parts, checks, rollouts and entries of the record use for their states.
_TONES = {
    **dict.fromkeys(
        ("healthy", "serving", "promoted", "advanced", "done", "in force", "current", "info"), Tone.OK
    ),
    **dict.fromkeys(("degraded", "behind", "held", "warning", "denied", "away", "expired"), Tone.WARN),
    **dict.fromkeys(("unhealthy", "error", "refused", "rolled back", "rolled_back", "failed"), Tone.BAD),
    **dict.fromkeys(("draining", "ramping", "starting", "applying", "pending"), Tone.BUSY),
}


def tone_of(word: str) -> Tone:
    """The tone of a state by its word; one that is not known has none."""
    return _TONES.get(word.lower(), Tone.NONE)


def badge(word: str, tone: Tone | None = None, *, title: str | None = None) -> Markup:
    """The word with its shape and colour."""
    shown = tone or tone_of(word)
    return tag("span", shape(shown.value), word.replace("_", " "), class_=f"badge {shown.value}", title=title)
