"""Requests: the commands in what a client sends. Parameters and long statements are stepped over."""

import struct
from typing import NamedTuple

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.numbers import Command
from marchproxy.wire.mysql.packets import FULL, HEAD

_WORD = struct.Struct("<I")
#: Commands of which somebody here wants to see everything; they are held back until they are complete.
_HELD = frozenset(
    {
        Command.QUIT,
        Command.INIT_DB,
        Command.QUERY,
        Command.PROCESS_KILL,
        Command.PING,
        Command.CHANGE_USER,
        Command.STMT_PREPARE,
        Command.RESET_CONNECTION,
    }
)
_KNOWN = frozenset(Command)


class Request(NamedTuple):
    """A command, and where it is in the bytes it came with; `whole` is false when its end is not among them."""

    command: int
    start: int
    end: int
    whole: bool

    def moved(self, by: int) -> "Request":
        """The same when the bytes begin so much later."""
        return Request(self.command, self.start - by, self.end - by, whole=self.whole)


class UnknownCommand(ProtocolFault):
    """A command that is not spoken here."""


class Requests:
    """The client's direction of a connection. `longest` is of commands that are held back, in bytes."""

    __slots__ = ("_continued", "_held", "_longest", "_skip")

    def __init__(self, *, longest: int) -> None:
        self._longest = min(longest, FULL - 1)
        self._held = b""
        self._skip = 0
        self._continued = False

    def hold_up_to(self, longest: int) -> None:
        """Hold back longer commands, or only shorter ones, from the next one on."""
        self._longest = min(longest, FULL - 1)

    @property
    def between(self) -> bool:
        """Whether the stream is at the end of a command."""
        return not self._held and not self._skip and not self._continued

    def feed(self, data: bytes) -> tuple[bytes, list[Request]]:
        """The bytes that may go on, and the commands that begin in them. Raises ProtocolFault."""
        if self._held:
            data, self._held = self._held + data, b""
        size, at = len(data), self._skip
        if (
            not at
            and not self._continued
            and size > HEAD
            and _WORD.unpack_from(data)[0] + HEAD == size < FULL
        ):
            return data, [self._one(data, size)]  # one command, whole and by itself, as most are
        found: list[Request] = []
        while size - at >= HEAD:
            word = _WORD.unpack_from(data, at)[0]
            length = word & FULL
            end = at + HEAD + length
            if self._continued:
                self._continued = length == FULL
            else:
                if length and size - at == HEAD:
                    break
                request = self._begin(data, at, word)
                if request is None:
                    break
                found.append(request)
            at = end
        if at >= size:
            self._skip = at - size
            return data, found
        self._skip = 0
        self._held = data[at:]
        return data[:at], found

    @staticmethod
    def _one(data: bytes, size: int) -> Request:
        command = data[HEAD]
        if command not in _KNOWN:
            raise UnknownCommand(f"command {command:#x} is not known")
        return Request(command, 0, size, True)  # noqa: FBT003 - its last field, by place, which is faster

    def _begin(self, data: bytes, at: int, word: int) -> Request | None:
        length, size = word & FULL, len(data)
        if not length or word >> 24:
            raise ProtocolFault("a command begins with a packet of number 0 and at least one byte")
        command, end = data[at + HEAD], at + HEAD + length
        if command not in _KNOWN:
            raise UnknownCommand(f"command {command:#x} is not known")
        if end > size and command in _HELD and length <= self._longest:
            return None
        self._continued = length == FULL
        return Request(command, at, min(end, size), whole=end <= size and not self._continued)
