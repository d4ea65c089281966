"""Flow: what a server owes for the commands it was sent, and whether its session has state. Pure.

Rows and column definitions are stepped over by their headers.
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
"""

import struct
from collections import deque
from enum import Enum, auto

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import Ok, read_eof, read_ok
from marchproxy.wire.mysql.numbers import Capability, Command, Status
from marchproxy.wire.mysql.packets import FULL, HEAD, Reader
from marchproxy.wire.mysql.prepared import REFUSED, Prepared, read_prepared
from marchproxy.wire.mysql.walk import whole_answer

_WORD = struct.Struct("<I")
#: The most bytes of a packet that must be seen whole: an OK with all that has changed.
_LONGEST = 1 << 20
#: The most columns that a result may have; servers stop at 4096.
_MOST_COLUMNS = 65_535
_OK, _LOCAL_FILE, _EOF, _ERR = 0x00, 0xFB, 0xFE, 0xFF
#: Commands that are not answered.
SILENT = frozenset({Command.QUIT, Command.STMT_CLOSE, Command.STMT_SEND_LONG_DATA})
_STREAMS = frozenset({Command.BINLOG_DUMP, Command.BINLOG_DUMP_GTID})
_SPOILS = _STREAMS | {Command.SET_OPTION, Command.REGISTER_SLAVE}
# plain numbers: those of an enum cost a call for each use
_IN_TRANSACTION = int(Status.IN_TRANS | Status.IN_TRANS_READONLY)
_AUTOCOMMIT, _CURSOR, _MORE = int(Status.AUTOCOMMIT), int(Status.CURSOR_EXISTS), int(Status.MORE_RESULTS)


class _State(Enum):
    FIRST = auto()
    COLUMNS = auto()
    COLUMNS_END = auto()
    ROWS = auto()
    PREPARED = auto()
    TEXT = auto()
    STREAM = auto()


#: What may be of any length, and never ends an answer.
_ENDLESS = frozenset({_State.ROWS, _State.STREAM})
_BEGINS = {
    Command.STMT_PREPARE: _State.PREPARED,
    Command.STMT_FETCH: _State.ROWS,
    Command.FIELD_LIST: _State.ROWS,
    Command.STATISTICS: _State.TEXT,
    Command.BINLOG_DUMP: _State.STREAM,
    Command.BINLOG_DUMP_GTID: _State.STREAM,
}


