"""Exporting: documents as people keep them, in YAML with the revision on top. Slow with many routes, so not in the loop."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from marchproxy.model.revision import RevisionHead

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


async def to_yaml(document: Mapping[str, Sequence[Mapping[str, Any]]], head: RevisionHead) -> bytes:
    """The document; what follows the comment is what can be applied again."""
    return await asyncio.to_thread(_written, document, head)


def _written(document: Mapping[str, Any], head: RevisionHead) -> bytes:
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return f"# revision: {head.number}\n{text if document else ''}".encode()
