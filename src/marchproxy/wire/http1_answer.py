"""HTTP/1.1 as one of our own clients hears it from a server (RFC 9112): bytes in; a head and the bytes of a body out, at once.

Made for streams: the body comes as it was read, and where a read is whole chunks, which is what it mostly is, that costs one match.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from marchproxy.wire.fault import ProtocolFault

_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_LONGEST_CHUNK_HEAD = 256
_SHORT_HEAD = 1024
_LINE_END = b"\r\n"
_CONTINUE, _SWITCHED, _NO_CONTENT, _NOT_MODIFIED = 199, 101, 204, 304
_UNTIL_CLOSE: Final = -1
_SHORT_CHUNK = 1024
#: Of reads that are one short chunk, which most reads of a stream are, by their length: where the data begins, and what is before it.
_WHOLE_CHUNKS = {
    len(head) + size + 2: (len(head), (head, head.upper()))
    for size in range(1, _SHORT_CHUNK)
    for head in (b"%x\r\n" % size,)
}
_NO_CHUNK: tuple[int, tuple[bytes, ...]] = 0, ()
#: Of one connection alone; not to be passed on.
HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te", b"trailer"}
)


class Answer:
    """One answer to a request that is not HEAD. `longest`: bytes of its head. Interim answers (1xx) are passed over.

    `status` is 0 until the head is whole; names of `fields` are in small letters. `ended`: the body is whole. `extra`: bytes
    behind it, which nobody asked for.
    """

    __slots__ = (
        "_chunked",
        "_held",
        "_left",
        "_longest",
        "_trailing",
        "ended",
        "extra",
        "fields",
        "keeps",
        "status",
    )

    def __init__(self, *, longest: int = 64 * 1024) -> None:
        self._longest = longest
        self._held = b""  # what is not worth looking at without more
        self._chunked = self._trailing = False
        self._left = 0  # bytes of the body, or of a chunk with its end
        self.status = 0
        self.fields: list[tuple[bytes, bytes]] = []
        self.ended = self.extra = self.keeps = False
        """`keeps`: whether the connection can be asked again once the answer has ended."""

    def field(self, name: bytes) -> bytes:
        """A field's value, the last one; empty: it has none."""
        for named, value in reversed(self.fields):
            if named == name:
                return value
        return b""

    def receive(self, data: bytes) -> bytes:
        """What of the body is in these bytes. Raises ProtocolFault; then the connection cannot go on."""
        if self._chunked and not (self._held or self._left or self._trailing):
            start, heads = _WHOLE_CHUNKS.get(len(data), _NO_CHUNK)
            if data.startswith(heads) and data.endswith(_LINE_END):
                return data[start:-2]
        if self._held:
            data, self._held = self._held + data, b""
        if not self.status:
            rest = self._read_head(data)
            if rest is None:
                return b""
            data = rest
        if self.ended:
            self.extra = self.extra or bool(data)
            return b""
        if self._chunked:
            return self._chunks(data)
        if self._left == _UNTIL_CLOSE:
            return data
        body = data[: self._left]
        self._left -= len(body)
        self.ended = not self._left
        self.extra = len(data) > len(body)
        return body

    def close(self) -> bool:
        """The connection has ended; whether the answer has, too, as far as HTTP can tell."""
        if self.status and self._left == _UNTIL_CLOSE:
            self.ended = True
        return self.ended

    def _read_head(self, data: bytes) -> bytes | None:
        """What is behind the head; None: it is not whole."""
        end = data.find(_END)
        if end < 0 or end > self._longest:
            if len(data) > self._longest:
                raise ProtocolFault(f"a head of more than {self._longest} bytes")
            self._held = data
            return None
        head = data[:end]
        found = _known_head(head) if end <= _SHORT_HEAD else _head(head)
        if found.status <= _CONTINUE:
            return self._read_head(data[end + 4 :])
        self.status, fields, self.keeps, self._chunked, self._left = found
        self.fields = list(fields)
        self.ended = not (self._chunked or self._left)
        return data[end + 4 :]

    def _chunks(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        at, size = 0, len(data)
        if self._left:
            at = self._read_on(data, parts)
        while at < size and not self._trailing:
            matched = _CHUNK.match(data, at)
            if matched is None:
                self._hold(data, at)
                break
            length, start = int(matched[1], 16), matched.end()
            at = start
            if length:
                end = at = start + length
                parts.append(data[start:end])
                if end + 2 <= size:
                    if data[end : end + 2] != _LINE_END:
                        raise ProtocolFault("a chunk that does not end where it should")
                    at = end + 2
                else:
                    self._left = end + 2 - size
                    self._check_end(data[end:])
                    break
            else:
                self._trailing = True
        if self._trailing:
            self._read_trailers(data[at:])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_on(self, data: bytes, parts: list[bytes]) -> int:
        """The rest of a chunk; where the next one begins."""
        left = self._left
        if left > 2:
            parts.append(data[: left - 2])
        self._left = max(0, left - len(data))
        self._check_end(data[max(0, left - 2) : left], done=max(0, 2 - left))
        return min(left, len(data))

    def _check_end(self, end: bytes, *, done: int = 0) -> None:
        if not _LINE_END.startswith(end, done):
            raise ProtocolFault("a chunk that does not end where it should")

    def _hold(self, data: bytes, at: int) -> None:
        self._held = data[at:]
        if len(self._held) >= _LONGEST_CHUNK_HEAD or b"\n" in self._held:
            raise ProtocolFault("no head of a chunk")

    def _read_trailers(self, data: bytes) -> None:
        """Trailers are dropped."""
        if data.startswith(_LINE_END):
            end = 2
        elif (found := data.find(_END)) >= 0:
            end = found + 4
        elif len(data) > self._longest:
            raise ProtocolFault(f"trailers of more than {self._longest} bytes")
        else:
            self._held = data
            return
        self.ended = True
        self.extra = len(data) > end


class _Head(NamedTuple):
    """`left`: bytes of the body, where it is not chunked."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    keeps: bool
    chunked: bool
    left: int


def _head(data: bytes) -> _Head:
    first, _, rest = data.partition(_LINE_END)
    matched = _STATUS.fullmatch(first)
    if matched is None:
        raise ProtocolFault("no head of an HTTP/1.1 answer")
    status = int(matched[2])
    if status == _SWITCHED:
        raise ProtocolFault("a protocol that nobody asked for")
    if status <= _CONTINUE:
        return _Head(status, (), keeps=True, chunked=False, left=0)
    fields = tuple(_fields(rest))
    return _Head(status, fields, *_framing(status, fields, modern=matched[1] == b"1"))


#: An engine says nearly the same each time: only its clock goes on.
_known_head = lru_cache(maxsize=256)(_head)


def _framing(status: int, fields: tuple[tuple[bytes, bytes], ...], *, modern: bool) -> tuple[bool, bool, int]:
    """How the body is told from what follows (§6.3): what a `_Head` has of it."""
    last = dict(fields)
    connection = last.get(b"connection", b"").lower()
    keeps = b"close" not in connection if modern else b"keep-alive" in connection
    coding = last.get(b"transfer-encoding")
    lengths = {value for name, value in fields if name == b"content-length"}
    if status in {_NO_CONTENT, _NOT_MODIFIED}:
        return keeps, False, 0
    if coding:
        if coding.lower() != b"chunked" or lengths:
            raise ProtocolFault("a body that is framed in a way that is not taken")
        return keeps, True, 0
    if not lengths:
        return False, False, _UNTIL_CLOSE
    (length, *more) = lengths
    if more or not length.isdigit() or len(length) > 15:
        raise ProtocolFault("a length that is no number, or two of them")
    return keeps, False, int(length)


def _fields(data: bytes) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for line in data.split(_LINE_END) if data else ():
        matched = _FIELD.fullmatch(line)
        if matched is None:
            raise ProtocolFault("a field of a head that is none")
        found.append((matched[1].lower(), matched[2].rstrip(b" \t")))
    return found
