"""Plain documents: sections of items, each with the field that tells it from the others."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

Item: TypeAlias = Mapping[str, Any]
Document: TypeAlias = Mapping[str, Sequence[Item]]

#: The sections of a document, and the key field of their items.
SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "listeners": "name",
        "routes": "id",
        "pools": "name",
        "rate_limits": "id",
        "scaling": "module",
        "authentication": "name",
        "virtual_keys": "id",
        "allowances": "id",
        "prices": "model",
        "guardrails": "name",
    }
)


def items_by_key(document: Document, section: str) -> dict[str, Item]:
    """The items of a section by their key, in the document's order."""
    key = SECTIONS[section]
    return {str(item[key]): item for item in document.get(section) or ()}


def path_of(section: str, key: str, *fields: str) -> str:
    """Where something stands, by name: `routes/shop`, `routes/shop.timeout`. Numbers would change with other items."""
    return ".".join((f"{section}/{key}", *fields))
