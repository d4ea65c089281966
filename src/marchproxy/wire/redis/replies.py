"""Replies: finds where each answer of a server ends. Nothing is read but lengths, nothing is held but half a line.

Aggregates may nest, and be streamed; attributes belong to the reply behind them. RESP2 and RESP3.
"""

from marchproxy.wire.fault import ProtocolFault

#: Of a line: a simple string, an error, a number.
_LONGEST_LINE = 64 * 1024
#: Of a length; Redis' proto-max-bulk-len may be raised, and nothing is allocated for it here.
_MOST_DIGITS = 12
_DEEPEST = 128
_LINES = frozenset(b"+-:_,#(")
_BULKS = frozenset(b"$!=")
_AGGREGATES = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2}
_ATTRIBUTE, _CHUNK, _END = b"|;."
#: On the stack instead of a number of elements: they come until an end is told.
_STREAMED, _CHUNKS = -1, -2
_NOT_DONE = -1

_ODD = frozenset(b"->")
_BULK = ord("$")
#: Most lengths; the rest is read and checked.
_LENGTHS = {str(length).encode(): length + 2 for length in range(1024)}

#: A reply that is an error or was not asked for: the first byte of its type, where in the bytes it starts (0: before them),
#: and how many replies end before it.
Odd = tuple[int, int, int]


class Replies:
    """What comes from one server."""

    __slots__ = ("_first", "_held", "_skip", "_stack", "odd")

    def __init__(self) -> None:
        self.odd: list[Odd] = []
        """Of the bytes that were fed last."""
        self._held = b""
        self._skip = 0  # bytes of a string
        self._stack: list[int] = []  # elements to come, in each aggregate
        self._first = 0

    @property
    def between(self) -> bool:
        """Whether the server is at the end of a reply."""
        return not (self._held or self._skip or self._stack)

    def feed(self, data: bytes) -> tuple[bytes, list[int]]:  # noqa: C901, PLR0912 - one loop, run for each reply
        """The bytes that may go on, and where in them replies end. Raises ProtocolFault."""
        if self._held:
            data, self._held = self._held + data, b""
        size, at, start, stack = len(data), 0, 0, self._stack
        ends: list[int] = []
        if self.odd:
            self.odd = []
        if self._skip:
            at, self._skip = self._skip, 0
            if at <= size and self._closed():
                self._end(ends, 0, at)
                start = at
        while at < size:
            end = data.find(b"\r\n", at, at + _LONGEST_LINE)
            if end < 0:
                if size - at >= _LONGEST_LINE:
                    raise ProtocolFault("a line of a server is too long")
                self._held, data = data[at:], data[:at]
                break
            kind = data[at]
            if not stack:
                self._first = kind
            if kind in _LINES:
                at = end + 2
            else:
                length = _LENGTHS.get(data[at + 1 : end], _NOT_DONE) if kind == _BULK else _NOT_DONE
                if length < 0:
                    length = self._begin(kind, data[at + 1 : end])
                at = end + 2 + max(0, length)
                if length == _NOT_DONE:
                    continue
            if at > size:
                break
            if not stack or self._closed():
                if self._first in _ODD:
                    self._end(ends, start, at)
                else:
                    ends.append(at)
                start = at
        if at > size:
            self._skip = at - size
        return data, ends

    def _end(self, ends: list[int], start: int, at: int) -> None:
        if self._first in _ODD:
            self.odd.append((self._first, start, len(ends)))
        ends.append(at)

    def _begin(self, kind: int, length: bytes) -> int:  # noqa: PLR0911 - one way for each type
        """The bytes of a string that are to come, 0 for what is done; _NOT_DONE when others must come first."""
        stack = self._stack
        if kind in _BULKS:
            if length == b"?":
                self._push(_CHUNKS)
                return _NOT_DONE
            return 0 if length == b"-1" else _number(length) + 2
        if kind in _AGGREGATES:
            if length == b"?":
                self._push(_STREAMED)
                return _NOT_DONE
            count = 0 if length == b"-1" else _number(length) * _AGGREGATES[kind]
            if count:
                self._push(count)
                return _NOT_DONE
            return 0
        if kind == _ATTRIBUTE:
            return self._attribute(_number(length) * 2)
        if kind == _CHUNK and stack and stack[-1] == _CHUNKS:
            if count := _number(length):
                return count + 2
            stack.pop()
            return 0
        if kind == _END and not length and stack and stack[-1] == _STREAMED:
            stack.pop()
            return 0
        raise ProtocolFault(f"no reply begins with {chr(kind)!r} there")

    def _attribute(self, count: int) -> int:
        """It is an element more, before the one that it belongs to."""
        if not self._stack:
            self._push(2)
        elif self._stack[-1] > 0:
            self._stack[-1] += 1
        if not count:
            return 0
        self._push(count)
        return _NOT_DONE

    def _push(self, count: int) -> None:
        if len(self._stack) >= _DEEPEST:
            raise ProtocolFault(f"a reply is nested more than {_DEEPEST} deep")
        self._stack.append(count)

    def _closed(self) -> bool:
        """An element has ended: whether the whole reply has."""
        stack = self._stack
        while stack:
            if stack[-1] < 0:
                return False
            stack[-1] -= 1
            if stack[-1]:
                return False
            stack.pop()
        return True


def _number(length: bytes) -> int:
    if not length.isdigit() or len(length) > _MOST_DIGITS:
        raise ProtocolFault("a length is not a number")
    return int(length)
