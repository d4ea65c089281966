"""Edits: what somebody wants the document to be, as a pure function of what it is when their turn has come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from marchproxy.model.changes import SECTIONS, Document, Item, items_by_key, path_of
from marchproxy.model.module import Version
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted document. `base` is what its author had before them; None: whatever is in force.

    `place`: where the one item stands that is edited, so that its faults can be told by its own fields.
    """

    document: Document
    base: Document | None = None
    place: str = ""


#: Makes it of the document in force. Raises InvalidValue, Refused.
Edit: TypeAlias = Callable[[Document], Wanted]


def whole(document: Document, base: Document | None) -> Edit:
    """The document as it is given."""
    return lambda _: Wanted(document, base)


@dataclass(frozen=True, slots=True)
class Place:
    """One item of a document. `base`: the item as its author had it before them; None: whatever is in force."""

    section: str
    key: str
    base: Item | None = None
    create_only: bool = False

    def __post_init__(self) -> None:
        if self.section not in SECTIONS:
            known = ", ".join(SECTIONS)
            raise Refused(RefusalCode.NOT_FOUND, f'no section "{self.section}"; known: {known}')


def put(place: Place, item: Item) -> Edit:
    """The item added at the end, or in the place of the one of its name. Raises InvalidValue when it has another name."""
    field = SECTIONS[place.section]
    named = {field: place.key, **item}
    if named[field] != place.key:
        message = (
            f'is "{named[field]}", but it is put as "{place.key}"; to rename it, add one and remove the other'
        )
        raise InvalidValue([Problem(field, message)])

    def edit(document: Document) -> Wanted:
        present = items_by_key(document, place.section).get(place.key)
        if present is not None and place.create_only:
            message = f"{path_of(place.section, place.key)} is there already"
            raise Refused(RefusalCode.ALREADY_EXISTS, message)
        items = _with(document, place, named)
        return Wanted(
            {**document, place.section: items},
            base=_before(document, place),
            place=f"{place.section}[{_number(items, place)}]",
        )

    return edit


def delete(place: Place) -> Edit:
    """Without the item. Raises Refused (NOT_FOUND) at its turn when there is none."""

    def edit(document: Document) -> Wanted:
        if place.key not in items_by_key(document, place.section):
            raise Refused(RefusalCode.NOT_FOUND, f"there is no {path_of(place.section, place.key)}")
        return Wanted(
            {**document, place.section: _with(document, place, None)}, base=_before(document, place)
        )

    return edit


def promoted_listeners(target: str, version: Version) -> Edit:
    """All new connections of a listener to one version; `target` empty: of all that divide them and have it."""

    def edit(document: Document) -> Wanted:
        listeners = [
            {**item, "version_weights": {version: 100}}
            if (item["name"] == target if target else version in item.get("version_weights", {}))
            else item
            for item in document.get("listeners", ())
        ]
        return Wanted({**document, "listeners": listeners})

    return edit


def _before(document: Document, place: Place) -> Document | None:
    if place.base is None:
        return None
    return {**document, place.section: _with(document, place, place.base)}


def _with(document: Document, place: Place, item: Item | None) -> Sequence[Item]:
    items = list(document.get(place.section, ()))
    number = _number(items, place)
    items[number : number + 1] = [] if item is None else [item]
    return items


def _number(items: Sequence[Item], place: Place) -> int:
    """The item's place, or the end."""
    field = SECTIONS[place.section]
    return next((number for number, item in enumerate(items) if item[field] == place.key), len(items))
