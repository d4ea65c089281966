"""Watched: files that belong together, in the form in which they were last good."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.kit.files import file_signature
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
Content = TypeVar("Content")
_Signature = tuple[tuple[int, int, int] | None, ...]


class Watched(Generic[Content]):
    """What `read` made of the files. `trouble`: why they are of no use now, or empty; what was good before stays.

    A change is read once it was left alone from one look to the next, because half a file may be a sound one.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], Content]) -> None:
        """Raises UnusableFile."""
        self._files = tuple(files)
        self._reading = read
        self._settling = self._signature()
        self._judged: _Signature | None = None  # read again once: they may be changed at this very moment
        self._before: Content | None = None
        self.trouble = ""
        self.content = read()

    def look(self, *, at_once: bool = False) -> bool:
        """Read the files when they changed; True when they now hold something else that is good.

        `at_once`: without waiting for the change to settle.
        """
        now = self._signature()
        settled, self._settling = now == self._settling, now
        if now == self._judged or not (settled or at_once):
            return False
        self._judged = now if settled else None
        try:
            content = self._reading()
        except UnusableFile as error:
            if self.trouble != str(error):
                _log.error("the earlier certificate stays in use", reason=str(error))
            self.trouble = str(error)
            return False
        self.trouble = ""
        if content == self.content:
            return False
        self._before, self.content = self.content, content
        return True

    def take_back(self, reason: str) -> bool:
        """Go back to what was read before, as what is there now turned out to be of no use; False: there is nothing."""
        if self._before is None:
            return False
        self.content, self._before, self.trouble = self._before, None, reason
        _log.error("the earlier certificate is in use again", reason=reason)
        return True

    def _signature(self) -> _Signature:
        return tuple(file_signature(file) for file in self._files)
