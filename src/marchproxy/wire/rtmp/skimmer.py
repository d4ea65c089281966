"""Skimmer: steps over chunks that are relayed as they are, and tells what passes. Media are neither copied nor joined.

What is read whole are the few messages that must be understood: control, commands, data, and configurations of decoders.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.rtmp.chunking import encode
from marchproxy.wire.rtmp.commands import LONGEST_COMMAND
from marchproxy.wire.rtmp.headers import LONGEST, MORE, MOST_STREAMS, ChunkStream, Headers
from marchproxy.wire.rtmp.media import FIRST, is_keyframe, is_lasting
from marchproxy.wire.rtmp.message import AUDIO, COMMAND_TYPES, DATA_TYPES, VIDEO, Message, Type
from marchproxy.wire.rtmp.rewriting import Opening, Rewriting

#: Of metadata and configurations that are read; longer ones only pass.
LONGEST_KEPT: Final = 256 * 1024
#: Of all that is under way and read, over all chunk streams.
_MOST_KEPT: Final = 1024 * 1024
#: By which what is put between goes, or the next lower one that is free; nginx-rtmp takes none from 32 on.
_OURS: Final = 31
_SET_CHUNK_SIZE, _ABORT = int(Type.SET_CHUNK_SIZE), int(Type.ABORT)
_MEDIA = frozenset({AUDIO, VIDEO})
_SAID = COMMAND_TYPES | DATA_TYPES
_CONTROL = frozenset({1, 2, 3, 4, 5, 6})
_REPLACED = _SAID | {int(Type.USER_CONTROL)}


class Began(NamedTuple):
    """A message that has begun to pass. `first`: its first bytes, FIRST of them if it has as many; `length`: how many it has."""

    type: int
    stream_id: int
    timestamp: int
    length: int
    first: bytes
    csid: int


Passed: TypeAlias = Began | Message
Replace: TypeAlias = Callable[[Message], Message | None]


class Skimmer:
    """One direction of one connection.

    `rewrites`: whether the reader has had none of what was before; heads are then held back until they are whole. `replace`:
    while it is set, and heads are rewritten, it says for each command, data message, and event of user control what goes on
    instead, None: nothing.
    """

    __slots__ = ("_body", "_due", "_gone", "_headers", "_held", "_kept", "_rewriting", "forward", "replace")

    def __init__(
        self,
        *,
        longest: int = LONGEST,
        most: int = MOST_STREAMS,
        rewrites: bool = False,
        replace: Replace | None = None,
    ) -> None:
        self._headers = Headers(longest=longest, most=most)
        self._held = b""  # of a head, and of the first bytes behind it
        self._gone = 0  # of these, how many went on
        self._body = 0  # where the body begins in them, if the head is whole
        self._due = 0  # bytes of a chunk's body
        self._kept: dict[int, bytearray] = {}
        self._rewriting = Rewriting() if rewrites else None
        self.replace = replace
        self.forward = b""
        """What goes on for the bytes that were fed last; those themselves if nothing is rewritten."""

    @property
    def chunk_size(self) -> int:
        """As the writer told last, and the reader with it."""
        return self._headers.chunk_size

    @property
    def waiting(self) -> bool:
        """Whether frames are left out until the one comes with which to begin."""
        return self._rewriting is not None and self._rewriting.opening is not None

    def feed(self, data: bytes) -> list[Passed]:
        """What begins to pass in these bytes, and what was read of what has passed. Raises ProtocolFault."""
        events: list[Passed] = []
        rewriting = self._rewriting
        if rewriting is None:
            self.forward = data
            if self._due > len(data) and not self._kept:
                self._due -= len(data)
                self._headers.stream.left -= len(data)
                return events
        if self._held:
            data, self._held = self._held + data, b""
        if rewriting is not None:
            rewriting.take(data, self._gone)
        self._skim(data, events)
        if rewriting is None:
            self._gone = len(self._held)
        else:
            end = len(data) - len(self._held)
            self.forward = rewriting.give(end)
            self._gone = rewriting.gone_beyond(end)
        if self._kept and sum(map(len, self._kept.values())) > _MOST_KEPT:
            raise ProtocolFault("more commands, metadata and configurations under way than are allowed")
        return events

    def restart(self, *, video: bool = True, after: int | None = None, stream_id: int = 0) -> None:
        """From here on what goes on is for a reader that has had nothing, but knows `chunk_size`, and what decoders need.

        Frames go on from the next keyframe, without `video` from the next frame, that is later than `after`. `stream_id`: what
        the stream is called there, 0: as it is here.
        """
        rewriting = self._rewriting = Rewriting()
        rewriting.opening = Opening(video, after)
        rewriting.stream_id = stream_id
        begun = self._headers.stream.csid if self._body else 0
        rewriting.left_out |= {
            csid for csid, stream in self._headers.streams.items() if stream.left and csid != begun
        }
        self._gone = 0

    def inject(self, message: Message) -> bytes:
        """Put a message of ours between theirs: what to write at once; empty where it goes on with what is fed next.

        It goes by a chunk stream that they do not use.
        """
        rewriting = self._rewriting
        if rewriting is None:
            rewriting = self._rewriting = Rewriting()
            rewriting.known |= self._headers.streams.keys()
        used = self._headers.streams
        csid = next((csid for csid in range(_OURS, 2, -1) if csid not in used), max(used, default=0) + 1)
        chunks = encode(rewriting.renumbered(message), self.chunk_size, csid)
        if self._due or self._gone:
            rewriting.queued.append(chunks)
            return b""
        return chunks

    def finish(self) -> bytes:
        """Zeros that end what the reader has half of, for that no more comes. Only where heads were rewritten from the begin."""
        rewriting, size = self._rewriting, self.chunk_size
        if rewriting is None or self._gone:
            raise ValueError("what goes on as it comes cannot be ended: half a head may have gone")
        begun = self._headers.stream.csid if self._body else 0
        out = bytearray(self._due if self._headers.stream.csid not in rewriting.left_out else 0)
        for csid, stream in self._headers.streams.items():
            if csid in rewriting.left_out or csid == begun:
                continue
            left = stream.left - (self._due if stream is self._headers.stream else 0)
            for at in range(0, left, size):
                out += rewriting.head_of_rest(stream) + bytes(min(size, left - at))
        return bytes(out)

    def _skim(self, data: bytes, events: list[Passed]) -> None:
        at, size, headers = 0, len(data), self._headers
        if self._due:
            at = self._chunk(data, (0, 0), self._due, events)
        while at < size:
            if self._rewriting is not None and self._rewriting.queued:
                self._rewriting.insert_queued(at)
            body, self._body = self._body or headers.read(data, at), 0
            if body == MORE:
                self._held = data[at:]
                return
            if headers.starts:
                stream = headers.stream
                if size - body < FIRST and size - body < stream.length:
                    self._held, self._body = data[at:], body - at
                    return
                self._begin(data, at, body, events)
            elif self._rewriting is not None:
                self._rewriting.go_on(headers.stream.csid, at, body)
            at = self._bodies(data, (at, body), events)
        if self._rewriting is not None and self._rewriting.queued and not self._due:
            self._rewriting.insert_queued(size)

    def _begin(self, data: bytes, at: int, body: int, events: list[Passed]) -> None:
        stream = self._headers.stream
        kind, length = stream.type, stream.length
        first = data[body : body + min(length, FIRST)]
        is_media = kind in _MEDIA
        if is_media:
            keeps = length <= LONGEST_KEPT and is_lasting(kind, first)
        elif kind in COMMAND_TYPES and length > LONGEST_COMMAND:
            raise ProtocolFault(f"a command of {length} bytes; {LONGEST_COMMAND} are allowed")
        else:
            keeps = kind in _CONTROL or (kind in _SAID and length <= LONGEST_KEPT)
        if keeps:
            self._kept[stream.csid] = bytearray()
        if is_media or not keeps:
            events.append(Began(kind, stream.stream_id, stream.timestamp, length, first, stream.csid))
        rewriting = self._rewriting
        if rewriting is not None and (keeps or not rewriting.is_settled(stream)):
            self._rewrite(rewriting, first, (at, body), keeps=keeps)

    def _rewrite(self, rewriting: Rewriting, first: bytes, head: tuple[int, int], *, keeps: bool) -> None:
        """Whether a message that begins goes on, and its head."""
        stream = self._headers.stream
        if rewriting.opening is not None and stream.type in _MEDIA and not keeps:
            if not rewriting.opening.is_met(stream, keyframe=is_keyframe(stream.type, first)):
                rewriting.leave_out(stream.csid)
                return
            rewriting.opening = None
        if (
            keeps
            and stream.type in _REPLACED
            and self.replace is not None
            and not rewriting.gone_beyond(head[0])
        ):
            rewriting.leave_out(stream.csid)
        else:
            rewriting.begin(stream, *head)

    def _bodies(self, data: bytes, head: tuple[int, int], events: list[Passed]) -> int:
        """Step over a chunk, and those behind it as long as they are of the same message."""
        headers, rewriting = self._headers, self._rewriting
        stream, chunk, (_, at) = headers.stream, headers.chunk_size, head
        left, csid = stream.left, stream.csid
        if csid in self._kept or not (rewriting is None or rewriting.is_plain(csid)):
            return self._chunk(data, head, min(left, chunk), events)
        if left <= len(data) - at and left <= chunk and (rewriting is None or csid not in rewriting.left_out):
            stream.left = 0
            return at + left
        if left <= chunk or stream.extended or csid > 63:
            return self._chunk(data, head, min(left, chunk), events)
        end = min(len(data), at + left + (left - 1) // chunk)
        heads = data[at + chunk : end : chunk + 1]
        if heads.count(0xC0 | csid) != len(heads):
            return self._chunk(data, head, chunk, events)
        full, rest = divmod(end - at, chunk + 1)
        stream.left = left = left - full * chunk - rest
        self._due = min(chunk - rest, left)
        if rewriting is not None:
            if csid in rewriting.left_out:
                rewriting.put(head[0], end)
            if not left:
                rewriting.end(csid)
        return end

    def _chunk(self, data: bytes, head: tuple[int, int], due: int, events: list[Passed]) -> int:
        """Step over what is there of one chunk."""
        stream, rewriting, (start, at) = self._headers.stream, self._rewriting, head
        end = min(at + due, len(data))
        self._due = due - (end - at)
        stream.left -= end - at
        csid = stream.csid
        if rewriting is not None and csid in rewriting.left_out:
            rewriting.put(start, end)
        kept = self._kept.get(csid) if self._kept else None
        if kept is not None:
            kept += data[at:end]
        if not stream.left:
            if rewriting is not None and kept is None:
                rewriting.end(csid)
            if kept is not None:
                self._whole(stream, end, events)
        return end

    def _whole(self, stream: ChunkStream, end: int, events: list[Passed]) -> None:
        payload = bytes(self._kept.pop(stream.csid))
        message = Message(stream.type, stream.stream_id, stream.timestamp, payload, stream.csid)
        if message.type == _SET_CHUNK_SIZE:
            self._headers.resize(payload)
        elif message.type == _ABORT:
            self._abort(int.from_bytes(payload[:4]))
        events.append(message)
        rewriting = self._rewriting
        if rewriting is None:
            return
        if stream.csid in rewriting.left_out:
            is_replaced = message.type in _REPLACED and self.replace is not None
            instead = self.replace(message) if is_replaced and self.replace is not None else message
            if instead is not None:
                written = rewriting.renumbered(instead)
                rewriting.put(end, end, encode(written, self.chunk_size, stream.csid))
        rewriting.end(stream.csid)

    def _abort(self, csid: int) -> None:
        stream = self._headers.streams.get(csid)
        if stream is not None:
            stream.left = 0
            self._kept.pop(csid, None)
            if self._rewriting is not None:
                self._rewriting.end(csid)
