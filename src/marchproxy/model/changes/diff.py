"""Diff: the items that two documents do not have alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from marchproxy.model.changes.plain import SECTIONS, Document, Item, items_by_key
from marchproxy.model.revision import Summary

ChangeKind: TypeAlias = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one item. `fields`, sorted: which of its fields differ; empty unless it was changed."""

    section: str
    key: str
    kind: ChangeKind
    before: Item | None
    after: Item | None
    fields: tuple[str, ...] = ()


def diff(before: Document, after: Document) -> tuple[Change, ...]:
    """What has to be done to `before` to have the items of `after`; their order is not looked at."""
    return tuple(change for section in SECTIONS for change in _of_section(section, before, after))


def summary(changes: Iterable[Change]) -> Summary:
    """How many of each kind."""
    kinds = [change.kind for change in changes]
    return Summary(kinds.count("added"), kinds.count("changed"), kinds.count("removed"))


def _of_section(section: str, before: Document, after: Document) -> list[Change]:
    old, new = items_by_key(before, section), items_by_key(after, section)
    changes = []
    for key, item in new.items():
        was = old.get(key)
        if was is None:
            changes.append(Change(section, key, "added", None, item))
        elif was is not item and was != item:
            changes.append(Change(section, key, "changed", was, item, fields_that_differ(was, item)))
    changes += [Change(section, key, "removed", item, None) for key, item in old.items() if key not in new]
    return changes


def fields_that_differ(one: Item, other: Item) -> tuple[str, ...]:
    """The fields that two items do not have alike, sorted; a field that one of them lacks is one."""
    return tuple(
        sorted(name for name in one.keys() | other.keys() if _value(one, name) != _value(other, name))
    )


def _value(item: Item, name: str) -> tuple[bool, object]:
    return name in item, item.get(name)
