"""Standing: how it looks where a rollout is on its way. No I/O."""

from rich.text import Text

_COLOURS = {
    "advanced": "green",
    "promoted": "green",
    "held": "yellow",
    "ramping": "yellow",
    "rolled_back": "red",
}


def style_of(word: str) -> str:
    """The colour of a phase, or of a decision's verdict; none for others."""
    return _COLOURS.get(word, "")


def phase_text(phase: str, percent: int) -> Text:
    """The phase and the share, in its colour."""
    return Text(f"{phase.replace('_', ' ')} at {percent} %", style=style_of(phase))
