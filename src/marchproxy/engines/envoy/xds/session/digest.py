"""One short version for a set of versioned resources."""

import hashlib
from collections.abc import Iterable


def set_version(versions: Iterable[tuple[str, str]]) -> str:
    """A hash of (name, version) pairs, whatever their order; the same in every process."""
    digest = hashlib.blake2b(digest_size=8)
    for name, version in sorted(versions):
        digest.update(f"{name}\0{version}\0".encode())
    return digest.hexdigest()
