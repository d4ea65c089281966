"""Files: those that a desired state names, read within bounds, and looked at for changes."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from marchproxy.kit.files import file_signature

_LARGEST = 4 * 1024 * 1024  # bytes; a hundred thousand users
_Signatures = dict[str, tuple[int, int, int] | None]


def read_files(paths: Iterable[str]) -> Mapping[str, bytes | str]:
    """What they hold, or why they cannot be read."""
    return {path: _read(path) for path in paths}


def _read(path: str) -> bytes | str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return content if len(content) <= _LARGEST else f"is larger than {_LARGEST} bytes"


class FileWatch:
    """Tells when files have changed. A change counts once it was left alone from one look to the next."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        """The first time that they are left alone counts as a change: they may have changed since they were read."""
        self._paths = tuple(paths)
        self._known: _Signatures | None = None
        self._settling: _Signatures = {}

    def look(self) -> bool:
        """Whether they have changed since the last change that was told."""
        now = {path: file_signature(path) for path in self._paths}
        settled, self._settling = now == self._settling, now
        if not now or not settled or now == self._known:
            return False
        self._known = now
        return True
