"""Frame: the screen of `marchproxy top` as text, at any width. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from marchproxy.cli.managed.top import sheets
from marchproxy.cli.screen import Sheet, health_text
from marchproxy.kit.words import count, milliseconds, percent, size

_GAP = 2
_NARROWEST = 6
_HELP = "q quit   ←→ page   ↑↓ scroll"


class Page(Enum):
    """What is shown; the value is its name on the screen."""

    ALL = "all"
    INSTANCES = "instances"
    LISTENERS = "listeners"
    ROUTES = "routes"
    POOLS = "pools"
    CANARIES = "canaries"
    SCALING = "scaling"

    def beside(self, steps: int) -> "Page":
        """The page so many further; after the last comes the first."""
        pages = list(Page)
        return pages[(pages.index(self) + steps) % len(pages)]


_SHEETS: Mapping[Page, Callable[[Mapping[str, Any]], Sheet]] = {
    Page.LISTENERS: sheets.listeners,
    Page.INSTANCES: sheets.instances,
    Page.POOLS: sheets.pools,
    Page.ROUTES: sheets.routes,
    Page.CANARIES: sheets.rollouts,
    Page.SCALING: sheets.scaling,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to draw. `failure`: why the manager does not answer at present; empty: it does."""

    view: Mapping[str, Any]
    url: str
    page: Page = Page.ALL
    first: int = 0
    """The first line of the page that is seen."""
    failure: str = ""


def lines(scene: Scene, width: int) -> list[Text]:
    """The whole page under its head, without an end."""
    return [*_head(scene, width), Text(), *_body(scene, width)]


def screen(scene: Scene, width: int, height: int) -> list[Text]:
    """What fits: the head, the names of the pages, the lines from `first` on, and the keys."""
    head, body = _head(scene, width), _body(scene, width)
    room = max(1, height - len(head) - 2)
    first = min(scene.first, last_first(len(body), room))
    seen = body[first : first + room]
    seen += [Text()] * (room - len(seen))
    return [*head, _pages(scene.page, width), *seen, _keys(first, len(body), room, width)]


def rows_of(scene: Scene, width: int, height: int) -> tuple[int, int]:
    """How many lines the page has, and how many of them are seen at once."""
    return len(_body(scene, width)), max(1, height - len(_head(scene, width)) - 2)


def last_first(length: int, room: int) -> int:
    """The furthest that one can scroll."""
    return max(0, length - room)


def _head(scene: Scene, width: int) -> list[Text]:
    view, total = scene.view, scene.view["total"]
    head = view["head"]
    title = Text("MarchProxy", style="bold").append(f"  {scene.url}", "dim")
    if head is not None:
        title.append(f"  revision {head['number']} by {head['author']['name']}")
    share = min(1.0, total["errors"] / total["requests"]) if total["requests"] > 0 else 0.0
    rates = Text.assemble(
        (f"{count(total['requests'])} req/s", "bold"),
        "  ",
        (f"{percent(share)} errors", "red" if share else ""),
        f"  p99 {milliseconds(total['p99_ms'])}  {view['connections']} open",
        f"  in {size(total['received'])}/s  out {size(total['sent'])}/s",
    )
    found = [title, rates, _nlbs(view)]
    if scene.failure:
        found.append(Text(scene.failure, style="bold red"))
    elif view["at"] is None or view["age"] > 7:
        age = (
            "no NLB has answered yet"
            if view["at"] is None
            else f"no NLB has answered for {view['age']:.0f} s"
        )
        found.append(Text(f"{age}: what is shown is old", style="bold red"))
    return [_cut(line, width) for line in found]


def _nlbs(view: Mapping[str, Any]) -> Text:
    line = Text()
    for nlb in view["nlbs"]:
        state = Text("silent", style="red") if nlb["failure"] else health_text(nlb["health"] or "unknown")
        line.append(f"{nlb['id'] or nlb['address']} ").append_text(state)
        line.append("" if nlb["is_current"] or nlb["failure"] else ", behind", "yellow").append("   ")
    behind = sum(not part["is_current"] for part in view["parts"])
    if behind:
        line.append(f"{behind} of {len(view['parts'])} instances run another revision", "yellow")
    return line


def _pages(page: Page, width: int) -> Text:
    line = Text()
    for one in Page:
        line.append(f" {one.value} ", "reverse" if one is page else "dim")
    return _cut(line, width)


def _keys(first: int, length: int, room: int, width: int) -> Text:
    where = f"   {first + 1}-{min(first + room, length)} of {length}" if length > room else ""
    return _cut(Text(_HELP + where, style="dim"), width)


def _body(scene: Scene, width: int) -> list[Text]:
    if scene.page is not Page.ALL:
        return table(_SHEETS[scene.page](scene.view), width)
    found = [table(make(scene.view), width) for make in _SHEETS.values()]
    return [line for one in found for line in [*one, Text()]][:-1]


def table(sheet: Sheet, width: int) -> list[Text]:
    """A sheet in lines of at most that width: what is too long is cut, words before numbers."""
    rows = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in sheet.rows]
    widths = _widths(sheet, rows, width)
    names = [Text(column.name, style="dim") for column in sheet.columns]
    title = Text(sheet.title, style="bold")
    if not rows:
        return [title, _cut(Text(sheet.empty, style="dim"), width)]
    return [title, *(_row(sheet, cells, widths, width) for cells in (names, *rows))]


def _widths(sheet: Sheet, rows: Sequence[Sequence[Text]], width: int) -> list[int]:
    widths = [
        max(cell_len(column.name), *(cell_len(row[index].plain) for row in rows), 0)
        for index, column in enumerate(sheet.columns)
    ]
    words = [index for index, column in enumerate(sheet.columns) if not column.number]
    while sum(widths) + _GAP * (len(widths) - 1) > width:
        widest = max(words, key=lambda index: widths[index])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _row(sheet: Sheet, cells: Sequence[Text], widths: Sequence[int], width: int) -> Text:
    line = Text()
    for index, (column, cell) in enumerate(zip(sheet.columns, cells, strict=True)):
        shown = _cut(cell, widths[index])
        space = " " * (widths[index] - cell_len(shown.plain))
        line.append(" " * _GAP if index else "")
        line.append_text(Text(space) + shown if column.number else shown + Text(space))
    line.rstrip()
    return _cut(line, width)


def _cut(text: Text, width: int) -> Text:
    if cell_len(text.plain) <= width:
        return text
    kept = text.copy()
    kept.plain = f"{set_cell_size(text.plain, max(0, width - 1)).rstrip()}…"
    return kept
