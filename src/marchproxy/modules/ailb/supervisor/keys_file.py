"""The file with more virtual keys: read, judged, and kept in its last good form."""

from pathlib import Path

from marchproxy.engines.workers.files import FileWatch, read_files
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.modules.ailb.keys import read_keys

_log = get_logger(__name__)


class KeysFile:
    """`content` is what deciders are told; `trouble`: why the file is of no use now, empty: nothing is wrong."""

    def __init__(self, path: Path | None) -> None:
        """Raises SettingsError when it is of no use."""
        self.path = "" if path is None else str(path)
        self.trouble = ""
        self.content = _read(self.path) if path is not None else b""
        self._watch = FileWatch([self.path] if self.path else ())

    def look(self) -> bool:
        """Whether it holds something else that is good."""
        if not self._watch.look():
            return False
        try:
            content = _read(self.path)
        except SettingsError as error:
            self.trouble = str(error)
            _log.error("the keys that the file held before stay in force", reason=self.trouble)
            return False
        self.trouble = ""
        changed, self.content = content != self.content, content
        return changed


def _read(path: str) -> bytes:
    """What it holds. Raises SettingsError."""
    content = read_files([path])[path]
    if isinstance(content, str):
        raise SettingsError([Problem("keys_file", f"{path} {content}")])
    read_keys(content, path)
    return content
