"""GOP cache: all since the last keyframe, for who comes now. Pure."""

from collections.abc import Sequence
from typing import Final

from marchproxy.modules.rtmp.streams.batch import NO_ENTRY, Batch, write_chunks, write_preface
from marchproxy.wire.rtmp.message import Message
from marchproxy.wire.rtmp.preface import Preface

#: Bytes that a message takes beside its payload: a million empty ones are no small thing.
_OVERHEAD: Final = 128


class GopCache:
    """`most`: bytes; a GOP that is larger is not kept at all, and who comes waits for the next keyframe."""

    __slots__ = ("_pieces", "_whole", "most", "preface", "size", "time")

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0
        """Bytes that are kept."""
        self.time = 0
        """The timestamp of the first message."""
        self.preface = Preface()
        """What must be told before that one; what changes later stands behind it, where it changed."""
        self._pieces: list[bytes | Sequence[Message]] = []
        self._whole = False

    def add(self, batch: Batch) -> None:
        """What players were sent, or would have been."""
        piece: bytes | Sequence[Message]
        if batch.entry != NO_ENTRY:
            self.clear()
            self._whole, self.time, self.preface = True, batch.time, batch.preface
            piece = batch.tail if batch.is_written else batch.messages[batch.entry :]
        elif self._whole:
            piece = batch.data if batch.is_written else batch.messages
        else:
            return
        self.size += batch.size + _OVERHEAD * len(batch.messages)
        if self.size > self.most:
            self.clear()
        else:
            self._pieces.append(piece)

    def read(self) -> bytes:
        """All of it in chunks, behind the preface; empty: there is nothing to begin with."""
        written = b"".join(
            one if isinstance(one, bytes) else b"".join(map(write_chunks, one)) for one in self._pieces
        )
        if not written:
            return b""
        self._pieces = [written]
        return write_preface(self.preface, self.time) + written

    def clear(self) -> None:
        """Forget it, until the next keyframe."""
        self._pieces, self._whole, self.size = [], False, 0
