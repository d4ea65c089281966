"""Server-sent events: bytes in any pieces in, events out.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import re
from dataclasses import dataclass

from marchproxy.wire.fault import ProtocolFault

#: Of one event: with its arguments and images whole, a provider's longest is far below this.
LONGEST_EVENT = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its data, its name and its id; empty: it has none."""

    data: bytes
    event: bytes = b""
    id: bytes = b""


def write(event: Event) -> bytes:
    """The event as it is sent; lines of its data are told apart as the format wants it."""
    head = b"event: %b\n" % event.event if event.event else b""
    if event.id:
        head += b"id: %b\n" % event.id
    if b"\n" not in event.data and b"\r" not in event.data:
        return b"%bdata: %b\n\n" % (head, event.data)
    return head + b"".join(b"data: %b\n" % line for line in _LINE_END.split(event.data)) + b"\n"


class Events:
    """One stream. Comments and `retry` are passed over; an event of more than `longest` bytes is a fault."""

    __slots__ = ("_after_cr", "_data", "_event", "_id", "_line", "_longest", "_size", "_started")

    def __init__(self, *, longest: int = LONGEST_EVENT) -> None:
        self._longest = longest
        self._line: list[bytes] = []  # pieces of a line that has not ended
        self._size = 0  # of these and of the event so far
        self._data: list[bytes] = []
        self._event = self._id = b""
        self._started = self._after_cr = False

    @property
    def between(self) -> bool:
        """Whether the stream is at the end of an event."""
        return not (self._line or self._data or self._event or self._id)

    def feed(self, data: bytes) -> list[Event]:
        """The events that end in these bytes. Raises ProtocolFault."""
        if not self._started:
            data = self._begin(data)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if not data:
            return []
        lines = _LINE_END.split(data) if b"\r" in data else data.split(b"\n")
        self._after_cr = data.endswith(b"\r")
        rest = lines.pop()
        found: list[Event] = []
        if lines:
            if self._line:
                lines[0] = b"".join((*self._line, lines[0]))
                self._line.clear()
            for line in lines:
                self._take(line, found)
            self._size = sum(map(len, self._data))
        if rest:
            self._line.append(rest)
            self._grow(len(rest))
        return found

    def end(self) -> list[Event]:
        """The stream has ended: an event that only lacks the empty line behind it, which some engines forget.

        Half a line is dropped, as the specification wants it.
        """
        found: list[Event] = []
        self._line.clear()
        self._dispatch(found)
        return found

    def _begin(self, data: bytes) -> bytes:
        """Without the byte order mark, which may come in pieces."""
        data = b"".join((*self._line, data))
        self._line.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            if data:
                self._line.append(data)
            return b""
        self._started = True
        return data.removeprefix(_BOM)

    def _take(self, line: bytes, found: list[Event]) -> None:
        if not line:
            self._dispatch(found)
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._grow(len(value))
        elif name == b"event":
            self._event = value.removeprefix(b" ")
        elif name == b"id" and b"\0" not in value:
            self._id = value.removeprefix(b" ")

    def _dispatch(self, found: list[Event]) -> None:
        if self._data:
            found.append(Event(b"\n".join(self._data), self._event, self._id))
            self._data.clear()
        self._event = self._id = b""
        self._size = 0

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._longest:
            raise ProtocolFault(f"an event of the stream has more than {self._longest} bytes")
