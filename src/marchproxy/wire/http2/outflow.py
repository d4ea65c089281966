"""Outflow: what goes out on a connection, in order, within the windows of the peer (RFC 9113 §5.2, §6.9)."""

from collections import deque
from collections.abc import Callable

from marchproxy.wire.http2 import frames
from marchproxy.wire.http2.frames import Code, Http2Fault, StreamFault

_LAST = frames.END_HEADERS | frames.END_STREAM


class Lane:
    """One stream's way out: its window, and what waits for it."""

    __slots__ = ("backlog", "ending", "kind", "number", "trailers", "waiting", "window")

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.window = window
        self.kind = frames.head(0, frames.DATA, 0, number)[3:]
        """The head of its frames, but for the size."""
        self.waiting: deque[memoryview] = deque()
        self.backlog = 0
        """Bytes of what waits."""
        self.ending = False
        """Whether the stream ends behind what waits."""
        self.trailers = b""
        """A block of fields that ends it; empty: nothing but its end."""


class Outflow:
    """Frames to be sent. `wake` is called when there are some and there were none; then comes one `take` for all of them."""

    __slots__ = ("_frame", "_initial", "_lanes", "_out", "_stuck", "_wake", "_window", "sent")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._out: list[bytes | memoryview] = []
        self._window = self._initial = frames.WINDOW
        self._frame = frames.FRAME_SIZE
        self._lanes: dict[int, Lane] = {}
        self._stuck: dict[int, Lane] = {}  # in the order in which they are served
        self.sent = 0
        """Bytes of bodies, ever."""

    def take(self) -> bytes:
        """All that is to be written."""
        found = b"".join(self._out)
        self._out.clear()
        return found

    def put(self, *pieces: bytes | memoryview) -> None:
        """Send a frame that knows no window."""
        if not self._out:
            self._wake()
        self._out += pieces

    def open(self, number: int) -> None:
        """A stream has come."""
        self._lanes[number] = Lane(number, self._initial)

    def close(self, number: int) -> None:
        """A stream is gone, with what waits for its window."""
        self._lanes.pop(number, None)
        self._stuck.pop(number, None)

    def backlog(self, number: int) -> int:
        """Bytes of a stream that wait for windows."""
        lane = self._lanes.get(number)
        return lane.backlog if lane else 0

    def data(self, number: int, data: bytes) -> bool:
        """Send a part of a body, or keep what may not go yet; whether nothing waits. Who sends must heed it."""
        lane = self._lanes[number]
        size = len(data)
        if not size:
            return not lane.backlog
        if lane.backlog or size > self._window or size > lane.window or size > self._frame:
            lane.waiting.append(memoryview(data))  # cut without copies
            lane.backlog += size
            return self._drain(lane)
        lane.window -= size
        self._window -= size
        self.sent += size
        out = self._out
        if not out:
            self._wake()
        out += (size.to_bytes(3), lane.kind, data)
        return True

    def end(self, number: int, trailers: bytes = b"") -> bool:
        """The body is whole. Whether its end has gone out; otherwise it will, behind what waits.

        `trailers`: fields that go with it, encoded, no more than a frame has room for.
        """
        lane = self._lanes[number]
        if trailers:
            lane.trailers = trailers
        if lane.backlog:
            lane.ending = True
            return False
        if last := lane.trailers:
            self.put(frames.head(len(last), frames.HEADERS, _LAST, number), last)
        else:
            self.put(frames.head(0, frames.DATA, frames.END_STREAM, number))
        return True

    def widen(self, number: int, size: int) -> list[Lane]:
        """WINDOW_UPDATE: the lanes that have nothing left to wait for. Raises Http2Fault, StreamFault."""
        if number:
            lane = self._lanes.get(number)
            if lane is None:
                return []
            if size == 0:
                raise StreamFault(Code.PROTOCOL_ERROR, "a window that grows by nothing")
            if lane.window + size > frames.LARGEST_WINDOW:
                raise StreamFault(Code.FLOW_CONTROL_ERROR, "a window that is too large")
            lane.window += size
            return [lane] if lane.backlog and self._drain(lane) else []
        if size == 0:
            raise Http2Fault(Code.PROTOCOL_ERROR, "a window that grows by nothing")
        if self._window + size > frames.LARGEST_WINDOW:
            raise Http2Fault(Code.FLOW_CONTROL_ERROR, "a window that is too large")
        self._window += size
        return self._drain_all()

    def set_window(self, size: int) -> list[Lane]:
        """SETTINGS_INITIAL_WINDOW_SIZE; answers and raises as `widen`."""
        change, self._initial = size - self._initial, size
        for lane in self._lanes.values():
            lane.window += change
            if lane.window > frames.LARGEST_WINDOW:
                raise Http2Fault(Code.FLOW_CONTROL_ERROR, "a window that is too large")
        return self._drain_all()

    def set_frame(self, size: int) -> None:
        """SETTINGS_MAX_FRAME_SIZE."""
        self._frame = size

    def _drain_all(self) -> list[Lane]:
        """One frame of each in turn, so that none has to wait for a long one."""
        done: list[Lane] = []
        moved = True
        while moved and self._stuck and self._window > 0:
            moved = False
            for lane in list(self._stuck.values()):
                if lane.window > 0 and self._window > 0:
                    self._send_one(lane)
                    moved = True
                    if not lane.backlog:
                        del self._stuck[lane.number]
                        done.append(lane)
        return done

    def _drain(self, lane: Lane) -> bool:
        """As much as may go; whether that was all."""
        while lane.backlog and lane.window > 0 and self._window > 0:
            self._send_one(lane)
        if lane.backlog:
            self._stuck[lane.number] = lane
        else:
            self._stuck.pop(lane.number, None)
        return not lane.backlog

    def _send_one(self, lane: Lane) -> None:
        first = lane.waiting.popleft()
        most = min(self._frame, lane.window, self._window)
        piece = first[:most]
        if len(first) > most:
            lane.waiting.appendleft(first[most:])
        size = len(piece)
        lane.backlog -= size
        lane.window -= size
        self._window -= size
        self.sent += size
        self.put(frames.head(size, frames.DATA, 0, lane.number), piece)
