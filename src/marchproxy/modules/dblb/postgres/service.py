"""Service: PostgreSQL's port. Lets clients in, gives each a pool, and passes cancellations on."""

import asyncio
import hmac
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.postgres.greeting import KINDS, NotProven, Way, authenticate
from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import Credentials, log_in
from marchproxy.modules.dblb.postgres.pool import Pool, PoolLimits
from marchproxy.modules.dblb.postgres.requests import Requests
from marchproxy.modules.dblb.postgres.secrets import Secret
from marchproxy.modules.dblb.postgres.session import Session
from marchproxy.modules.dblb.postgres.settling import FOLLOWING, Settings
from marchproxy.modules.dblb.postgres.statements import Catalogue
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.startup import CancelRequest, GssRequest, Opening, SslRequest, Startup

_log = get_logger(__name__)
_NEWEST_MINOR = 2
_CANCEL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where sessions are opened, and as whom; `password` of a user that is not in the map: its own, where it is known."""

    address: HostPort
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How clients are let in. Times in seconds; bytes of prepared statements: of each server, and of all clients."""

    users: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    way: Way = Way.SCRAM
    login: float = 15.0
    limits: PoolLimits = PoolLimits()
    longest: int = 64 * 1024 * 1024
    server_statements: int = 4 * 1024 * 1024
    client_statements: int = 64 * 1024 * 1024


class Service:
    """All sessions of one port, and the pools that they share."""

    def __init__(
        self, server: Server, settings: ServiceSettings, group: asyncio.TaskGroup, clock: Clock
    ) -> None:
        self._server = server
        self._settings = settings
        self._group = group
        self._clock = clock
        self._catalogue = Catalogue(most_bytes=settings.client_statements)
        self._pools: dict[tuple[str, str], Pool] = {}
        self._sessions: dict[Session, int] = {}
        self._keys: dict[int, tuple[bytes, Session]] = {}
        self._tls: ssl.SSLContext | None = None

    def session(self) -> Session:
        """A client that has just connected."""
        session = Session(self, Requests(self._catalogue), longest=self._settings.longest)
        self._sessions[session] = 0
        return session

    def close(self) -> None:
        """End everything."""
        for session in list(self._sessions):
            session.end("the proxy is stopping")
        for pool in self._pools.values():
            pool.close()

    def opened(self, session: Session, opening: Opening) -> None:
        """What a client begins with."""
        match opening:
            case SslRequest() | GssRequest():
                session.transport.write(encode.PLAIN)
            case CancelRequest(number, key):
                self._group.create_task(self._cancel(session, number, key))
            case Startup():
                session.inbox = Inbox(KINDS)
                self._group.create_task(self._welcome(session, session.inbox, opening))

    def left(self, session: Session) -> None:
        """A client is gone."""
        number = self._sessions.pop(session, 0)
        self._keys.pop(number, None)

    async def _welcome(self, session: Session, inbox: Inbox, startup: Startup) -> None:
        user = startup.parameters["user"]
        try:
            async with asyncio.timeout(self._settings.login):
                if startup.minor > _NEWEST_MINOR or startup.options:
                    minor = min(startup.minor, _NEWEST_MINOR)
                    session.transport.write(encode.negotiate(minor, startup.options))
                secret = self._settings.users.get(user)
                await authenticate(inbox, session.transport.write, user, secret, self._settings.way)
                pool = self._pool(startup.parameters.get("database", user), user)
                reported = await _reported(pool)
        except NotProven as error:
            session.end(str(error), "28P01")
        except ProtocolFault as fault:
            session.end(str(fault), "08P01")
        except PeerGone:
            session.transport.abort()
        except TimeoutError:
            session.end(f"not logged in within {self._settings.login:g} s", "08006")
        except _NoServer as error:
            session.end(str(error), "08006")
        else:
            if inbox.clean and not session.transport.is_closing():
                self._admit(session, pool, startup, reported)
            else:
                session.end("bytes came before they were asked for", "08P01")

    def _admit(self, session: Session, pool: Pool, startup: Startup, reported: Mapping[str, str]) -> None:
        asked = {name: startup.parameters[name] for name in FOLLOWING if name in startup.parameters}
        parameters = {**reported, **asked}
        number, key = self._key(session, long=startup.minor >= 2)
        words = [encode.challenge(0), *(encode.parameter(*item) for item in parameters.items())]
        session.transport.write(b"".join([*words, encode.key(number, key), encode.ready(ord("I"))]))
        session.begin(pool, Settings().as_reported(parameters))

    def _key(self, session: Session, *, long: bool) -> tuple[int, bytes]:
        while (number := int.from_bytes(os.urandom(4)) >> 1) in self._keys or not number:
            pass
        key = os.urandom(32 if long else 4)
        self._keys[number] = (key, session)
        self._sessions[session] = number
        return number, key

    def _pool(self, database: str, user: str) -> Pool:
        known = self._pools.get((database, user))
        if known is None:
            password = self._server.passwords.get(user, "")
            credentials = Credentials(user, database, password)
            known = Pool(
                f"{user}@{database}",
                self._dialler(credentials),
                self._settings.limits,
                self._group,
                self._clock,
            )
            self._pools[database, user] = known
        return known

    def _dialler(self, credentials: Credentials) -> Callable[[Pool], Awaitable[Link]]:
        async def dial(pool: Pool) -> Link:
            address = self._server.address
            link = Link(pool, statement_bytes=self._settings.server_statements, now=self._clock.monotonic())
            await asyncio.get_running_loop().create_connection(lambda: link, address.host, address.port)
            inbox = link.inbox
            assert inbox is not None
            try:
                welcome = await log_in(inbox, link.transport.write, credentials)
            except BaseException:
                link.transport.abort()
                raise
            link.begin(welcome)
            return link

        return dial

    async def _cancel(self, session: Session, number: int, key: bytes) -> None:
        try:
            known = self._keys.get(number)
            if known is None or not hmac.compare_digest(known[0], key) or known[1].link is None:
                return
            link = known[1].link
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CANCEL_SECONDS):
                    await self._interrupt(link)
        finally:
            session.transport.close()

    async def _interrupt(self, link: Link) -> None:
        """Until the server has heard it the link is nobody else's, or a neighbour's query would be interrupted."""
        link.cancelling += 1
        try:
            address = self._server.address
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                writer.write(encode.cancel(link.welcome.process_id, link.welcome.key))
                await reader.read()  # the server closes when it has sent the signal
            finally:
                writer.close()
        finally:
            link.cancel_heard()


class _NoServer(Exception):
    """No session on a server."""


async def _reported(pool: Pool) -> Mapping[str, str]:
    """What a server of the pool reports; opens a session when nobody has yet."""
    if pool.reported:
        return pool.reported
    waiting = _Waiting()
    link = pool.acquire(waiting)
    if link is None:
        try:
            link = await waiting.link
        except asyncio.CancelledError:
            pool.give_up(waiting)
            if waiting.link.done() and not waiting.link.cancelled() and not waiting.link.exception():
                pool.release(waiting.link.result())
            raise
    pool.release(link)
    return pool.reported


class _Waiting:
    """Waits for a link in a coroutine."""

    def __init__(self) -> None:
        self.link: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

    def got(self, link: Link) -> None:
        self.link.set_result(link)

    def got_none(self, reason: str) -> None:
        self.link.set_exception(_NoServer(reason))