class Flow:
    """One server connection. `capabilities` are those that were agreed with the server."""

    def __init__(self, capabilities: int, *, status: int = Status.AUTOCOMMIT) -> None:
        self._capabilities = capabilities
        self._short_eof = not capabilities & Capability.DEPRECATE_EOF
        self._owed: deque[int] = deque()
        self._state = _State.FIRST
        self._is_first = False  # one answer is owed, and nothing of it has come
        self._blocks: deque[int] = deque()  # how many definitions are to come, in each of the blocks of them
        self._carry = b""
        self._skip = 0
        self._continued = False
        self.status = int(status)
        """As the server said last: see numbers.Status."""
        self.sequence = 0
        """Of the last packet of the answer that is under way; 0 before the first."""
        self.statements = 0
        """How many prepared statements are open."""
        self.spoilt = False
        """Whether the connection cannot be made as new: its options were changed, or it is a replica's."""
        self.errors = 0
        """How many commands were answered by an error."""
        self.prepared: list[Prepared] | None = None
        """What was prepared, one for each PREPARE that is answered; None: nobody wants to know."""

    @property
    def owed(self) -> int:
        """How many answers are outstanding."""
        return len(self._owed)

    @property
    def between(self) -> bool:
        """Whether the server is at the end of a packet."""
        return not self._carry and not self._skip and not self._continued

    @property
    def transacting(self) -> bool:
        """Whether a transaction is open."""
        return bool(self.status & _IN_TRANSACTION)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or one would begin by itself."""
        return self.transacting or not self.status & _AUTOCOMMIT

    def sent(self, command: int) -> None:
        """Note that the server was sent a command."""
        self.spoilt = self.spoilt or command in _SPOILS
        if command == Command.STMT_CLOSE:
            self.statements = max(0, self.statements - 1)
        if command in SILENT:
            self.spoilt = self.spoilt or command == Command.QUIT
            return
        self._owed.append(command)
        if len(self._owed) == 1:
            self._begin()
        else:
            self._is_first = False

    def received(self, data: bytes) -> None:
        """Note what the server answers. Raises ProtocolFault: nothing on this connection can be trusted any more."""
        if self._carry:
            data, self._carry = self._carry + data, b""
        elif self._is_first and not self._skip and self._whole(data):
            return
        size, at = len(data), self._skip
        while size - at >= HEAD:
            if self._state is _State.ROWS and not self._continued:
                at = self._rows(data, at)
                if size - at < HEAD:
                    break
            end = self._one(data, at)
            if end < 0:
                break
            at = end
        self._skip = max(0, at - size)
        self._carry = data[at:]

    def _whole(self, data: bytes) -> bool:
        """Whether the bytes are all of the one answer that is owed; most are, and are walked through here."""
        status = whole_answer(data, short_eof=self._short_eof)
        if status < 0 or status & (_CURSOR | _MORE):
            return False
        if self._owed[0] == Command.RESET_CONNECTION:
            self.statements = 0
        self.status = status
        self._owed.clear()
        self._is_first = False
        self.sequence = 0
        return True

    def _rows(self, data: bytes, at: int) -> int:
        """Step over rows; where the packet begins that is none, or the bytes end."""
        read, size = _WORD.unpack_from, len(data)
        word: int = self.sequence << 24
        while size - at > HEAD:
            if data[at + HEAD] >= _EOF:
                break
            word = read(data, at)[0]
            length = word & FULL
            if not 0 < length < FULL:
                break
            at += HEAD + length
        self.sequence = word >> 24
        return at

    def _one(self, data: bytes, at: int) -> int:
        """One packet; where it ends, or -1 when more of it must be seen."""
        word: int = _WORD.unpack_from(data, at)[0]
        length = word & FULL
        end = at + HEAD + length
        if self._continued:
            self.sequence, self._continued = word >> 24, length == FULL
            return end
        if not length:
            raise ProtocolFault("the server sent an empty packet")
        if len(data) - at == HEAD:
            return -1
        first = data[at + HEAD]
        if not self._owed:
            raise ProtocolFault(_unasked(data[at + HEAD : end]))
        if self._steps_over(first, length) and (end <= len(data) or self._state in _ENDLESS):
            self.sequence, self._continued = word >> 24, length == FULL
            self._stepped()
            return end
        if length > _LONGEST:
            raise ProtocolFault(f"the server ends an answer with {length} bytes")
        if end > len(data):
            return -1
        self.sequence = word >> 24
        self._judge(first, data[at + HEAD : end])
        return end

    def _steps_over(self, first: int, length: int) -> bool:
        match self._state:
            case _State.COLUMNS | _State.TEXT:
                return first != _ERR
            case _State.STREAM:
                return first < _EOF
            case _State.ROWS:
                return first < _EOF or (first == _EOF and length >= (9 if self._short_eof else FULL))
            case _:
                return False

    def _stepped(self) -> None:
        if self._state is _State.TEXT:
            self._end()
        elif self._state is _State.COLUMNS:
            self._blocks[0] -= 1
            if not self._blocks[0]:
                self._block_ended()

    def _block_ended(self) -> None:
        if self._short_eof:
            self._state = _State.COLUMNS_END
        else:
            self._after_columns(self.status & ~_CURSOR)

    def _after_columns(self, status: int) -> None:
        """Rows follow a result's columns, unless a cursor has them; after a PREPARE perhaps another block."""
        self._blocks.popleft()
        if self._blocks:
            self._state = _State.COLUMNS
        elif self._owed[0] == Command.STMT_PREPARE:
            self._end()
        elif status & _CURSOR:
            self._ended_with(status)
        else:
            self._state = _State.ROWS

    def _judge(self, first: int, payload: bytes) -> None:
        if first == _ERR:
            self.errors += 1
            if self.prepared is not None and self._state is _State.PREPARED:
                self.prepared.append(REFUSED)
            self._blocks.clear()
            self._end()
        elif self._state is _State.PREPARED:
            self._prepared(payload)
        elif self._state is _State.COLUMNS_END:
            if first != _EOF:
                raise ProtocolFault("no EOF after the columns")
            self._after_columns(read_eof(payload))
        elif first == _EOF and len(payload) < 9 and self._short_eof:
            self._ended_with(read_eof(payload) if len(payload) > 1 else self.status)
        elif first == _EOF and len(payload) == 5 and self._state is _State.FIRST:
            self._ended_with(read_eof(payload))  # the answer to SET_OPTION and DEBUG
        elif first in {_OK, _EOF}:
            self._heard(read_ok(payload, self._capabilities))
        elif first == _LOCAL_FILE:
            raise ProtocolFault("the server asks for a file of the client")
        else:
            self._result(payload)

    def _result(self, payload: bytes) -> None:
        reader = Reader(payload)
        columns = reader.length()
        if reader.left or not 0 < columns <= _MOST_COLUMNS:
            raise ProtocolFault(f"a result of {columns} columns")
        self._blocks.append(columns)
        self._state, self._is_first = _State.COLUMNS, False

    def _prepared(self, payload: bytes) -> None:
        prepared, columns = read_prepared(payload)
        self.statements += 1
        if self.prepared is not None:
            self.prepared.append(prepared)
        self._blocks.extend(count for count in (prepared.parameters, columns) if count)
        if self._blocks:
            self._state = _State.COLUMNS
        else:
            self._end()

    def _heard(self, ok: Ok) -> None:
        if self._owed[0] == Command.RESET_CONNECTION:
            self.statements = 0
        self._ended_with(ok.status)

    def _ended_with(self, status: int) -> None:
        self.status = status
        if status & _MORE:
            self._state, self._is_first = _State.FIRST, False
        else:
            self._end()

    def _end(self) -> None:
        self._owed.popleft()
        self._begin()

    def _begin(self) -> None:
        self._blocks.clear()
        self.sequence = 0
        head = self._owed[0] if self._owed else 0
        self._state = _BEGINS.get(head, _State.FIRST)  # type: ignore[call-overload]
        self._is_first = self._state is _State.FIRST and len(self._owed) == 1


def _unasked(payload: bytes) -> str:
    """A server says why it hangs up before it does."""
    words = payload[9:].decode(errors="replace") if payload[:1] == b"\xff" else ""
    return words or "the server answers something that nobody asked"
