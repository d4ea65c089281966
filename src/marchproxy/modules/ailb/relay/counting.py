"""Counting: what of a stream is tokens, and what its provider says of them, at a glance: nothing is parsed. Pure.

It is shown whole events only; so a line begins where it is shown one, and text that a model writes has its quotes escaped.
"""

import re

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.dialects.usage import Tally

_DATA = b"data:"
_DATA_LINE = b"\ndata:"
_USAGE = b'"usage"'
_CONTENT, _NO_CONTENT = b'"content":"', b'"content":""'
#: Members of an event that bring a piece of what the model writes, where they are not empty.
_MEMBERS = {
    Operation.CHAT: rb"content|reasoning_content|reasoning|refusal|arguments",
    Operation.COMPLETIONS: rb"text",
    Operation.RESPONSES: rb"delta",
    Operation.MESSAGES: rb"text|thinking|partial_json",
}
_PIECES = {
    operation: re.compile(rb'"(?:%b)" ?: ?"(?!")' % members) for operation, members in _MEMBERS.items()
}
_NEVER = re.compile(rb"(?!)")
_QUOTE = b'"'
_BACKSLASH = 0x5C
#: After so many events in a row that were not like the ones before, nobody expects the next one to be.
_MOST_UNLIKE = 8


class Count:
    """Of one stream, in the words of `operation`. `pieces`: of text or of a tool's arguments; `lines`: of data; `has_usage`: what was
    shown last says what was used."""

    __slots__ = (
        "_before", "_behind", "_chat", "_first", "_last", "_operation", "_piece", "_unlike", "has_usage", "lines", "pieces",
    )  # fmt: skip

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._chat = operation is Operation.CHAT
        self._piece = _PIECES.get(operation, _NEVER)
        self._first = self._last = b""  # what was shown with usage in it
        self._before = self._behind = b""  # what stood around the text of an event that had one piece
        self._unlike = 0
        self.lines = 0
        self.pieces = 0
        self.has_usage = False

    def is_alike(self, data: bytes) -> bool:
        """Look at one event if it is as another one was, but for its text: which costs a fifth, and most of a stream are. Whether it is."""
        before, behind = self._before, self._behind
        if not before or not data.startswith(before) or not data.endswith(behind):
            return False
        start, end = len(before), len(data) - len(behind)
        if start >= end or data.find(_QUOTE, start, end) >= 0:
            return False
        self._unlike = 0
        self.has_usage = False
        self.lines += 1
        self.pieces += 1
        return True

    def see(self, data: bytes) -> int:
        """Look at whole events: how many pieces they bring."""
        lines = data.count(_DATA_LINE) + data.startswith(_DATA)
        self.lines += lines
        # `in` first takes what it looks for for a number, and makes an exception of it
        self.has_usage = data.find(_USAGE) >= 0
        if self.has_usage:
            self._last = data
            self._first = self._first or data
        found = data.count(_CONTENT) - data.count(_NO_CONTENT) if self._chat else 0
        if found != lines:  # something else is among them
            found = len(self._piece.findall(data))
        self.pieces += found
        if found == 1 == lines and not self.has_usage and self._unlike < _MOST_UNLIKE:
            self._learn(data)
        return found

    def _learn(self, data: bytes) -> None:
        self._unlike += 1
        piece = self._piece.search(data)
        if piece is not None:
            start = piece.end()
            end = data.find(_QUOTE, start)
            if end > start and data[end - 1] != _BACKSLASH:
                self._before, self._behind = data[:start], data[end:]

    @property
    def usage(self) -> Usage | None:
        """What the provider said, last; None: nothing."""
        tally = Tally(self._operation.dialect)
        for shown in (self._first, self._last) if self._first is not self._last else (self._last,):
            for line in shown.splitlines():
                if line.startswith(_DATA):
                    tally.see(line.removeprefix(_DATA).strip())
        return tally.usage


class WholeEvents:
    """Cuts a stream behind events: who breaks off in the middle of one leaves nothing that cannot be read. `held`: pieces of one."""

    __slots__ = ("_longest", "_size", "_tail", "held")

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self.held: list[bytes] = []
        self._size = 0
        self._tail = b""  # of what is held

    def feed(self, data: bytes) -> bytes | None:
        """The events that are whole now, empty: none; None: one has more than `longest` bytes."""
        if not self.held and data.endswith(b"\n\n"):
            return data
        seen = self._tail + data
        plain, crlf = seen.rfind(b"\n\n"), seen.rfind(b"\n\r\n")
        end = max(plain + 2 if plain >= 0 else 0, crlf + 3 if crlf >= 0 else 0)
        out = b""
        if end:
            cut = end - len(self._tail)
            out = b"".join((*self.held, data[:cut]))
            data = data[cut:]
            self.held.clear()
            self._size, self._tail = 0, b""
        if data:
            self.held.append(data)
            self._size += len(data)
            self._tail = (self._tail + data)[-3:]
        return out if self._size <= self._longest else None

    def rest(self) -> bytes:
        """What is held, when the stream ends as it should: the empty line behind the last event is forgotten by some."""
        rest = b"".join(self.held)
        self.held.clear()
        return rest
