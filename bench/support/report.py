"""The report: tables for people, and one JSON object as the last line for programs."""

import json
import os
from dataclasses import dataclass, field

from rich.console import Console, RenderableType

_WIDTH = 110
_QUIET = 0.5  # load per core before this benchmark began to count


@dataclass(frozen=True, slots=True)
class Report:
    """What is ready to be printed, and the numbers by key."""

    name: str
    table: RenderableType
    ratios: dict[str, float]
    figures: dict[str, float]
    notes: tuple[str, ...] = field(default=())


def load_note() -> tuple[str, ...]:
    """A warning for the report when the machine had other work; call it at the end of the measurement."""
    quarter_hour, cores = os.getloadavg()[2], os.cpu_count() or 1
    if quarter_hour <= _QUIET * cores:
        return ()
    return (
        f"The machine was busy (load {quarter_hour:.1f} on {cores} cores): trust ratios, not absolute figures.",
    )


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
