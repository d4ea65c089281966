"""A revision in force that has this document."""

from datetime import UTC, datetime
from typing import Any

from marchproxy.manager.revising import Current
from marchproxy.model.revision import Author, RevisionHead, RevisionNumber, Summary
from marchproxy.model.state import DesiredState


def current(document: dict[str, Any], number: int = 1) -> Current:
    head = RevisionHead(
        RevisionNumber(number),
        None,
        datetime(2030, 1, 1, tzinfo=UTC),
        Author("ann", "user"),
        "",
        "",
        Summary(),
    )
    return Current(head, DesiredState(), document, b"")
