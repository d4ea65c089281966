"""Server: one connection of HTTP/2, without I/O: bytes in, whole requests out; answers go to its `outflow`.

What breaks the protocol raises Http2Fault, and GOAWAY is what is left to be sent. Bounds: streams at once, bytes of a head, of
a body, and of all bodies that are held; frames that bring nothing. A stream beyond them is refused alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from marchproxy.wire.http2 import frames
from marchproxy.wire.http2.cutting import Cutter, Frame, unpadded
from marchproxy.wire.http2.events import Cancelled, Drained, Event, Requested
from marchproxy.wire.http2.frames import Code, Http2Fault, Setting, StreamFault
from marchproxy.wire.http2.heads import TABLE_SIZE, Head, Heads, as_request
from marchproxy.wire.http2.outflow import Lane, Outflow

#: What the connection may have under way towards us.
_WINDOW = 64 * 1024 * 1024
_MOST_IDLE = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Streams at once; bytes of a head (as §6.5.2 counts), of a body, and of the bodies of all streams together."""

    streams: int = 1024
    head: int = 64 * 1024
    body: int = 64 * 1024 * 1024
    held: int = 512 * 1024 * 1024


class _Stream:
    """What the peer has sent of one. `head` is None in a request that is whole."""

    __slots__ = ("body", "head", "number", "size")

    def __init__(self, number: int, head: Head) -> None:
        self.number = number
        self.head: Head | None = head
        self.body: list[bytes] = []
        self.size = 0


