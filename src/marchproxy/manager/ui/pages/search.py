"""Search: everything that has the words in it, by kind."""

from collections.abc import Iterator
from itertools import islice
from urllib.parse import quote

from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.ui.components.controls import heading
from marchproxy.manager.ui.components.markup import address, tag
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.frame import Frame
from marchproxy.manager.ui.pages import limits, listeners, pools, routes, scaling
from marchproxy.manager.ui.pages.section import Listing, matches
from marchproxy.manager.ui.shell import page_head

#: Of each kind.
_MOST = 12
_LISTINGS = (listeners.LISTING, routes.LISTING, pools.LISTING, limits.LISTING, scaling.LISTING)


async def build(frame: Frame) -> None:
    """The page."""
    words = frame.query.get("q", "").strip()
    page_head(f"Search: {words}" if words else "Search")
    found = (
        [(title, href, entries) for title, href, entries in _found(frame, words) if entries] if words else []
    )
    with Element("div").classes("stack"):
        if not found:
            text = "Routes, pools, listeners, limits and instances are looked through, by every word that they have."
            ui.html(
                empty(
                    "Nothing has these words" if words else "What do you look for?", text, picture="search"
                ),
                sanitize=False,
            ).classes("panel")
        for title, href, entries in found:
            with Element("section").classes("panel"):
                with Element("header"):
                    heading(title)
                    ui.html(tag("a", "In the list", href=href, class_="small"), sanitize=False).classes("end")
                lines = [tag("li", tag("span"), tag("a", name, href=address)) for name, address in entries]
                ui.html(tag("ul", lines, class_="trail"), sanitize=False)


def _found(frame: Frame, words: str) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    for listing in _LISTINGS:
        yield (
            listing.title,
            f"{listing.address}?q={quote(words)}",
            list(islice(_items(frame, listing, words), _MOST)),
        )
    every = words.lower().split()
    parts = [
        part.id
        for part in frame.desk.live.view.parts
        if all(word in f"{part.id} {part.address}".lower() for word in every)
    ]
    yield (
        "Instances",
        f"/modules?q={quote(words)}",
        [(name, address("modules", name)) for name in parts[:_MOST]],
    )


def _items(frame: Frame, listing: Listing, words: str) -> Iterator[tuple[str, str]]:
    for item in frame.desk.revisions.current.document.get(listing.section) or ():
        if matches(item, words):
            key = listing.key(item)
            yield key, listing.address + address(key)
