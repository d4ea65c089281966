"""Requests: cuts what a client sends into commands. Arguments are stepped over.

A command is an array of bulk strings, or a line that somebody typed, which is handed on as an array. Bounds as in Redis'
src/networking.c: 1,048,576 arguments, 512 MiB for each, 64 KiB for a line.
"""

import re

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.values import encode

MOST_ARGUMENTS = 1024 * 1024
LONGEST_ARGUMENT = 512 * 1024 * 1024
_LONGEST_LINE = 64 * 1024
_LONGEST_NAME = 128
#: How often arrays and lines may alternate in one read: each time costs a copy of it.
_MOST_SWITCHES = 64
_HEAD = re.compile(rb"\*([0-9]{1,10})\r\n\$([0-9]{1,10})\r\n")
#: A name and the length of the first word behind it: what most commands begin with.
_USUAL = re.compile(rb"\*([23])\r\n\$([0-9]{1,2})\r\n([A-Za-z]{1,24})\r\n\$([0-9]{1,7})\r\n")
_HEAD_BEGUN = re.compile(rb"\*(?:[0-9]{1,10}(?:\r(?:\n(?:\$(?:[0-9]{1,10}\r?)?)?)?)?)?")
_NOTHING = re.compile(rb"\*(?:0+|-1)\r\n")
_NOTHING_BEGUN = re.compile(rb"\*(?:0+|-1?)?\r?")
_BULK = re.compile(rb"\$([0-9]{1,10})\r\n")
_BULK_BEGUN = re.compile(rb"(?:\$(?:[0-9]{1,10}\r?)?)?")
_WORD = re.compile(
    rb"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\')*)'|([^\s"']+))(?=\s|$)""",  # as sdssplitargs reads it
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}

_MOST_DIGITS = 7
_ARRAY = ord("*")

#: A command: its name in capitals, where it starts and ends in the bytes it came with, and whether it ends there. What
#: is too long to be held back comes in parts, of which the first alone has the name.
Request = tuple[bytes, int, int, bool]


class Requests:
    """One client. A command of more than `longest` bytes comes in parts."""

    __slots__ = ("_held", "_left", "_longest", "_parts", "_seen", "_skip")

    def __init__(self, *, longest: int) -> None:
        self._longest = max(longest, 1024)  # so that a name is always held whole
        self._held = b""
        self._parts = (
            False  # a command comes in parts, of which arguments are left and bytes of the one under way
        )
        self._left = self._skip = 0
        self._seen = (
            0,
            0,
        )  # of what is held: how far it was read, and the arguments left; so that none is read twice

    @property
    def between(self) -> bool:
        """Whether the client is at the end of a command."""
        return not (self._held or self._parts)

    def feed(self, data: bytes) -> tuple[bytes, list[Request]]:
        """The bytes, and the commands in them. Raises ProtocolFault."""
        if self._held:
            data, self._held = self._held + data, b""
        requests: list[Request] = []
        at, switches = 0, 0
        if self._parts:
            at = self._go_on(data, requests)
        while at < len(data) and not self._parts:
            if data[at] != _ARRAY:
                switches += 1
                if switches > _MOST_SWITCHES:
                    raise ProtocolFault("too many inline commands between others")
                data = data[:at] + _inline(data[at:])
                if data[at : at + 1] != b"*":
                    self._held = data[at:]
                    break
            after = at if self._seen[0] else _run_of_usual(data, at, requests)
            if after == at:
                after = self._command(data, at, requests)
            if after < 0:
                break
            at = after
        return data, requests

    def _command(self, data: bytes, at: int, requests: list[Request]) -> int:
        """Where the next one begins; below 0 when there is none."""
        head = _HEAD.match(data, at)
        if head is None or not int(head[1]):
            nothing = _NOTHING.match(data, at)
            if nothing is None:
                _check_head(data[at : at + 32])
                self._held, self._seen = data[at:], (0, 0)
                return -1
            return nothing.end()
        count, length = int(head[1]), int(head[2])
        if count > MOST_ARGUMENTS:
            raise ProtocolFault("invalid multibulk length")
        if not 0 < length <= _LONGEST_NAME:
            raise ProtocolFault("the name of a command is empty or too long")
        start, size = head.end(), len(data)
        seen, left = self._seen if at == 0 and self._seen[0] else (start + length + 2, count - 1)
        self._seen = (0, 0)
        end, left = _walk(data, seen, left)
        if not left and end <= size:
            requests.append((data[start : start + length].upper(), at, end, True))
            return end
        if max(end, size) - at <= self._longest:
            # what is announced counts: nobody waits for the rest of what will not be held back
            self._held = data[at:]
            self._seen = (end - at, left) if end <= size else (0, 0)
        else:
            self._parts = True
            requests.append((data[start : start + length].upper(), at, self._split(data, end, left), False))
        return -1

    def _go_on(self, data: bytes, requests: list[Request]) -> int:
        size = len(data)
        if self._skip > size:
            self._skip -= size
            requests.append((b"", 0, size, False))
            return size
        end, left = _walk(data, self._skip, self._left)
        self._parts = bool(left) or end > size
        end = self._split(data, end, left)
        requests.append((b"", 0, end, not self._parts))
        return end

    def _split(self, data: bytes, end: int, left: int) -> int:
        size = len(data)
        self._left, self._skip = left, max(0, end - size)
        if self._parts:
            self._held = data[end:]
        return min(end, size)


