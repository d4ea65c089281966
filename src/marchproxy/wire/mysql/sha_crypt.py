"""SHA-crypt with SHA-256, of which caching_sha2_password stores `$A$005$`, a salt of 20 bytes, and 43 characters.

https://www.akkadia.org/drepper/SHA-crypt.txt; MySQL's salt is longer than the 16 bytes that are allowed there.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

_ALPHABET = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ORDER = (
    (0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14),
    (15, 25, 5), (6, 16, 26), (27, 7, 17), (18, 28, 8), (9, 19, 29),
)  # fmt: skip
_PREFIX, _SALT, _DIGEST = b"$A$", 20, 43


@dataclass(frozen=True, slots=True)
class Verifier:
    """What MySQL's `authentication_string` says of a password."""

    rounds: int
    salt: bytes
    digest: bytes = field(repr=False)

    def fits(self, password: bytes) -> bool:
        """Whether this is the password. Takes milliseconds: not to be called where others wait."""
        return hmac.compare_digest(sha256_crypt(password, self.salt, self.rounds), self.digest)


def read_verifier(stored: bytes) -> Verifier | None:
    """Of an `authentication_string`; None: it is none of caching_sha2_password."""
    head = len(_PREFIX) + 4
    if (
        not stored.startswith(_PREFIX)
        or len(stored) != head + _SALT + _DIGEST
        or stored[head - 1 : head] != b"$"
    ):
        return None
    try:
        thousands = int(stored[len(_PREFIX) : head - 1], 16)
    except ValueError:
        return None
    return (
        Verifier(thousands * 1000, stored[head : head + _SALT], stored[head + _SALT :]) if thousands else None
    )


def sha256_crypt(password: bytes, salt: bytes, rounds: int) -> bytes:
    """The 43 characters that `rounds` of SHA-crypt make of a password."""
    size = len(password)
    other = _sha256(password + salt + password)
    words = password + salt + _repeated(other, size)
    bit = size
    while bit:
        words += other if bit & 1 else password
        bit >>= 1
    digest = _sha256(words)
    key = _repeated(_sha256(password * size), size)
    spice = _repeated(_sha256(salt * (16 + digest[0])), len(salt))
    for turn in range(rounds):
        words = key if turn & 1 else digest
        words += (spice if turn % 3 else b"") + (key if turn % 7 else b"")
        digest = _sha256(words + (digest if turn & 1 else key))
    return _encoded(digest)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _repeated(data: bytes, size: int) -> bytes:
    return (data * (size // len(data) + 1))[:size]


def _encoded(digest: bytes) -> bytes:
    found = bytearray()
    for one, two, three in _ORDER:
        _append(found, digest[one] << 16 | digest[two] << 8 | digest[three], 4)
    _append(found, digest[31] << 8 | digest[30], 3)
    return bytes(found)


def _append(found: bytearray, value: int, count: int) -> None:
    for _ in range(count):
        found.append(_ALPHABET[value & 0x3F])
        value >>= 6