class Server:
    """`wake`: as Outflow's."""

    def __init__(self, limits: Limits, wake: Callable[[], None]) -> None:
        self.outflow = Outflow(wake)
        self._limits = limits
        self._cutter = Cutter(limits.head)
        self._heads = Heads(limits.head)
        self._streams: dict[int, _Stream] = {}
        self._last = 0
        self._held = 0
        self._consumed = 0
        self._idle = 0
        self._sent_before = 0
        self._closing = False
        self._on = {
            frames.DATA: self._data, frames.HEADERS: self._head, frames.PRIORITY: self._priority,
            frames.RST_STREAM: self._reset, frames.SETTINGS: self._settings, frames.PUSH_PROMISE: self._push,
            frames.PING: self._ping, frames.GOAWAY: self._goaway, frames.WINDOW_UPDATE: self._window,
        }  # fmt: skip
        announced = {
            Setting.HEADER_TABLE_SIZE: TABLE_SIZE,
            Setting.MAX_CONCURRENT_STREAMS: limits.streams,
            Setting.INITIAL_WINDOW_SIZE: min(limits.body + 1, frames.LARGEST_WINDOW),
            Setting.MAX_HEADER_LIST_SIZE: limits.head,
        }
        self.outflow.put(frames.settings(announced), frames.window_update(0, _WINDOW - frames.WINDOW))

    def __len__(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def is_closing(self) -> bool:
        """Whether nothing new is taken."""
        return self._closing

    def receive(self, data: bytes) -> list[Event]:
        """What these bytes, cut anywhere, bring. Raises Http2Fault; then GOAWAY is in the outflow, and nothing more is taken."""
        found: list[Event] = []
        cut: list[Frame] = []
        try:
            self._cutter.feed(data, cut)
            for frame in cut:
                self._frame(frame, found)
        except Http2Fault as fault:
            self.outflow.put(frames.goaway(self._last, fault.code))
            raise
        return found

    def answer(self, stream: int, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        """The head of an answer."""
        rest, kind, size = self._heads.encode(status, fields), frames.HEADERS, frames.FRAME_SIZE
        while len(rest) > size:
            self.outflow.put(frames.head(size, kind, 0, stream), rest[:size])
            rest, kind = rest[size:], frames.CONTINUATION
        self.outflow.put(frames.head(len(rest), kind, frames.END_HEADERS, stream), rest)

    def end(self, stream: int, trailers: bytes = b"") -> None:
        """The answer is whole; what waits goes out first. `trailers`: fields behind it, as `encode_trailers` has them."""
        if self.outflow.end(stream, trailers):
            self._forget(stream)

    def abort(self, stream: int, code: Code) -> None:
        """End a stream now."""
        if stream in self._streams:
            self.outflow.put(frames.reset(stream, code))
            self._forget(stream)

    def let_go(self, stream: int) -> None:
        """The body of a request is held no more."""
        found = self._streams.get(stream)
        if found is not None:
            self._held -= found.size
            found.size = 0

    def close(self) -> None:
        """Take nothing new, and say so; what is under way goes on."""
        if not self._closing:
            self._closing = True
            self.outflow.put(frames.goaway(self._last, Code.NO_ERROR))

    def _frame(self, frame: Frame, found: list[Event]) -> None:
        kind, flags, stream, payload = frame
        take = self._on.get(kind)
        if take is None:  # of an extension: to be ignored
            self._count_idle()
            return
        try:
            take(flags, stream, payload, found)
        except StreamFault as fault:
            one = self._streams.get(stream)
            if one is not None:
                self._forget(stream)
                if one.head is None:
                    found.append(Cancelled(stream))
            self.outflow.put(frames.reset(stream, fault.code))

    def _data(self, flags: int, stream: int, payload: bytes, found: list[Event]) -> None:
        if not stream or stream > self._last:
            raise Http2Fault(Code.PROTOCOL_ERROR, "DATA of no stream")
        size = len(payload)
        self._consumed += size
        if self._consumed > _WINDOW // 2:
            self.outflow.put(frames.window_update(0, self._consumed))
            self._consumed = 0
        one = self._streams.get(stream)
        if one is None:  # it was reset a moment ago
            self._count_idle()
            return
        if one.head is None:
            raise StreamFault(Code.STREAM_CLOSED, "DATA behind the end")
        if not payload and not flags & frames.END_STREAM:
            self._count_idle()
        payload = unpadded(flags, payload)
        one.body.append(payload)
        one.size += len(payload)
        self._held += len(payload)
        if one.size > self._limits.body:
            raise StreamFault(Code.CANCEL, "a body that is too large")
        if self._held > self._limits.held:
            raise StreamFault(Code.REFUSED_STREAM, "too many bodies at once")
        if flags & frames.END_STREAM:
            self._whole(one, found)

    def _head(self, flags: int, stream: int, block: bytes, found: list[Event]) -> None:
        if not stream % 2:
            raise Http2Fault(Code.PROTOCOL_ERROR, "a head of no stream of a client")
        fields = self._heads.decode(block)  # always: later ones lean on it
        if stream <= self._last:
            self._trailers(stream, flags, found)
            return
        self._last = stream
        if self._closing:
            raise StreamFault(Code.REFUSED_STREAM, "this connection ends")
        if len(self._streams) >= self._limits.streams:
            raise StreamFault(Code.REFUSED_STREAM, "too many streams")
        head = as_request(fields)
        length = head.fields.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 15:
            raise StreamFault(Code.PROTOCOL_ERROR, "a length that is no number")
        if int(length) > self._limits.body:
            raise StreamFault(Code.CANCEL, "a body that is too large")
        one = self._streams[stream] = _Stream(stream, head)
        self.outflow.open(stream)
        if flags & frames.END_STREAM:
            self._whole(one, found)

    def _trailers(self, stream: int, flags: int, found: list[Event]) -> None:
        one = self._streams.get(stream)
        if one is None:  # it was reset a moment ago
            self._count_idle()
            return
        if one.head is None or not flags & frames.END_STREAM:
            raise StreamFault(Code.PROTOCOL_ERROR, "a second head")
        self._whole(one, found)

    def _whole(self, one: _Stream, found: list[Event]) -> None:
        head = one.head
        assert head is not None
        length = head.fields.get(b"content-length")
        if length is not None and int(length) != one.size:
            raise StreamFault(Code.PROTOCOL_ERROR, "a body of another length than was said")
        one.head = None
        found.append(Requested(one.number, head, b"".join(one.body)))
        one.body.clear()
        self._idle = 0

    def _reset(self, _flags: int, stream: int, payload: bytes, found: list[Event]) -> None:
        frames.read_number(payload, "RST_STREAM")
        if not stream or stream > self._last:
            raise Http2Fault(Code.PROTOCOL_ERROR, "RST_STREAM of no stream")
        self._count_idle()
        one = self._streams.get(stream)
        if one is not None:
            self._forget(stream)
            if one.head is None:
                found.append(Cancelled(stream))

    def _settings(self, flags: int, stream: int, payload: bytes, found: list[Event]) -> None:
        if stream:
            raise Http2Fault(Code.PROTOCOL_ERROR, "SETTINGS of a stream")
        if flags & frames.ACK:
            if payload:
                raise Http2Fault(Code.FRAME_SIZE_ERROR, "SETTINGS that say something and only acknowledge")
            self._count_idle()
            return
        self._count_idle()
        told = frames.read_settings(payload)
        self.outflow.put(frames.head(0, frames.SETTINGS, frames.ACK, 0))  # before anything that goes by them
        for name, value in told:
            if name == Setting.INITIAL_WINDOW_SIZE:
                self._drained(self.outflow.set_window(value), found)
            elif name == Setting.MAX_FRAME_SIZE:
                self.outflow.set_frame(value)

    def _window(self, _flags: int, stream: int, payload: bytes, found: list[Event]) -> None:
        size = frames.read_number(payload, "WINDOW_UPDATE") & frames.LARGEST_WINDOW
        if stream > self._last:
            raise Http2Fault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of no stream")
        self._count_idle()
        self._drained(self.outflow.widen(stream, size), found)

    def _drained(self, lanes: list[Lane], found: list[Event]) -> None:
        for lane in lanes:
            if lane.ending:
                lane.ending = False
                self.end(lane.number)
            else:
                found.append(Drained(lane.number))

    def _ping(self, flags: int, stream: int, payload: bytes, _found: list[Event]) -> None:
        if stream or len(payload) != 8:
            raise Http2Fault(Code.PROTOCOL_ERROR if stream else Code.FRAME_SIZE_ERROR, "a PING that is none")
        self._count_idle()
        if not flags & frames.ACK:
            self.outflow.put(frames.head(8, frames.PING, frames.ACK, 0), payload)

    def _goaway(self, _flags: int, stream: int, payload: bytes, _found: list[Event]) -> None:
        if stream or len(payload) < 8:
            raise Http2Fault(
                Code.PROTOCOL_ERROR if stream else Code.FRAME_SIZE_ERROR, "a GOAWAY that is none"
            )

    def _priority(self, _flags: int, stream: int, payload: bytes, _found: list[Event]) -> None:
        if not stream:
            raise Http2Fault(Code.PROTOCOL_ERROR, "PRIORITY of no stream")
        if len(payload) != 5:
            raise Http2Fault(Code.FRAME_SIZE_ERROR, "half a priority")
        self._count_idle()

    def _push(self, _flags: int, _stream: int, _payload: bytes, _found: list[Event]) -> None:
        raise Http2Fault(Code.PROTOCOL_ERROR, "a client that pushes")

    def _count_idle(self) -> None:
        """Frames that bring nothing cost something all the same; those that go with answers under way are no flood."""
        if self.outflow.sent != self._sent_before:
            self._sent_before, self._idle = self.outflow.sent, 0
        self._idle += 1
        if self._idle > _MOST_IDLE:
            raise Http2Fault(Code.ENHANCE_YOUR_CALM, "too many frames that bring nothing")

    def _forget(self, stream: int) -> None:
        self.let_go(stream)
        self._streams.pop(stream, None)
        self.outflow.close(stream)
