"""Keeping: a copy of an answer for the cache, up to a bound. Pure."""

#: Bytes of an answer that is kept.
LONGEST = 4 * 1024 * 1024


class Kept:
    """What a client is sent; of an answer that is too long nothing."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        """One part more."""
        self._size += len(data)
        if self._size <= LONGEST:
            self._parts.append(data)
        else:
            self._parts.clear()

    @property
    def whole(self) -> bytes:
        """All of it; empty: it is too long."""
        return b"".join(self._parts) if self._size <= LONGEST else b""
