"""Room: one section of the revision in force, as one request finds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request

from marchproxy.manager.access.http import desk_of
from marchproxy.manager.api.asking import read_item
from marchproxy.manager.api.etags import names
from marchproxy.manager.api.kinds import Kind
from marchproxy.manager.api.problems import HttpProblem
from marchproxy.manager.api.shelves import Shelf, Shelves, Shown
from marchproxy.manager.revising import Revisions
from marchproxy.model.changes import Item, hidden, unredact
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
            raise HttpProblem(HTTPStatus.NOT_FOUND, f'there is no "{key}" in {self.kind.path}')
        return shown

    def base(self, key: str, *, if_match: str, if_none_match: str = "") -> Item | None:
        """What the caller has seen, as he says; None when he says nothing. 412 when it is not so any more."""
        shown = self.shelf.find(key)
        tag = None if shown is None else shown.etag
        if if_match and not names(if_match, tag):
            text = f'"{key}" is another now; look at it and try again'
            raise HttpProblem(HTTPStatus.PRECONDITION_FAILED, text)
        if if_none_match and names(if_none_match, tag):
            raise HttpProblem(HTTPStatus.PRECONDITION_FAILED, f'there is a "{key}" already')
        return self.shelf.raw(key) if if_match else None

    async def brought(self, request: Request, key: str | None = None) -> tuple[str, Item]:
        """The item of the body, and its key; `key` is the URL's. Secrets that were shown hidden are put back.

        Raises InvalidValue, SettingsError.
        """
        item = await read_item(request)
        field = self.kind.key
        if key is not None and item.setdefault(field, key) != key:
            raise InvalidValue([Problem(field, f'is "{item[field]}", and the URL says "{key}"')])
        if not isinstance(item.get(field), str) or not item[field]:
            raise InvalidValue([Problem(field, "is missing: a text that tells the item from the others")])
        return item[field], self._with_secrets(item)

    def _with_secrets(self, item: Item) -> Item:
        document = unredact({self.kind.section: [item]}, self.revisions.current.document)
        if unknown := hidden(document):
            message = "a secret that is hidden here and not known; give it in full"
            raise InvalidValue([Problem(path.partition("].")[2], message) for path in unknown])
        return document[self.kind.section][0]


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
