"""Checks of virtual keys: of a document's section, and of a file with more of them."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from marchproxy.model.ai import VirtualKey
from marchproxy.model.checks.model_names import check_model_patterns
from marchproxy.model.checks.patterns import check_patterns
from marchproxy.model.problem import Problem
from marchproxy.model.rules import check_name, duplicates

_HASH = re.compile(r"[0-9a-f]{64}")
LOWEST_PRIORITY = 9


def check_virtual_keys(keys: Sequence[VirtualKey]) -> Iterator[Problem]:
    """Faults of the keys; no two may have the same id or hash. No fault repeats a hash."""
    yield from duplicates("virtual_keys", "id", keys, lambda key: key.key_id)
    yield from duplicates("virtual_keys", "hash", keys, lambda key: key.hash)
    for index, key in enumerate(keys):
        yield from _check_key(key, f"virtual_keys[{index}]")


def _check_key(key: VirtualKey, path: str) -> Iterator[Problem]:
    yield from check_name(key.key_id, f"{path}.id")
    if not _HASH.fullmatch(key.hash):
        remedy = "`marchproxy ai key new` makes a key and says its hash"
        yield Problem(f"{path}.hash", f"is not a SHA-256 in 64 small hexadecimal digits; {remedy}")
    for word in ("user", "team"):
        if "*" in getattr(key, word):
            yield Problem(f"{path}.{word}", f"is one name; * is what allowances call each {word} by itself")
        elif getattr(key, word):
            yield from check_patterns([getattr(key, word)], f"{path}.{word}")
    yield from check_model_patterns(key.models, f"{path}.models")
    if key.expires and not _is_time(key.expires):
        yield Problem(
            f"{path}.expires", f'"{key.expires}" is not a time such as 2030-01-31 or 2030-01-31T12:00:00Z'
        )
    if not 0 <= key.priority <= LOWEST_PRIORITY:
        yield Problem(f"{path}.priority", f"{key.priority} is not between 0 (first) and {LOWEST_PRIORITY}")


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
