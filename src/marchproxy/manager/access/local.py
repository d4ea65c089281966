"""The local key: a file that only this machine's owner of the manager reads. Who can read it is an admin.

It is another one after each start, and it is never kept in the database.
"""

from pathlib import Path

from marchproxy.kit.files import write_atomically
from marchproxy.manager.access.tokens import is_same, new_token
from marchproxy.manager.places import LOCAL_KEY
from marchproxy.model.identity import Principal, Role

LOCAL_PREFIX = "mpl_"


class LocalKey:
    """The key of this start."""

    def __init__(self, directory: Path) -> None:
        """Write it, mode 0600. Raises OSError."""
        self._key = LOCAL_PREFIX + new_token()
        self.path = directory / LOCAL_KEY
        write_atomically(self.path, self._key.encode() + b"\n")

    def find(self, shown: str) -> Principal | None:
        """Who shows it; None when it is another."""
        return Principal("local", "local", Role.ADMIN) if is_same(shown, self._key) else None
