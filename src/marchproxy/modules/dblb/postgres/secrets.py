"""Secrets: how users prove who they are: a password, a SCRAM verifier or an MD5 hash."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from marchproxy.modules.dblb.scram import Verifier
from marchproxy.modules.dblb.verifiers import POSTGRES, is_verifier, read_verifier

_MD5 = re.compile(r"md5[0-9a-f]{32}")


@dataclass(frozen=True)
class Secret:
    """A password (`text` as it is), a SCRAM verifier (`SCRAM-SHA-256$…`) or an MD5 hash (`md5…`)."""

    text: str = field(repr=False)

    @property
    def is_md5(self) -> bool:
        """Whether nothing but MD5 can be done with it."""
        return _MD5.fullmatch(self.text) is not None

    @property
    def is_verifier(self) -> bool:
        """Whether it is a SCRAM verifier."""
        return is_verifier(self.text)

    @property
    def password(self) -> str:
        """What shows servers the same: the password, or its MD5 hash; empty: a verifier is not enough."""
        return "" if self.is_verifier else self.text

    @cached_property
    def verifier(self) -> Verifier | None:
        """What SCRAM needs. It takes milliseconds for a password; None for an MD5 hash."""
        if self.is_md5:
            return None
        return read_verifier(self.text) or POSTGRES.verifier(self.text)

    def fits_password(self, user: str, password: str) -> bool:
        """Whether this is the password, which was sent in the clear."""
        if self.is_md5:
            digest = hashlib.md5(f"{password}{user}".encode(), usedforsecurity=False).hexdigest()
            return hmac.compare_digest(f"md5{digest}", self.text)
        if (verifier := self.verifier) is not None and self.text.startswith("SCRAM-SHA-256$"):
            salted = hashlib.pbkdf2_hmac("sha256", password.encode(), verifier.salt, verifier.rounds)
            key = hmac.digest(salted, b"Client Key", "sha256")
            return hmac.compare_digest(hashlib.sha256(key).digest(), verifier.stored_key)
        return hmac.compare_digest(password.encode(), self.text.encode())

    def fits_md5(self, user: str, salt: bytes, answer: bytes) -> bool:
        """Whether this answers an MD5 question with that salt; never for a SCRAM verifier."""
        inner = self.text[3:]
        if not self.is_md5:
            inner = hashlib.md5(f"{self.text}{user}".encode(), usedforsecurity=False).hexdigest()
        wanted = b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode()
        return hmac.compare_digest(wanted, answer)


@lru_cache(maxsize=10_000)  # a password's verifier takes milliseconds
def secret_of(text: str) -> Secret:
    """The secret that is written like this."""
    return Secret(text)
