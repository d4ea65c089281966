"""Rewriting: what goes on of chunks that are skimmed where the reader does not know all that was before them.

A head may leave out what the last one on its chunk stream said. To a reader that has not had that one, it must say all; and the
reader then counts deltas and long times from there, so that some heads behind it are written anew as well. All else goes on
as it came.
"""

from dataclasses import dataclass

from marchproxy.wire.rtmp.chunking import basic, full_head
from marchproxy.wire.rtmp.headers import EXTENDED, ChunkStream
from marchproxy.wire.rtmp.message import Message, elapsed


@dataclass(frozen=True, slots=True)
class Opening:
    """With which message media go on: a keyframe (`video`), or any frame; `after` a time, if there is one."""

    video: bool
    after: int | None

    def is_met(self, stream: ChunkStream, *, keyframe: bool) -> bool:
        """Whether a frame that begins on this chunk stream is the one."""
        late = self.after is None or elapsed(self.after, stream.timestamp) > 0
        return late and (keyframe or not self.video)


class Rewriting:
    """One direction of one connection. Places are in the bytes that were handed to `take`."""

    __slots__ = (
        "_data",
        "_half",
        "_heads",
        "_pieces",
        "_taken",
        "known",
        "left_out",
        "opening",
        "queued",
        "stream_id",
    )

    def __init__(self) -> None:
        self.known: set[int] = set()
        """Chunk streams of which the reader knows what we know."""
        self._half: set[int] = set()  # and those where it knows that but for the delta
        self.left_out: set[int] = set()
        """Those whose message under way does not go on."""
        self._heads: dict[
            int, bytes
        ] = {}  # of the rest of a message under way, where they differ from what comes
        self.opening: Opening | None = None
        """What is waited for; no frames go on before."""
        self.stream_id = 0
        """Of all messages of a stream, if it is not 0."""
        self.queued: list[bytes] = []
        """Chunks of others that go between two of these."""
        self._data = b""
        self._taken = 0
        self._pieces: list[bytes] = []

    def take(self, data: bytes, gone: int) -> None:
        """The next bytes, of which so many have gone on already."""
        self._data, self._taken = data, gone

    def give(self, end: int) -> bytes:
        """What goes on of the bytes up to there."""
        if not self._pieces:
            return self._data[self._taken : end] if self._taken or end < len(self._data) else self._data
        self._pieces.append(self._data[self._taken : end])
        given = b"".join(self._pieces)
        self._pieces.clear()
        return given

    def gone_beyond(self, at: int) -> int:
        """How many bytes behind that place have gone on, or never will."""
        return max(0, self._taken - at)

    def put(self, start: int, end: int, instead: bytes = b"") -> None:
        """In place of the bytes from start to end."""
        self._pieces += (self._data[self._taken : start], instead)
        self._taken = end

    def insert_queued(self, at: int) -> None:
        """Between two chunks."""
        if not self.gone_beyond(at):  # else half a head has gone on already
            self.put(at, at, b"".join(self.queued))
            self.queued.clear()

    def forget(self, csid: int) -> None:
        """What the reader knows of a chunk stream is not what we know."""
        self.known.discard(csid)
        self._half.discard(csid)

    def leave_out(self, csid: int) -> None:
        """The message that begins on a chunk stream does not go on."""
        self.left_out.add(csid)
        self.forget(csid)

    def is_settled(self, stream: ChunkStream) -> bool:
        """Whether a message that begins on a chunk stream goes on as it comes, head and all."""
        return self.opening is None and stream.csid in self.known and not self._renumbers(stream)

    def begin(self, stream: ChunkStream, start: int, body: int) -> None:
        """A message begins that goes on; its head is from start to body."""
        csid, fmt = stream.csid, self._format(start)
        in_full = not fmt or (fmt < 3 and csid in self._half)
        if in_full or csid in self.known:
            self.known.add(csid)
            self._half.discard(csid)
            if fmt or not self._renumbers(stream):
                return
        else:
            self._half.add(csid)
        written = self.renumbered(Message(stream.type, stream.stream_id, stream.timestamp, b"", csid))
        self.put(start, body, full_head(written, stream.length, csid))
        repeated = stream.timestamp.to_bytes(4) if stream.timestamp >= EXTENDED else b""
        if repeated != _repeated(stream):
            self._heads[csid] = basic(3, csid) + repeated

    def go_on(self, csid: int, start: int, body: int) -> None:
        """A message goes on with a head from start to body."""
        if csid in self._heads:
            self.put(start, body, self._heads[csid])

    def is_plain(self, csid: int) -> bool:
        """Whether the heads by which the message under way goes on are as they come."""
        return csid not in self._heads

    def end(self, csid: int) -> None:
        """A message has ended."""
        self.left_out.discard(csid)
        self._heads.pop(csid, None)

    def renumbered(self, message: Message) -> Message:
        """With the stream's id as the reader knows it."""
        return message._replace(stream_id=self.stream_id) if self.stream_id and message.stream_id else message

    def head_of_rest(self, stream: ChunkStream) -> bytes:
        """With which a message under way goes on."""
        return self._heads.get(stream.csid, basic(3, stream.csid) + _repeated(stream))

    def _format(self, start: int) -> int:
        return self._data[start] >> 6

    def _renumbers(self, stream: ChunkStream) -> bool:
        renumbered = self.stream_id
        return renumbered != 0 and stream.stream_id not in (0, renumbered)


def _repeated(stream: ChunkStream) -> bytes:
    """The time that stands in each head by which the message under way goes on."""
    return stream.field.to_bytes(4) if stream.extended else b""
