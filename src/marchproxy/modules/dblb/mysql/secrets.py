"""Secrets: what is known of a user's password: the password itself, or what mysql_native_password stores of it."""

import hmac
import re
from dataclasses import dataclass, field
from functools import cached_property

from marchproxy.wire.mysql.proofs import caching_hash, native_hash

_STORED = re.compile(r"\*[0-9A-Fa-f]{40}")


@dataclass
class Secret:
    """A password (`text` as it is), or `*` and the 40 hexadecimal digits that MySQL's PASSWORD() gives."""

    text: str = field(repr=False)
    seen: bytes = field(default=b"", repr=False)
    """The caching_hash of a password that has once been shown to be the right one."""

    @property
    def is_stored(self) -> bool:
        """Whether the password itself is not known."""
        return _STORED.fullmatch(self.text) is not None

    @property
    def empty(self) -> bool:
        """Whether the user has no password."""
        return not self.text

    @cached_property
    def native(self) -> bytes:
        """SHA1(SHA1(password))."""
        return bytes.fromhex(self.text[1:]) if self.is_stored else native_hash(self.text.encode())

    @property
    def cached(self) -> bytes:
        """SHA256(SHA256(password)), or nothing as long as nobody has shown the password."""
        return self.seen if self.is_stored else caching_hash(self.text.encode())

    def shown(self, password: bytes) -> bool:
        """Whether this is the password; it is then known to the cache."""
        if not hmac.compare_digest(native_hash(password), self.native):
            return False
        self.seen = caching_hash(password)
        return True
