"""Secrets: what is known of a user's password: itself, or what a MySQL stores of it."""

import hmac
import re
from dataclasses import dataclass, field
from functools import cached_property

from marchproxy.wire.mysql.proofs import CACHING, NATIVE, caching_hash, native_hash
from marchproxy.wire.mysql.sha_crypt import Verifier, read_verifier

_NATIVE = re.compile(r"\*[0-9A-Fa-f]{40}")
_HEX = re.compile(r"0x[0-9A-Fa-f]{140}")


@dataclass
class Secret:
    """A password (`text` as it is), or what MySQL stores of one.

    That is `*` and 40 hexadecimal digits (mysql_native_password), or `$A$005$` with salt and digest (caching_sha2_password),
    the latter also as `0x` and hexadecimal digits, because its salt is of any bytes.
    """

    text: str = field(repr=False)
    seen: bytes = field(default=b"", repr=False)
    """The caching_hash of a password that has once been shown to be the right one."""
    password: str | None = field(default=None, repr=False)
    """The password itself, once it is known."""

    def __post_init__(self) -> None:
        if not self.is_native and self.verifier is None:
            self.password = self.text

    @cached_property
    def is_native(self) -> bool:
        """Whether it is what mysql_native_password stores."""
        return _NATIVE.fullmatch(self.text) is not None

    @cached_property
    def verifier(self) -> Verifier | None:
        """What caching_sha2_password stores, if it is that."""
        raw = bytes.fromhex(self.text[2:]) if _HEX.fullmatch(self.text) else self.text.encode()
        return read_verifier(raw)

    @property
    def method(self) -> str:
        """The safest way to ask for the password that all clients can go without TLS."""
        return NATIVE if self.is_native else CACHING

    def takes(self, method: str) -> bool:
        """Whether the user can be asked by this method."""
        return method == CACHING or self.verifier is None

    @property
    def empty(self) -> bool:
        """Whether the user has no password."""
        return not self.text

    @cached_property
    def native(self) -> bytes:
        """SHA1(SHA1(password)); nothing where that is not known."""
        if self.verifier is not None:
            return b""
        return bytes.fromhex(self.text[1:]) if self.is_native else native_hash(self.text.encode())

    @property
    def cached(self) -> bytes:
        """SHA256(SHA256(password)), or nothing as long as nobody has shown the password."""
        return self.seen if self.is_stored else caching_hash(self.text.encode())

    @property
    def is_stored(self) -> bool:
        """Whether the text is not the password itself."""
        return self.is_native or self.verifier is not None

    def shown(self, password: bytes) -> bool:
        """Whether this is the password; it is then known to the cache. Takes milliseconds with a verifier."""
        if self.verifier is not None:
            right = self.verifier.fits(password)
        else:
            right = hmac.compare_digest(native_hash(password), self.native)
        if right:
            self.seen = caching_hash(password)
            self.password = password.decode(errors="replace")
        return right
