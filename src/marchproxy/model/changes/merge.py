"""Merge: two edits of one document made into one, item by item, and inside an item field by field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from marchproxy.model.changes.plain import SECTIONS, Document, Item, items_by_key, path_of


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both edits say something else of the same thing; None: that edit removed it, or leaves it out."""

    path: str
    ours: Any
    theirs: Any


@dataclass(frozen=True, slots=True)
class Merged:
    """The document with both edits; where they conflict, it has what is theirs."""

    document: Document
    conflicts: tuple[Conflict, ...] = ()


def merge(base: Document, ours: Document, theirs: Document) -> Merged:
    """Lay what `ours` changed of `base` over `theirs`. Items keep the order of theirs, and ours adds at the end."""
    document: dict[str, Sequence[Item]] = {}
    conflicts: list[Conflict] = []
    for section in SECTIONS:
        items = list(_items(section, _Three(base, ours, theirs), conflicts))
        if items:
            document[section] = items
    return Merged(document, tuple(conflicts))


@dataclass(frozen=True, slots=True)
class _Three:
    base: Document
    ours: Document
    theirs: Document


class _Nothing:
    """What an edit has where it has nothing; equal to itself alone."""


_NOTHING: Final = _Nothing()


def _items(section: str, three: _Three, conflicts: list[Conflict]) -> Iterator[Item]:
    base = items_by_key(three.base, section)
    ours = items_by_key(three.ours, section)
    theirs = items_by_key(three.theirs, section)
    for key in _order(list(base), list(ours), list(theirs)):
        path = path_of(section, key)
        item = _item(path, [side.get(key) for side in (base, ours, theirs)], conflicts)
        if item is not None:
            yield item


def _order(base: list[str], ours: list[str], theirs: list[str]) -> list[str]:
    """Theirs, unless only ours has put it into another order."""
    in_base, in_ours, in_theirs = set(base), set(ours), set(theirs)
    moved = [key for key in ours if key in in_base] != [key for key in base if key in in_ours]
    stayed = [key for key in theirs if key in in_base] == [key for key in base if key in in_theirs]
    first, second = (ours, theirs) if moved and stayed else (theirs, ours)
    known = set(first)
    return [*first, *(key for key in second if key not in known)]


def _item(path: str, sides: list[Item | None], conflicts: list[Conflict]) -> Item | None:
    base, ours, theirs = sides
    if ours in (base, theirs):
        return theirs
    if theirs == base:
        return ours
    if ours is None or theirs is None:
        conflicts.append(Conflict(path, ours, theirs))
        return theirs
    # both changed it, or both added one of that name, which then agree where they say the same
    fields = _fields(path, base or {}, ours, theirs, conflicts)
    return {name: value for name, value in fields.items() if value is not _NOTHING}


def _fields(path: str, base: Item, ours: Item, theirs: Item, conflicts: list[Conflict]) -> Mapping[str, Any]:
    merged: dict[str, Any] = {}
    for name in dict.fromkeys((*theirs, *ours, *base)):
        was, one, other = (side.get(name, _NOTHING) for side in (base, ours, theirs))
        if one in (was, other):
            merged[name] = other
        elif other == was:
            merged[name] = one
        else:
            conflicts.append(Conflict(f"{path}.{name}", _plain(one), _plain(other)))
            merged[name] = other
    return merged


def _plain(value: Any) -> Any:
    return None if value is _NOTHING else value
