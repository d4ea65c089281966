"""The list of models, and one of them, in both APIs' shapes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from marchproxy.model.ai import Dialect
from marchproxy.modules.ailb.dialects.body import dump

_OWNER = "marchproxy"


def models(dialect: Dialect, names: Sequence[str], *, created: int) -> bytes:
    """All of them, on one page. `created`: Unix time, since the APIs want one."""
    entries = [_entry(dialect, name, created) for name in names]
    if dialect is Dialect.OPENAI:
        return dump({"object": "list", "data": entries})
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return dump({"data": entries, "has_more": False} | ends)


def model(dialect: Dialect, name: str, *, created: int) -> bytes:
    """One of them."""
    return dump(_entry(dialect, name, created))


def _entry(dialect: Dialect, name: str, created: int) -> dict[str, Any]:
    if dialect is Dialect.OPENAI:
        return {"id": name, "object": "model", "created": created, "owned_by": _OWNER}
    since = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": since, "lifecycle": "active"}
