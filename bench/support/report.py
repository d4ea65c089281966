"""The report: tables for people, and one JSON object as the last line for programs."""

import json
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Report:
    """A table ready to be printed, and the numbers by key."""

    name: str
    table: Table
    ratios: dict[str, float]
    figures: dict[str, float]
    notes: tuple[str, ...] = field(default=())


def show(report: Report) -> None:
    """Print the table, the notes, and as the last line the JSON object."""
    console = Console(width=_WIDTH, highlight=False)
    console.print(report.table)
    for note in report.notes:
        console.print(note)
    numbers = {
        "name": report.name,
        "ratios": {key: round(value, 3) for key, value in report.ratios.items()},
        "figures": {key: round(value, 3) for key, value in report.figures.items()},
    }
    print(json.dumps(numbers))
