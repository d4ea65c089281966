"""Screens: tables as values, and how they are printed, on a terminal and in a file."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_OF_FILES = 200


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; numbers stand at the right."""

    name: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as a value; its cells are plain text or styled. `empty` is said when it has no rows."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Text]]
    empty: str = "nothing"

    def rendered(self) -> Table:
        """The table for a Rich console."""
        table = Table(title=self.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for column in self.columns:
            table.add_column(column.name, justify="right" if column.number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
        if not self.rows:
            table.add_row(Text(self.empty, style="dim"))
        return table


def stdout() -> Console:
    """The console of results; lines are not cut where nobody sees a screen's edge."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_OF_FILES)


def columns(*names: str) -> tuple[Column, ...]:
    """Columns by name; `#` before a name stands for numbers."""
    return tuple(Column(name.removeprefix("#"), name.startswith("#")) for name in names)


def health_text(word: str) -> Text:
    """A health status in its colour."""
    colour = {"healthy": "green", "degraded": "yellow", "starting": "yellow", "stopping": "yellow"}
    return Text(word, style=colour.get(word, "red"))


def printable(text: str) -> str:
    """What somebody else wrote, without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
