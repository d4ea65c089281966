"""Tables: numbers stand to the right, and on a phone each row is a card. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from marchproxy.manager.ui.components.markup import Child, tag


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `kind`: "" for words, "wide" for many of them, "number", or "act" for what can be done with the row."""

    label: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row by its key, which is what a button in it is told to belong to."""

    key: str
    cells: Sequence[Child]


def table(columns: Sequence[Column], rows: Iterable[Row], *, label: str) -> Markup:
    """The table; `label` is its name for who cannot see it."""
    head = [
        tag("th", tag("span", "Actions", class_="unseen") if column.kind == "act" else column.label,
            scope="col", class_=column.kind or None)
        for column in columns
    ]  # fmt: skip
    body = [tag("tr", _cells(columns, row.cells), id=f"row-{row.key}") for row in rows]
    shown = tag(
        "table", tag("thead", tag("tr", head)), tag("tbody", body), class_="table cards", aria_label=label
    )
    return tag("div", shown, class_="table-wrap")


def _cells(columns: Sequence[Column], cells: Sequence[Child]) -> list[Markup]:
    return [
        tag("td", cell, data_label=column.label, class_=column.kind or None)
        for column, cell in zip(columns, cells, strict=True)
    ]


def pager(first: int, shown: int, total: int, *, address: str) -> Markup | None:
    """Where one is in a long list; None where it fits. `address` ends where the number of the first row goes."""
    if first == 0 and shown >= total:
        return None
    size = 50
    before = _step("Previous", f"{address}{max(first - size, 0)}" if first else None)
    after = _step("Next", f"{address}{first + size}" if first + shown < total else None)
    where = f"{first + 1:,}–{first + shown:,} of {total:,}" if shown else f"nothing here; {total:,} in all"
    return tag(
        "nav", tag("span", where), tag("div", before, after, class_="end"), class_="pager", aria_label="Pages"
    )


def _step(word: str, address: str | None) -> Markup:
    if address is None:
        return tag("span", word, class_="button slim", aria_disabled="true")
    return tag("a", word, href=address, class_="button slim")
