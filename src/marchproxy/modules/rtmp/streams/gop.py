"""GOP cache: all since the last keyframe, for who comes now. Pure."""

from marchproxy.modules.rtmp.streams.batch import NO_ENTRY, Batch


class GopCache:
    """`most`: bytes; a GOP that is larger is not kept at all, and who comes waits for the next keyframe."""

    __slots__ = ("_pieces", "_whole", "most", "size", "time")

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0
        """Bytes that are kept."""
        self.time = 0
        """The timestamp of the first message."""
        self._pieces: list[bytes] = []
        self._whole = False

    def add(self, batch: Batch) -> None:
        """What was sent to players."""
        if batch.entry != NO_ENTRY:
            self.clear()
            self._whole, self.time = True, batch.time
            piece = batch.tail
        elif self._whole:
            piece = batch.data
        else:
            return
        self.size += len(piece)
        if self.size > self.most:
            self.clear()
        else:
            self._pieces.append(piece)

    def read(self) -> bytes:
        """All of it; empty: there is nothing to begin with."""
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    def clear(self) -> None:
        """Forget it, until the next keyframe."""
        self._pieces, self._whole, self.size = [], False, 0
