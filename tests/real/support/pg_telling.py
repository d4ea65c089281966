"""Everything that libpq can tell of the answers to what was said, as values that can be compared. Blocks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import pq
from psycopg.pq import ExecStatus, PGconn
from psycopg.pq.abc import PGresult

#: One thing that was told: a word for what it is, and all there is to know of it.
Told = tuple[Any, ...]
_REPORTED = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "is_superuser",
    "session_authorization",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "default_transaction_read_only",
    "in_hot_standby",
]
_COPYING = {ExecStatus.COPY_IN, ExecStatus.COPY_OUT}
#: Object ids from here on are handed out as objects are made, whoever makes them.
_FIRST_OWN_OID = 16384


class Teller:
    """A connection, and the transcript of what it was told."""

    def __init__(self, dsn: str) -> None:
        self.transcript: list[Told] = []
        self.connection = PGconn.connect(dsn.encode())
        assert self.connection.status == pq.ConnStatus.OK, self.connection.get_error_message()
        self.connection.notice_handler = lambda notice: self._notices.append(("notice", *_fields(notice)))
        self._names = 0
        # libpq tells of them as soon as it has read them, which of several rows may be earlier or later
        self._notices: list[Told] = []

    @property
    def idle(self) -> bool:
        """Whether no transaction is open."""
        return self.connection.transaction_status == pq.TransactionStatus.IDLE

    def simple(self, statement: str) -> None:
        self.connection.send_query(statement.encode())
        self._hear()

    def extended(
        self,
        statement: str,
        values: Sequence[str | None] = (),
        types: Sequence[int] = (),
        *,
        binary: bool = False,
    ) -> None:
        self.connection.send_query_params(
            statement.encode(), _bytes(values), types or None, None, int(binary)
        )
        self._hear()

    def prepared(
        self,
        statement: str,
        values: Sequence[str | None] = (),
        types: Sequence[int] = (),
        *,
        binary: bool = False,
    ) -> None:
        """Prepare it under a name, describe that, run it twice, and close it."""
        self._names += 1
        name = b"named%d" % self._names
        connection = self.connection
        if self._tell(connection.prepare(name, statement.encode(), types or None)):
            self._tell(connection.describe_prepared(name))
            for _ in range(2):
                connection.send_query_prepared(name, _bytes(values), None, int(binary))
                self._hear()
            self._tell(connection.close_prepared(name))
        self._state()

    def row_by_row(self, statement: str) -> None:
        self.connection.send_query_params(statement.encode(), None)
        self.connection.set_single_row_mode()
        self._hear()

    def pipelined(self, statements: Sequence[str]) -> None:
        """All of them sent before anything is heard; a Sync after every third and the last."""
        connection = self.connection
        connection.enter_pipeline_mode()
        syncs = 0
        for number, statement in enumerate(statements, 1):
            connection.send_query_params(statement.encode(), None)
            if number % 3 == 0 or number == len(statements):
                connection.pipeline_sync()
                syncs += 1
        while syncs:
            result = connection.get_result()
            if result is None:
                self.transcript.append(("end of one",))
                continue
            syncs -= result.status == ExecStatus.PIPELINE_SYNC
            self._tell(result)
        connection.exit_pipeline_mode()
        self._state()

    def copied(self, statement: str, data: Sequence[bytes] | None) -> None:
        self.connection.send_query(statement.encode())
        self._hear(data)

    def _hear(self, data: Sequence[bytes] | None = ()) -> None:
        connection = self.connection
        while (result := connection.get_result()) is not None:
            self._tell(result)
            if result.status == ExecStatus.COPY_OUT:
                while (got := connection.get_copy_data(0))[0] > 0:
                    self.transcript.append(("copied", bytes(got[1])))
            elif result.status == ExecStatus.COPY_IN:
                for piece in data or ():
                    connection.put_copy_data(piece)
                connection.put_copy_end(b"given up" if data is None else None)
        self._state()

    def _state(self) -> None:
        self.transcript += self._notices
        self._notices.clear()
        connection = self.connection
        reported = tuple(connection.parameter_status(name.encode()) for name in _REPORTED)
        status = pq.TransactionStatus(connection.transaction_status).name
        self.transcript.append(("state", status, reported))

    def _tell(self, result: PGresult) -> bool:
        """Whether it was no error."""
        failed = result.status == ExecStatus.FATAL_ERROR
        columns = tuple(_column(result, number) for number in range(result.nfields))
        rows: Iterator[tuple[bytes | None, ...]] = iter(())
        if result.status not in _COPYING:
            rows = (
                tuple(result.get_value(row, column) for column in range(result.nfields))
                for row in range(result.ntuples)
            )
        parameters = tuple(_oid(result.param_type(number)) for number in range(result.nparams))
        self.transcript.append(
            (
                ExecStatus(result.status).name,
                result.command_status,
                columns,
                tuple(rows),
                parameters,
                _fields(result) if failed else (),
            )
        )
        return not failed


@contextmanager
def telling(dsn: str) -> Iterator[Teller]:
    """A teller, disconnected at the end."""
    teller = Teller(dsn)
    try:
        yield teller
    finally:
        teller.connection.finish()


def told(teller: Teller, say: Callable[[Teller], None]) -> list[Told]:
    """What it is told when this is said."""
    teller.transcript = []
    say(teller)
    return teller.transcript


def _fields(result: PGresult) -> Told:
    """Every field of an error or a notice, but for severity in the server's language, which stands there twice."""
    return tuple((field.name, value) for field in pq.DiagnosticField if (value := result.error_field(field)))


def _column(result: PGresult, number: int) -> Told:
    return (
        result.fname(number),
        _oid(result.ftype(number)),
        result.fmod(number),
        result.fsize(number),
        result.fformat(number),
        result.ftable(number) > 0,
        result.ftablecol(number),
    )


def _oid(oid: int) -> int:
    return min(oid, _FIRST_OWN_OID)


def _bytes(values: Sequence[str | None]) -> list[bytes | None]:
    return [None if value is None else value.encode() for value in values]
