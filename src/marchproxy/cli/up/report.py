"""Status lines: time, part, what happened. Coloured on a terminal, plain in a file."""

from datetime import datetime
from enum import Enum

from rich.console import Console, RenderableType
from rich.text import Text


class Tone(Enum):
    """How a line is meant; the value is its colour."""

    CALM = "cyan"
    GOOD = "green"
    WARNING = "yellow"
    BAD = "bold red"


class Report:
    """Where status lines go. `width` is that of the longest name of a part."""

    def __init__(self, console: Console, width: int) -> None:
        self._console = console
        self._width = width

    def say(self, part: str, event: str, detail: str = "", tone: Tone = Tone.CALM) -> None:
        """Print one status line; a detail of several lines is indented below it."""
        first, *others = detail.splitlines() or [""]
        # local time: people compare it with their own clock
        line = Text(f"{datetime.now().astimezone():%H:%M:%S}  ", style="dim")
        line.append(f"{part:<{self._width}}  ", style="bold")
        line.append(f"{event:<9}", style=tone.value)
        line.append(f" {first}")
        self._console.print(line, soft_wrap=True)
        for other in others:
            self._console.print(Text(" " * (self._width + 12) + other), soft_wrap=True)

    def show(self, what: RenderableType) -> None:
        """Print something larger."""
        self._console.print(what)
