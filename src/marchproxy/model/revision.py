"""Revisions: numbered, immutable desired states, with who made them, when and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType, TypeAlias

RevisionNumber = NewType("RevisionNumber", int)

#: How an author came to be one: a person, an API key, the manager's file, a rollout that ended, somebody on this machine.
AuthorKind: TypeAlias = Literal["user", "key", "file", "rollout", "local"]


@dataclass(frozen=True, slots=True)
class Author:
    """Who made a revision."""

    name: str
    kind: AuthorKind


@dataclass(frozen=True, slots=True)
class Summary:
    """How many items a revision added, changed and removed, against its parent."""

    added: int = 0
    changed: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class RevisionHead:
    """All of a revision but its document. `parent` is None for the first; `checksum` is the document's, SHA-256 in hex."""

    number: RevisionNumber
    parent: RevisionNumber | None
    created_at: datetime
    author: Author
    reason: str
    checksum: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision. `document` is canonical JSON, as `marchproxy.contract.document.encode` writes it."""

    head: RevisionHead
    document: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """What becomes a revision: a store gives it a number and a time."""

    parent: RevisionNumber | None
    author: Author
    reason: str
    checksum: str
    summary: Summary
    document: bytes
