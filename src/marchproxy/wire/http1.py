"""HTTP/1.1 as one of our own servers takes it from an Envoy (RFC 9112): bytes in, whole requests out; answers to bytes.

Strict, since who is in front has cleaned up: no folded lines, no transfer coding but `chunked`, and never that beside a
length (RFC 9112 §6.3: a way to smuggle). No upgrades, no trailers are kept.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from marchproxy.wire.fault import ProtocolFault

_END = b"\r\n\r\n"
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEAD = re.compile(rb"(%b) ([^\x00-\x20\x7f]+) HTTP/1\.1((?:\r\n%b:[^\r\n\x00]*)*)" % (_TOKEN, _TOKEN))
_FIELD = re.compile(rb"([^\r\n:]+):[ \t]*([^\r\n]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_LONGEST_CHUNK_HEAD = 256
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Request:
    """A whole request. Names of `fields` are in small letters; what stands there twice is joined by a comma."""

    method: str
    target: str
    fields: dict[bytes, bytes]
    body: bytes

    def field(self, name: bytes) -> str:
        """A field's value; empty: it has none."""
        value = self.fields.get(name)
        return value.decode("latin-1") if value else ""


class Requests:
    """One connection's requests. `head` and `body`: the most bytes of each."""

    __slots__ = ("_body", "_chunked", "_head", "_held", "_need", "_open", "_parts", "_size")

    def __init__(self, *, head: int, body: int) -> None:
        self._head = head
        self._body = body
        self._held = bytearray()
        self._need = 0  # bytes that must be there before it is worth looking again
        self._open: tuple[str, str, dict[bytes, bytes]] | None = None
        self._chunked = False
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def between(self) -> bool:
        """Whether nothing of a next request has come."""
        return not self._held and self._open is None

    def receive(self, data: bytes) -> list[Request]:
        """The requests that are whole now. Raises ProtocolFault; then the connection cannot go on."""
        held = self._held
        held += data
        found: list[Request] = []
        while held and len(held) >= self._need:
            if self._open is None and not self._read_head():
                break
            if not (self._read_chunks() if self._chunked else self._read_body()):
                break
            assert self._open is not None
            found.append(Request(*self._open, b"".join(self._parts)))
            self._open, self._chunked, self._need, self._size = None, False, 0, 0
            self._parts.clear()
        return found

    def _read_head(self) -> bool:
        held = self._held
        end = held.find(_END)
        if end < 0:
            if len(held) > self._head:
                raise ProtocolFault(f"a head of more than {self._head} bytes")
            return False
        if end > self._head:
            raise ProtocolFault(f"a head of more than {self._head} bytes")
        matched = _HEAD.fullmatch(held, 0, end)
        if matched is None:
            raise ProtocolFault("no head of an HTTP/1.1 request")
        method, target, rest = matched.groups()
        del held[: end + 4]
        found = _FIELD.findall(rest)
        fields = {name.lower(): value.rstrip(b" \t") for name, value in found}
        if len(fields) < len(found):
            fields = _joined(found)
        self._size = self._length(fields)
        self._open = method.decode("ascii"), target.decode("latin-1"), fields
        self._need = self._size
        # a request without a body is whole although nothing is held any more
        return bool(held) or not (self._size or self._chunked)

    def _length(self, fields: dict[bytes, bytes]) -> int:
        coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
        if coding is not None:
            if length is not None or coding.lower() != b"chunked":
                raise ProtocolFault("a body that is framed in a way that is not taken")
            self._chunked = True
            return 0
        if length is None:
            return 0
        if not (length.isdigit() and len(length) <= 15):
            raise ProtocolFault("a length that is no number")
        if int(length) > self._body:
            raise ProtocolFault(f"a body of more than {self._body} bytes")
        return int(length)

    def _read_body(self) -> bool:
        if len(self._held) < self._size:
            return False
        if self._size:
            self._parts.append(bytes(self._held[: self._size]))
            del self._held[: self._size]
        return True

    def _read_chunks(self) -> bool:
        """All chunks that are there; whether the last one was."""
        held, at = self._held, 0
        try:
            while True:
                matched = _CHUNK.match(held, at)
                if matched is None:
                    self._check_begun(at)
                    return False
                size, start = int(matched[1], 16), matched.end()
                if not size:
                    done, at = self._read_trailers(matched.start(), start)
                    return done
                if self._size + size > self._body:
                    raise ProtocolFault(f"a body of more than {self._body} bytes")
                if len(held) < start + size + 2:
                    self._need = start + size + 2 - at
                    return False
                if held[start + size : start + size + 2] != b"\r\n":
                    raise ProtocolFault("a chunk that does not end where it should")
                self._parts.append(bytes(held[start : start + size]))
                self._size += size
                at = start + size + 2
                self._need = 0
        finally:
            del held[:at]

    def _check_begun(self, at: int) -> None:
        self._need = 0
        line = self._held[at : at + _LONGEST_CHUNK_HEAD]
        if len(line) == _LONGEST_CHUNK_HEAD or b"\n" in line:
            raise ProtocolFault("no head of a chunk")

    def _read_trailers(self, last: int, start: int) -> tuple[bool, int]:
        """Whether they have ended, and what is read by then; trailers are dropped."""
        held = self._held
        if held.startswith(b"\r\n", start):
            return True, start + 2
        end = held.find(_END, start)
        if end >= 0:
            return True, end + 4
        if len(held) - start > self._head:
            raise ProtocolFault(f"trailers of more than {self._head} bytes")
        self._need = 0
        return False, last


def _joined(found: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for spelled, padded in found:
        name, value = spelled.lower(), padded.rstrip(b" \t")
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def answer(status: int, fields: Iterable[tuple[bytes, bytes]] = (), body: bytes = b"") -> bytes:
    """A whole answer."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, b"Error"))]
    lines += [b"%b: %b\r\n" % field for field in fields]
    lines.append(b"content-length: %d\r\n\r\n" % len(body))
    return b"".join(lines) + body
