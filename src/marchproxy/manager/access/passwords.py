"""Passwords: hashed and compared with argon2id, in threads, few at a time."""

import asyncio
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from marchproxy.manager.access.errors import Throttled, WeakPassword

SHORTEST, LONGEST = 10, 1024
_AT_ONCE = 2
_WAITING = 64
_BUSY_SECONDS = 2.0


def check_password(password: str, name: str) -> None:
    """Raise WeakPassword when a user of that name may not have it."""
    if len(password) < SHORTEST:
        raise WeakPassword(f"the password must have {SHORTEST} characters or more")
    if len(password) > LONGEST:
        raise WeakPassword(f"the password must have {LONGEST} characters or fewer")
    if password.casefold() in {name.casefold(), name.casefold()[::-1]}:
        raise WeakPassword("the password must not be the name")
    if len(set(password)) < 4:
        raise WeakPassword("the password must have four different characters or more")


def one_time_password() -> str:
    """A password that is given to somebody, who must change it."""
    return secrets.token_urlsafe(15)


def _normal(password: str) -> str:
    """Keyboards differ in how they send the same character (Unicode's NFKC, as NIST SP 800-63B has it)."""
    return unicodedata.normalize("NFKC", password)


class Passwords:
    """Hashes and checks. A check of nobody's password costs what a check of somebody's does.

    Costs: OWASP's first choice for argon2id, 19 MiB and two passes, so that a crowd that tries passwords has 38 MiB.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobodys = self._hasher.hash(secrets.token_urlsafe(15))

    async def hashed(self, password: str) -> str:
        """The argon2id hash of a password, with its parameters and salt."""
        async with self._places:
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether the password is the one; without a hash it takes as long and is not. Raises Throttled when too many wait."""
        if self._waiting >= _WAITING:
            raise Throttled(_BUSY_SECONDS)
        self._waiting += 1
        try:
            async with self._places:
                found = await asyncio.to_thread(
                    self._verify, _normal(password[:LONGEST]), hashed or self._nobodys
                )
        finally:
            self._waiting -= 1
        return found and hashed is not None

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    def _verify(self, password: str, hashed: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerifyMismatchError, InvalidHashError):
            return False
