"""Shelves: the items of the revision in force as they are shown, each serialised once for as long as it stays the same."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from marchproxy.manager.api.etags import etag_of, quoted
from marchproxy.manager.revising import Current
from marchproxy.model.changes import SECTIONS, Item, redact_item

#: A hash that only the managers can work out.
Fingerprint: TypeAlias = Callable[[bytes], str]
_MOST_PAGES = 4  # of one section; a page may be all of it


@dataclass(frozen=True, slots=True)
class Shown:
    """An item without its secrets, its JSON, and the tag of the item, secrets and all.

    Who goes on from an item of which a secret alone has changed must be told so; so the tag is of the secret, too, and keyed:
    nobody can try out with it what the secret may be.
    """

    key: str
    item: Item
    body: bytes
    etag: str


class Shelf:
    """The items of one section, in the document's order."""

    def __init__(
        self, section: str, items: Sequence[Item], before: "Shelf | None", fingerprint: Fingerprint
    ) -> None:
        self.section = section
        self._fingerprint = fingerprint
        self._items = items
        self._places = {str(item[SECTIONS[section]]): place for place, item in enumerate(items)}
        known = before.by_identity() if before is not None else {}
        self._shown = [known.get(id(item)) for item in items]
        self._all: tuple[Shown, ...] | None = None
        self._pages: dict[Hashable, bytes] = {}

    def find(self, key: str) -> Shown | None:
        """The item of that key."""
        place = self._places.get(key)
        return None if place is None else self._at(place)

    def raw(self, key: str) -> Item | None:
        """The item with its secrets, for those who put in force."""
        place = self._places.get(key)
        return None if place is None else self._items[place]

    def all(self) -> tuple[Shown, ...]:
        """Every item."""
        if self._all is None:
            self._all = tuple(self._at(place) for place in range(len(self._items)))
        return self._all

    def page(self, name: Hashable, write: Callable[[], bytes]) -> bytes:
        """A page that `write` makes of this shelf, under a name that says which; the last few are kept."""
        page = self._pages.get(name)
        if page is None:
            while len(self._pages) >= _MOST_PAGES:
                del self._pages[next(iter(self._pages))]
            page = self._pages[name] = write()
        return page

    def by_identity(self) -> Mapping[int, Shown]:
        """What was serialised, by the identity of its item, which stays the item's own as long as this shelf has it."""
        return {id(item): shown for item, shown in zip(self._items, self._shown, strict=True) if shown}

    def _at(self, place: int) -> Shown:
        shown = self._shown[place]
        if shown is None:
            raw = self._items[place]
            item = redact_item(self.section, raw)
            body = _sorted(item)
            tag = etag_of(body) if item is raw else quoted(self._fingerprint(_sorted(raw)))
            shown = self._shown[place] = Shown(str(item[SECTIONS[self.section]]), item, body, tag)
        return shown


class Shelves:
    """The shelves of the revision that was asked for last. An item that a new revision has not changed is kept as it is."""

    def __init__(self, fingerprint: Fingerprint) -> None:
        self._fingerprint = fingerprint
        self._shelves: dict[str, tuple[Sequence[Item], Shelf]] = {}

    def shelf(self, current: Current, section: str) -> Shelf:
        """The items of a section of this revision."""
        items = current.document.get(section, ())
        of, shelf = self._shelves.get(section, (None, None))
        if shelf is None or of is not items:
            shelf = Shelf(section, items, shelf, self._fingerprint)
            self._shelves[section] = (items, shelf)
        return shelf

    def document(self, current: Current) -> dict[str, list[Item]]:
        """The whole document without its secrets; of each item the field first that tells it from the others."""
        return {
            section: [{key: shown.item[key], **shown.item} for shown in self.shelf(current, section).all()]
            for section, key in SECTIONS.items()
            if current.document.get(section)
        }

    def whole(self, current: Current) -> bytes:
        """The whole document without its secrets, as JSON."""
        sections = [
            b'"%b":[%b]'
            % (section.encode(), b",".join(one.body for one in self.shelf(current, section).all()))
            for section in SECTIONS
            if current.document.get(section)
        ]
        return b"{%b}" % b",".join(sections)


def _sorted(item: Item) -> bytes:
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
