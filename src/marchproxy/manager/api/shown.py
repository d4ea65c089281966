"""What of changes and conflicts may be shown: the same without secrets. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from marchproxy.manager.revising import Outcome
from marchproxy.model.changes import SECTIONS, Change, Conflict, Item, redact_item


def shown_change(change: Change) -> Change:
    """The change without secrets; one of secrets alone keeps the names of the fields that differ."""
    return replace(
        change, before=_item(change.section, change.before), after=_item(change.section, change.after)
    )


def shown_outcome(outcome: Outcome) -> Outcome:
    """The outcome without secrets."""
    return replace(outcome, changes=tuple(shown_change(change) for change in outcome.changes))


def shown_conflict(conflict: Conflict) -> dict[str, Any]:
    """The conflict as JSON, without secrets."""
    return {
        "path": conflict.path,
        "ours": _value(conflict.path, conflict.ours),
        "theirs": _value(conflict.path, conflict.theirs),
    }


def _item(section: str, item: Item | None) -> Item | None:
    return None if item is None else redact_item(section, item)


def _value(path: str, value: Any) -> Any:
    """The value of a conflict, which is a whole item or one of its fields, as its path says."""
    section = path.partition("/")[0]
    if isinstance(value, Mapping) and SECTIONS[section] in value:
        return redact_item(section, value)
    field = path.rpartition(".")[2]
    return redact_item(section, {field: value})[field]
