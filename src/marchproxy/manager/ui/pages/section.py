"""A section of the desired state: its items as a list, fifty at a time, and one of them with its editor."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.ui.components.controls import Button, Field, go, heading
from marchproxy.manager.ui.components.markup import Child, address, tag
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.components.table import Column, Row, pager, table
from marchproxy.manager.ui.editing import Editor
from marchproxy.manager.ui.editing.hints import HINTS
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.shell import page_head
from marchproxy.manager.watching import LiveView
from marchproxy.model.changes import SECTIONS, Item, items_by_key
from marchproxy.model.identity import Role

PAGE = 50
_HINT = "docs/configuration.md describes every key."


async def _nothing(frame: Frame, key: str) -> None:
    """No more than the editor."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A section as pages show it. `cells` are those behind the name; `beside` builds what an item has beside its editor."""

    section: str
    title: str
    one: str
    lead: str
    address: str
    columns: Sequence[Column]
    cells: Callable[[LiveView, Item], Sequence[Child]]
    beside: Callable[[Frame, str], Awaitable[None]] = _nothing

    def key(self, item: Item) -> str:
        """The name of an item."""
        return str(item[SECTIONS[self.section]])


async def build_list(frame: Frame, listing: Listing) -> None:
    """The page with all of them."""
    actions = page_head(listing.title, lead=listing.lead)
    with actions:
        lacking = frame.visit.lacks(Role.OPERATOR)
        Button(f"New {listing.one}", lambda: go(f"{listing.address}/new"), kind="primary", lacking=lacking)
    words = {"q": frame.query.get("q", "")}
    first = frame.number("first")

    def seek(text: str) -> None:
        words["q"] = text
        frame.redraw()

    with Element("section").classes("panel"):
        with Element("div").classes("filters"):
            field = Field(f"Find a {listing.one}", words["q"], kind="search", changed=seek)
            field.element.props.update({"data-seek": "", "placeholder": "Any of its words"})
        frame.live(
            lambda view: _items(
                frame, listing, view, words["q"], 0 if words["q"] != frame.query.get("q", "") else first
            )
        )


def _items(frame: Frame, listing: Listing, view: LiveView, words: str, first: int) -> Markup:
    items = frame.desk.revisions.current.document.get(listing.section) or ()
    found = [item for item in items if matches(item, words)] if words else items
    if not items:
        text = f"A {listing.one} is part of the desired state. Make one here, or put a file in force with `marchproxy apply`."
        return empty(f"No {listing.one} yet", text, picture=_PICTURES.get(listing.section, "settings"))
    if not found:
        return empty("Nothing has these words", f"No {listing.one} has “{words}” in it.", picture="search")
    shown = found[first : first + PAGE]
    rows = [Row(listing.key(item), (_name(listing, item), *listing.cells(view, item))) for item in shown]
    pages = pager(first, len(shown), len(found), address=f"{listing.address}?q={quote(words)}&first=")
    return tag(
        "div", table((Column(listing.one.capitalize()), *listing.columns), rows, label=listing.title), pages
    )


def matches(item: Item, words: str) -> bool:
    """Whether an item has all these words in it, large or small."""
    text = str(item).lower()
    return all(word in text for word in words.lower().split())


def _name(listing: Listing, item: Item) -> Markup:
    key = listing.key(item)
    return tag("a", key, href=listing.address + address(key), class_="name")


async def build_item(frame: Frame, listing: Listing) -> None:
    """The page of one of them; of a new one where it is called so."""
    key = None if frame.path.get("key") in {None, "new"} else frame.path["key"]
    crumb = tag("a", listing.title, href=listing.address)
    page_head(key or f"New {listing.one}", crumb=crumb)
    items = items_by_key(frame.desk.revisions.current.document, listing.section)
    if key is not None and key not in items:
        text = f"The revision in force has no {listing.one} of this name. It may have been renamed or deleted; earlier revisions have it."
        back = tag("a", f"All {listing.title.lower()}", href=listing.address, class_="button")
        ui.html(
            empty(f"No {listing.one} “{key}”", text, picture="search", action=back), sanitize=False
        ).classes("panel")
        return
    with Element("div").classes("two-thirds"):
        with Element("section").classes("panel"), Element("div").classes("inside stack"):
            Editor(frame, listing.section, key, back=listing.address)
        with Element("div").classes("stack"):
            if key is not None:
                await listing.beside(frame, key)
            _hints(listing.section)


def _hints(section: str) -> None:
    hints = HINTS.get(section, ())
    with Element("section").classes("panel"):
        with Element("header"):
            heading("What can be written")
        words = [(tag("dt", tag("code", name)), tag("dd", text, class_="small")) for name, text in hints]
        ui.html(
            tag(
                "div",
                tag("dl", words, class_="hints"),
                tag("p", _HINT, class_="quiet small"),
                class_="inside stack",
            ),
            sanitize=False,
        )


_PICTURES = {
    "routes": "routes",
    "pools": "pools",
    "listeners": "listeners",
    "rate_limits": "limits",
    "scaling": "scaling",
}