def _run_of_usual(data: bytes, at: int, requests: list[Request]) -> int:
    """Cut off usual commands of one or two words that are whole; where the first other one begins, if any."""
    size, usual, bulk = len(data), _USUAL.match, _BULK.match
    while (head := usual(data, at)) is not None:
        count, named, name, length = head.groups()
        end = head.end() + int(length) + 2
        if len(name) != int(named):
            break
        if count == b"3":
            last = bulk(data, end)
            if last is None or len(last[1]) > _MOST_DIGITS:
                break
            end = last.end() + int(last[1]) + 2
        if end > size:
            break
        requests.append((name.upper(), at, end, True))
        at = end
    return at


def _walk(data: bytes, at: int, left: int) -> tuple[int, int]:
    """Step over arguments: where the last one that began ends, maybe behind the bytes, and how many are left."""
    size = len(data)
    while left and at <= size:
        bulk = _BULK.match(data, at)
        if bulk is None:
            if not _BULK_BEGUN.fullmatch(data, at, min(size, at + 16)):
                raise ProtocolFault("an argument does not begin with its length")
            break
        length = int(bulk[1])
        if length > LONGEST_ARGUMENT:
            raise ProtocolFault("invalid bulk length")
        at = bulk.end() + length + 2
        left -= 1
    return at, left


def _check_head(begun: bytes) -> None:
    if not _HEAD_BEGUN.fullmatch(begun) and not _NOTHING_BEGUN.fullmatch(begun):
        raise ProtocolFault("an array begins neither with a number nor with the name of a command")


def _inline(data: bytes) -> bytes:
    """The bytes, of which the lines at the beginning are made arrays."""
    arrays: list[bytes] = []
    at = 0
    while at < len(data) and data[at] != _ARRAY:
        end = data.find(b"\n", at, at + _LONGEST_LINE)
        if end < 0:
            if len(data) - at >= _LONGEST_LINE:
                raise ProtocolFault("too big inline request")
            break
        words = split_line(data[at:end].removesuffix(b"\r"))
        if words:
            arrays.append(encode(words))
        at = end + 1
    return b"".join([*arrays, data[at:]])


def split_line(line: bytes) -> list[bytes]:
    """The words of a line that somebody typed. Raises ProtocolFault."""
    words, at = [], 0
    while line[at:].strip():
        word = _WORD.match(line, at)
        if word is None:
            raise ProtocolFault("unbalanced quotes in request")
        double, single, bare = word.groups()
        if double is not None:
            words.append(_ESCAPE.sub(_unescaped, double))
        else:
            words.append(bare if single is None else single.replace(b"\\'", b"'"))
        at = word.end()
    return words


def _unescaped(found: re.Match[bytes]) -> bytes:
    number, letter = found.groups()
    return bytes([int(number, 16)]) if number else _ESCAPED.get(letter, letter)
