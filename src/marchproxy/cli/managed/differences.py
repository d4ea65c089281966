"""Differences: changes of the desired state as coloured text. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from marchproxy.contract.document import as_yaml
from marchproxy.kit.words import plural
from marchproxy.model.changes import Line, compare_lines

#: Items whose lines are shown; of those that follow only the names.
MOST_SHOWN = 100
_SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
_LINES = {"same": (" ", "dim"), "gone": ("-", "red"), "new": ("+", "green")}
_NOTHING: Mapping[str, Any] = {}


def differences(changes: Sequence[Mapping[str, Any]]) -> Text:
    """Every change, as the API tells it, with the lines of its YAML that differ; how many there are comes last."""
    lines = [
        line for number, change in enumerate(changes) for line in _change(change, brief=number >= MOST_SHOWN)
    ]
    return Text("\n").join([*lines, Text(counted(changes), style="bold")])


def counted(changes: Sequence[Mapping[str, Any]]) -> str:
    """How many changes of each kind."""
    kinds = Counter(change["kind"] for change in changes)
    return ", ".join(f"{kinds[kind]} {kind}" for kind in _SIGNS if kinds[kind]) or "no differences"


def summarised(summary: Mapping[str, int]) -> str:
    """A revision's summary, for a table."""
    return " ".join(f"{sign}{summary[kind]}" for kind, (sign, _) in _SIGNS.items() if summary[kind]) or "-"


def in_words(outcome: Mapping[str, Any]) -> str:
    """How much an outcome would change, and from which revision to which."""
    head = outcome["revision"]
    return f"revision {head['parent']} → {head['number']}: {plural(len(outcome['changes']), 'item')}"


def _change(change: Mapping[str, Any], *, brief: bool) -> Iterator[Text]:
    sign, colour = _SIGNS[change["kind"]]
    head = Text(f"{sign} {change['section']}/{change['key']}", style=f"bold {colour}")
    if change["fields"]:
        head.append(f"  ({', '.join(change['fields'])})", style="dim")
    yield head
    if brief:
        return
    before, after = (_yaml(change[side]) for side in ("before", "after"))
    if before == after:  # what differs is hidden
        yield Text("      a secret in it", style="dim")
    for line in compare_lines(before, after):
        yield _line(line)


def _yaml(item: Mapping[str, Any] | None) -> list[str]:
    return as_yaml(item).splitlines() if item else []


def _line(line: Line) -> Text:
    sign, style = _LINES[line.kind]
    return Text(f"    {sign} {line.text}", style=style)
