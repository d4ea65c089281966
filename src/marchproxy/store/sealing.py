"""Sealing: what is secret is encrypted at rest, with keys from a file that is not the database's."""

from hashlib import blake2b
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from marchproxy.kit.files import write_new
from marchproxy.store.errors import StoreUnusable


class Sealer:
    """Seals with the newest key and opens with any (Fernet: AES-128-CBC and HMAC-SHA256)."""

    def __init__(self, keys: tuple[Fernet, ...], path: Path, newest: str) -> None:
        """`newest`: the line of the first of the keys."""
        self._keys = keys
        self._hashing = blake2b(newest.encode(), person=b"fingerprint").digest()
        self._all = MultiFernet(keys)
        self.path = path

    @classmethod
    def of_file(cls, path: Path) -> "Sealer":
        """One with the keys of a file, a line each, the newest first; the file is made, mode 0600, where there is none.

        Raises StoreUnusable when it cannot be read or made, or a line is no key.
        """
        try:
            if not path.exists():
                _make(path)
            lines = path.read_text().split()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreUnusable(
                f"secret key {path} cannot be read: {error}; mend that, or name another file"
            ) from error
        if not lines:
            raise StoreUnusable(f"secret key {path} is empty; put the key back, as it was in your backup")
        return cls(tuple(_key(path, number, line) for number, line in enumerate(lines, 1)), path, lines[0])

    def seal(self, data: bytes) -> bytes:
        """Encrypt with the newest key."""
        return self._all.encrypt(data)

    def unseal(self, sealed: bytes) -> bytes:
        """What was sealed, with any of the keys; raises StoreUnusable, naming the file, when none of them fits."""
        try:
            return self._all.decrypt(sealed)
        except InvalidToken:
            raise StoreUnusable(
                f"the database was sealed with another key than those of {self.path}: "
                "put that key back, as a further line of the file"
            ) from None

    def fingerprint(self, data: bytes) -> str:
        """What tells it from other data, to those alone who have the newest key; in hex."""
        return blake2b(data, digest_size=12, key=self._hashing).hexdigest()

    def is_newest(self, sealed: bytes) -> bool:
        """Whether it was sealed with the newest key."""
        try:
            self._keys[0].decrypt(sealed)
        except InvalidToken:
            return False
        return True


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        write_new(path, Fernet.generate_key() + b"\n")
    except FileExistsError:
        return  # another process made it meanwhile: that one is everybody's


def _key(path: Path, number: int, line: str) -> Fernet:
    try:
        return Fernet(line)
    except ValueError:
        raise StoreUnusable(
            f"secret key {path}, line {number}, is no key: 32 bytes in URL-safe base64 are expected"
        ) from None
