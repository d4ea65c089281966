"""Inquiry: a session of our own on a server, for questions of the proxy itself; one at a time, answers as text."""

import asyncio
import struct
from typing import cast

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.postgres.dialling import reach
from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.dblb.postgres.login import KINDS, Credentials, LoginRefused, log_in
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.backend import ErrorFields, read_error
from marchproxy.wire.postgres.framing import Framer, Interest

_LONGEST = 1 << 20
_MOST_ROWS = 200_000
_ROW, _ERROR, _READY = b"DEZ"
_INTERESTS = {
    **{ord(kind): Interest.STEP_OVER for kind in "TCINSA"},
    **{ord(kind): Interest.WHOLE for kind in "DEZ"},
}
_COUNT = struct.Struct("!H")
_LENGTH = struct.Struct("!i")

Row = tuple[str | None, ...]
#: What `open_inquiry` and `ask` raise when there is no answer, beside TimeoutError of their caller.
FAULTS: tuple[type[Exception], ...] = (LoginRefused, ProtocolFault, PeerGone, OSError)


class QueryRefused(OSError):
    """The server answered with an error, which are `fields`."""

    def __init__(self, fields: ErrorFields) -> None:
        super().__init__(f"{fields.code} {fields.message}")
        self.fields = fields


class Inquiry(asyncio.Protocol):
    """A session. It begins with `open_inquiry`."""

    def __init__(self) -> None:
        self._login: Inbox | None = Inbox(KINDS)
        self._framer = Framer(_INTERESTS, longest=_LONGEST)
        self._rows: list[Row] = []
        self._refused: ErrorFields | None = None
        self._answer: asyncio.Future[list[Row]] | None = None
        self.transport = cast("asyncio.Transport", None)

    @property
    def open(self) -> bool:
        """Whether it can be asked."""
        return not self.transport.is_closing()

    async def log_in(self, credentials: Credentials) -> None:
        """Open the session. Raises what `login.log_in` does."""
        assert self._login is not None
        await log_in(self._login, self.transport.write, credentials)
        self._login = None

    async def ask(self, query: str) -> list[Row]:
        """The rows of one query. Raises QueryRefused, PeerGone, ProtocolFault.

        The caller sets the deadline; when it passes, the connection is closed.
        """
        assert self._answer is None
        if not self.open:
            raise PeerGone("the server closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._rows, self._refused = [], None
        self.transport.write(encode.query(query))
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.transport.abort()
            raise
        finally:
            self._answer = None

    def end(self) -> None:
        """Close the session."""
        if self.open:
            self.transport.write(encode.TERMINATE)
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop once."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop for every read."""
        if self._login is not None:
            self._login.feed(data)
            return
        try:
            data, events = self._framer.feed(data)
            for kind, start, end in events:
                self._heard(kind, data[start:end])
        except ProtocolFault as fault:
            self._fail(fault)
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop once, last."""
        if self._login is not None:
            self._login.close()
        self._fail(PeerGone(str(error) if error else "the server closed the connection"))

    def _heard(self, kind: int, message: bytes) -> None:
        if kind == _ROW:
            if len(self._rows) >= _MOST_ROWS:
                raise ProtocolFault(f"an answer of more than {_MOST_ROWS} rows")
            self._rows.append(read_row(message))
        elif kind == _ERROR:
            self._refused = read_error(message)
        elif kind == _READY and self._answer is not None and not self._answer.done():
            if self._refused is not None:
                self._answer.set_exception(QueryRefused(self._refused))
            else:
                self._answer.set_result(self._rows)

    def _fail(self, fault: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(fault)


async def open_inquiry(
    address: HostPort, credentials: Credentials, tls: UpstreamTls | None = None
) -> Inquiry:
    """A session on a server. Raises FAULTS; the caller sets the deadline."""
    inquiry = Inquiry()
    await reach(address, tls, inquiry)
    try:
        await inquiry.log_in(credentials)
    except BaseException:
        inquiry.transport.abort()
        raise
    return inquiry


def read_row(message: bytes) -> Row:
    """The values of a DataRow in the text format. Raises ProtocolFault."""
    try:
        (count,) = _COUNT.unpack_from(message, 5)
        at, values = 7, list[str | None]()
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(message, at)
            at += 4
            values.append(None if length < 0 else message[at : at + length].decode())
            at += max(length, 0)
    except (struct.error, UnicodeDecodeError) as error:
        raise ProtocolFault("a row is not well formed") from error
    if at != len(message):
        raise ProtocolFault("a row is longer or shorter than its values")
    return tuple(values)
