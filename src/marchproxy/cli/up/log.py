"""The log of a part: what of it a person should see, and a bound on its size."""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

_SHOWN = {"warning", "error", "critical"}
_LARGEST = 16 * 1024 * 1024
_PIECE = 256 * 1024
_LONGEST_LINE = 600
# information that gRPC's core writes to stderr by itself: "I1121 04:56:14.985016   27533 fork_posix.cc:71] …"
_CHATTER = re.compile(r"I\d{4} \d\d:\d\d:")


@dataclass(frozen=True, slots=True)
class Remark:
    """A line worth showing. `level` is warning or error; `plain` lines were not written by the logger."""

    level: str
    text: str
    plain: bool = False


def read_line(line: str) -> Remark | None:
    """What a log line says to a person, or None when it is only for the file."""
    try:
        event = json.loads(line)
    except ValueError:
        chatter = not line.strip() or _CHATTER.match(line)
        return None if chatter else Remark("error", line.strip()[:_LONGEST_LINE], plain=True)
    if not isinstance(event, dict) or event.get("level") not in _SHOWN:
        return None
    fields = {key: value for key, value in event.items() if key not in _KNOWN}
    details = ", ".join(f"{key}: {value}" for key, value in fields.items())
    text = f"{event.get('event')} ({details})" if details else str(event.get("event"))
    cause = str(event.get("exception", "")).strip().rpartition("\n")[2]
    text = f"{text}: {cause}" if cause else text
    return Remark("warning" if event["level"] == "warning" else "error", text[:_LONGEST_LINE])


_KNOWN = {"level", "event", "timestamp", "logger", "service", "instance", "exception"}


@dataclass(slots=True)
class PartLog:
    """One part's log file, to which its process appends."""

    path: Path
    _offset: int = 0
    _rest: bytes = b""
    plain: list[str] = field(default_factory=list)

    def begin(self) -> int:
        """Open for a new process and skip what older ones wrote; the caller closes the descriptor. Raises OSError."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._offset = os.fstat(descriptor).st_size
        self._rest = b""
        self.plain.clear()
        return descriptor

    def news(self) -> list[Remark]:
        """What is worth showing since the last call; plain lines are kept in `plain`. Raises OSError."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            piece = file.read(_PIECE)
        self._offset += len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._rest = self._rest[-_PIECE:]
        remarks = [remark for line in lines if (remark := read_line(line.decode(errors="replace")))]
        self.plain = [*self.plain, *(remark.text for remark in remarks if remark.plain)][-20:]
        self._bound()
        return remarks

    def _bound(self) -> None:
        """Keep one older file beside it. Processes append, so they go on at the start of the emptied file."""
        if self._offset > _LARGEST and self.path.stat().st_size == self._offset:
            old = self.path.with_suffix(".log.1")
            old.write_bytes(self.path.read_bytes())
            os.truncate(self.path, 0)
            self._offset = 0
