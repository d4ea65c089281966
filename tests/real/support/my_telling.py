"""Every packet of the answers to what was said to a MariaDB, as it came. Blocks."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pymysql
from pymysql.constants import CLIENT, COMMAND, SERVER_STATUS

#: The packets of one answer after another, each with its number.
Told = list[tuple[int, bytes]]
_OK, _FILE, _END, _ERROR = 0x00, 0xFB, 0xFE, 0xFF
_STRING = 0xFD
_READ_ONLY = 1  # the kind of a cursor


class Teller:
    """A connection whose packets are read here, because pymysql keeps only what it wants of them."""

    def __init__(self, port: int, password: str, database: str) -> None:
        self._connection = pymysql.connect(
            host="127.0.0.1",
            port=port,
            user="app",
            password=password,
            database=database,
            client_flag=CLIENT.MULTI_STATEMENTS | CLIENT.LOCAL_FILES,
            autocommit=True,
            read_timeout=20,
        )
        self._told: Told = []
        self._status = 0
        # as errors call the statement that is prepared
        self._number = b"(no number)"

    def text(self, statement: str) -> Told:
        """What it answers to the statement, and which warnings it then shows."""
        self._told = []
        self._say(COMMAND.COM_QUERY, statement.encode())
        self._say(COMMAND.COM_QUERY, b"show warnings")
        return self._told

    def prepared(self, statement: str, values: Sequence[str | None] = ()) -> Told:
        """The same of a statement that is prepared, executed twice, and closed."""
        self._told = []
        if (number := self._prepare(statement)) is not None:
            types = b"".join(struct.pack("<H", _STRING) for _ in values)
            nulls = sum((value is None) << at for at, value in enumerate(values))
            bound = b"".join(_counted(value.encode()) for value in values if value is not None)
            for new in (types, b""):
                told = nulls.to_bytes((len(values) + 7) // 8, "little") + bytes([bool(new)]) + new + bound
                start = struct.pack("<IBI", number, 0, 1)
                self._say(COMMAND.COM_STMT_EXECUTE, start + (told if values else b""))
            self._connection._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", number))
        self._say(COMMAND.COM_QUERY, b"show warnings")
        return self._told

    def fetched(self, statement: str) -> Told:
        """What it answers when the statement is read with a cursor, three rows first."""
        self._told = []
        if (number := self._prepare(statement)) is not None:
            self._say(COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", number, _READ_ONLY, 1))
            for rows in (3, 10_000):
                self._connection._execute_command(COMMAND.COM_STMT_FETCH, struct.pack("<II", number, rows))
                self._rows()
            self._say(COMMAND.COM_STMT_RESET, struct.pack("<I", number))
            self._connection._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", number))
        return self._told

    def command(self, number: int, what: bytes) -> Told:
        """What it answers to another command."""
        self._told = []
        self._say(number, what)
        return self._told

    @property
    def idle(self) -> bool:
        """Whether no transaction is open, as far as it was told."""
        return not self._status & SERVER_STATUS.SERVER_STATUS_IN_TRANS

    def close(self) -> None:
        self._connection.close()

    def _prepare(self, statement: str) -> int | None:
        self._connection._execute_command(COMMAND.COM_STMT_PREPARE, statement.encode())
        first = self._read(hidden=slice(1, 5))  # whose numbers they are, each side may choose
        if first[0] == _ERROR:
            return None
        number, columns, parameters = struct.unpack_from("<IHH", first, 1)
        for definitions in (parameters, columns):
            for _ in range(definitions + bool(definitions)):
                self._read()
        self._number = b"(%d)" % number
        return int(number)

    def _say(self, command: int, what: bytes) -> None:
        self._connection._execute_command(command, what)
        while self._one_answer():
            pass

    def _one_answer(self) -> bool:
        """Whether another one follows."""
        first = self._read()
        if first[0] == _ERROR:
            return False
        if first[0] == _FILE:
            self._connection.write_packet(b"")
            first = self._read()
        if first[0] == _OK:
            packet = pymysql.connections.MysqlPacket(first, "utf8mb4")
            self._status = pymysql.connections.OKPacketWrapper(packet).server_status
        elif first[0] == _END:
            self._end(first)
        else:
            columns = pymysql.connections.MysqlPacket(first, "utf8mb4").read_length_encoded_integer()
            for _ in range(columns):
                self._read()
            self._end(self._read())
            if not self._status & SERVER_STATUS.SERVER_STATUS_CURSOR_EXISTS and not self._rows():
                return False
        return bool(self._status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS)

    def _rows(self) -> bool:
        """Whether they ended without an error."""
        while (row := self._read())[0] != _END or len(row) >= 9:
            if row[0] == _ERROR:
                return False
        self._end(row)
        return True

    def _end(self, packet: bytes) -> None:
        (self._status,) = struct.unpack_from("<H", packet, 3)

    def _read(self, hidden: slice = slice(0)) -> bytes:
        header = self._connection._read_bytes(4)
        data = bytes(self._connection._read_bytes(int.from_bytes(header[:3], "little")))
        shown = bytearray(data)
        if data[0] == _OK:
            shown[hidden] = b""
        elif data[0] == _ERROR:
            shown = shown.replace(self._number, b"(its number)")
        self._told.append((header[3], bytes(shown)))
        self._connection._next_seq_id = header[3] + 1
        return data


@contextmanager
def telling(port: int, password: str, database: str) -> Iterator[Teller]:
    """A teller, disconnected at the end."""
    teller = Teller(port, password, database)
    try:
        yield teller
    finally:
        teller.close()


def _counted(value: bytes) -> bytes:
    if len(value) < 251:
        return bytes([len(value)]) + value
    return b"\xfd" + len(value).to_bytes(3, "little") + value
