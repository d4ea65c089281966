"""Exporting: documents as people keep them, in YAML with the revision on top. Slow with many routes, so not in the loop."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from marchproxy.contract.document import as_yaml
from marchproxy.model.revision import RevisionHead


async def to_yaml(document: Mapping[str, Sequence[Mapping[str, Any]]], head: RevisionHead) -> bytes:
    """The document; what follows the comment is what can be applied again."""
    return await asyncio.to_thread(_written, document, head)


def _written(document: Mapping[str, Any], head: RevisionHead) -> bytes:
    return f"# revision: {head.number}\n{as_yaml(document) if document else ''}".encode()
