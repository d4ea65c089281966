"""Making keys. A key is shown once, to whom it is made for; what is kept is its SHA-256.

A key has 256 random bits, so nothing slower than SHA-256 is needed to keep it: there is nothing to guess.
"""

import secrets
from dataclasses import dataclass
from hashlib import sha256

from marchproxy.model.ai import VirtualKey

#: What every key begins with, so that people and scanners of secrets know one.
PREFIX = "sk-mp-"
_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that nobody else knows, and what is kept of it. `entry` has its hash, and a name that was made up."""

    shown: str
    entry: VirtualKey

    def __repr__(self) -> str:
        return f"NewKey({self.entry.key_id})"


def new_key() -> NewKey:
    """Make one."""
    shown = PREFIX + secrets.token_urlsafe(_BYTES)
    return NewKey(shown, VirtualKey(f"key-{secrets.token_hex(4)}", digest(shown)))


def digest(shown: str) -> str:
    """What is kept of a key."""
    return sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()
