"""Results: small answers that the proxy itself asked for, read whole."""

from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import Refusal, read_error, read_ok
from marchproxy.wire.mysql.numbers import Capability, Status
from marchproxy.wire.mysql.packets import Reader
from marchproxy.wire.mysql.prepared import read_prepared

_OK, _NULL, _EOF, _ERR = 0x00, 0xFB, 0xFE, 0xFF
_MOST_COLUMNS, _MOST_ROWS = 200, 1000

#: A row by the names of its columns, in lower case; NULL is None.
Row = Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """The server answered by an error."""

    refusal: Refusal

    def __str__(self) -> str:
        return f"{self.refusal.code} {self.refusal.message}"


class Result:
    """The answer to one COM_QUERY of one statement, packet by packet."""

    def __init__(self, capabilities: int) -> None:
        self._capabilities = capabilities
        self._short_eof = not capabilities & Capability.DEPRECATE_EOF
        self._names: list[str] = []
        self._columns = 0
        self._in_rows = False
        self.rows: list[Row] = []
        self.done = False
        """Nothing more belongs to the answer, be it an error."""

    def feed(self, payload: bytes) -> None:
        """The next packet's payload. Raises Refused, ProtocolFault."""
        if payload[0] == _ERR:
            self.done = True
            raise Refused(read_error(payload))
        if not self._columns:
            self._first(payload)
        elif not self._in_rows:
            self._column(payload)
        elif payload[0] == _EOF and len(payload) < (9 if self._short_eof else 1 << 24):
            self.done = True
        else:
            self._row(payload)

    def _first(self, payload: bytes) -> None:
        if payload[0] == _OK:
            if read_ok(payload, self._capabilities).status & Status.MORE_RESULTS:
                raise ProtocolFault("one statement has several results")
            self.done = True
            return
        self._columns = Reader(payload).length()
        if not 0 < self._columns <= _MOST_COLUMNS:
            raise ProtocolFault(f"a result of {self._columns} columns, which was not asked for")

    def _column(self, payload: bytes) -> None:
        if len(self._names) == self._columns:
            self._in_rows = True  # this was the EOF behind the columns
            return
        reader = Reader(payload)
        for _ in range(4):  # catalogue, schema, table, the table's own name
            reader.text()
        self._names.append(reader.text().decode(errors="replace").lower())
        self._in_rows = not self._short_eof and len(self._names) == self._columns

    def _row(self, payload: bytes) -> None:
        if len(self.rows) == _MOST_ROWS:
            raise ProtocolFault("a result has more rows than were asked for")
        reader, row = Reader(payload), {}
        for name in self._names:
            row[name] = _value(reader)
        self.rows.append(row)


class PrepareResult:
    """The answer to a COM_STMT_PREPARE, packet by packet. Columns and parameters are not read."""

    def __init__(self, capabilities: int) -> None:
        self._short_eof = not capabilities & Capability.DEPRECATE_EOF
        self._left = 0
        self.number = 0
        """What the server calls the statement."""
        self.done = False

    def feed(self, payload: bytes) -> None:
        """The next packet's payload. Raises Refused, ProtocolFault."""
        if self.number:
            self._left -= 1
        elif payload[0] == _ERR:
            self.done = True
            raise Refused(read_error(payload))
        else:
            prepared, columns = read_prepared(payload)
            self.number = prepared.number
            self._left = sum(count + self._short_eof for count in (columns, prepared.parameters) if count)
        self.done = not self._left


def _value(reader: Reader) -> bytes | None:
    if reader.peek() == _NULL:
        reader.take(1)
        return None
    return reader.text()
