"""Room: one section of the revision in force, as one request finds it."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request

from marchproxy.manager.access.http import desk_of
from marchproxy.manager.api.asking import read_item
from marchproxy.manager.api.etags import names
from marchproxy.manager.api.kinds import Kind
from marchproxy.manager.api.problems import not_found, precondition_failed
from marchproxy.manager.api.shelves import Shelf, Shelves, Shown
from marchproxy.manager.revising import Revisions
from marchproxy.model.changes import Item
from marchproxy.model.problem import InvalidValue, Problem


@dataclass(frozen=True, slots=True)
class Room:
    """A section, and who changes it."""

    kind: Kind
    shelf: Shelf
    revision: int
    revisions: Revisions

    def found(self, key: str) -> Shown:
        """The item; 404."""
        shown = self.shelf.find(key)
        if shown is None:
            raise not_found(f'there is no "{key}" in {self.kind.path}')
        return shown

    def base(self, key: str, *, if_match: str, if_none_match: str = "") -> Item | None:
        """What the caller has seen, as he says; None when he says nothing. 412 when it is not so any more."""
        shown = self.shelf.find(key)
        tag = None if shown is None else shown.etag
        if if_match and not names(if_match, tag):
            raise precondition_failed(f'"{key}" is another now; look at it and try again')
        if if_none_match and names(if_none_match, tag):
            raise precondition_failed(f'there is a "{key}" already')
        return self.shelf.raw(key) if if_match else None

    async def brought(self, request: Request) -> tuple[str, Item]:
        """The item of the body, and its key. Raises InvalidValue."""
        item = await read_item(request)
        key = item.get(self.kind.key)
        if not isinstance(key, str) or not key:
            message = "is missing: a text that tells the item from the others"
            raise InvalidValue([Problem(self.kind.key, message)])
        return key, item


def room_of(request: Request, kind: Kind) -> Room:
    """The section as it is now."""
    revisions = desk_of(request).revisions
    current = revisions.current
    return Room(kind, shelves_of(request).shelf(current, kind.section), int(current.head.number), revisions)


def shelves_of(request: Request) -> Shelves:
    """What is serialised of the revision in force."""
    shelves: Shelves = request.app.state.shelves
    return shelves


def tag_now(request: Request, kind: Kind, key: str) -> Mapping[str, str]:
    """The tag of an item as it is now, as a header, which a caller who has changed it may go on from."""
    shown = room_of(request, kind).shelf.find(key)
    return {} if shown is None else {"ETag": shown.etag}
