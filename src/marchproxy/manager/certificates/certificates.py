"""Certificates: judged, kept sealed in the store, and written where documents can name them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marchproxy.store import Store


class Certificates:
    """Stored certificates in `directory`/NAME/{cert,key}.pem, mode 0600, and the facts of those in use."""

    def __init__(self, store: "Store", directory: Path, document: Callable[[], Mapping[str, Any]]) -> None:
        """`document`: the plain document in force."""
        self._store = store
        self._directory = directory
        self._document = document

    def files(self, name: str) -> tuple[Path, Path]:
        """Where a stored certificate and its key are, as documents name them."""
        folder = self._directory / name
        return folder / "cert.pem", folder / "key.pem"
