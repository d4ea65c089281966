"""Service: MySQL's port. Lets clients in, gives each a pool, and finds whom they want to stop."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.mysql.dialling import Server, dial, learn, renew
from marchproxy.modules.dblb.mysql.doorway import Doorway
from marchproxy.modules.dblb.mysql.greeting import PasswordKey, Talk, authenticate, new_nonce
from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.modules.dblb.mysql.kill import OURS, Kill
from marchproxy.modules.dblb.mysql.link import Link
from marchproxy.modules.dblb.mysql.login import Credentials, LoginRefused
from marchproxy.modules.dblb.mysql.pool import Pool, PoolLimits, Work
from marchproxy.modules.dblb.mysql.refusing import Refusing
from marchproxy.modules.dblb.mysql.secrets import Secret
from marchproxy.modules.dblb.mysql.session import Judge, Session
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql import endings
from marchproxy.wire.mysql.endings import Refusal
from marchproxy.wire.mysql.handshake import Greeting, Login, read_change_user, read_login
from marchproxy.wire.mysql.numbers import Capability
from marchproxy.wire.mysql.packets import packet
from marchproxy.wire.mysql.proofs import CACHING, NATIVE

_log = get_logger(__name__)
_C = Capability
#: What must be the same on both sides, because it changes what is said afterwards.
_AGREED = (
    _C.LONG_PASSWORD | _C.FOUND_ROWS | _C.LONG_FLAG | _C.IGNORE_SPACE | _C.INTERACTIVE | _C.TRANSACTIONS
    | _C.MULTI_STATEMENTS | _C.MULTI_RESULTS | _C.PS_MULTI_RESULTS | _C.SESSION_TRACK | _C.DEPRECATE_EOF
)  # fmt: skip
#: What concerns nothing but logging in.
_ALWAYS = _C.PROTOCOL_41 | _C.SECURE_CONNECTION | _C.PLUGIN_AUTH | _C.PLUGIN_AUTH_LENENC
_OFFERED = _AGREED | _ALWAYS | _C.CONNECT_WITH_DB | _C.CONNECT_ATTRS

#: Which of the servers a statement wants; an empty statement stands for a command that is none.
Choose = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How clients are let in. `login` in seconds; `tls` None: none is spoken with clients."""

    users: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    plugin: str = NATIVE
    tls: ssl.SSLContext | None = None
    tls_required: bool = False
    login: float = 15.0
    limits: PoolLimits = PoolLimits()
    longest: int = 4 * 1024 * 1024
    judge: Judge | None = None
    choose: Choose = lambda _statement: ""


class Service:
    """All sessions of one port, and the pools that they share. `servers` by name; the one named "" is the default."""

    def __init__(
        self,
        servers: Mapping[str, Server],
        settings: ServiceSettings,
        group: asyncio.TaskGroup,
        clock: Clock,
    ) -> None:
        if settings.plugin not in {NATIVE, CACHING}:
            raise ValueError(f"plugin: {settings.plugin!r} is neither {NATIVE} nor {CACHING}")
        self._servers = servers
        self._settings = settings
        self._group = group
        self._clock = clock
        self._key = PasswordKey()
        self._pools: dict[tuple[str, Credentials], Pool] = {}
        self._sessions: dict[int, Session] = {}
        self._numbers = count(OURS + 1)
        self._known: Greeting | None = None
        self._learning = asyncio.Lock()

    @property
    def sessions(self) -> int:
        """How many clients there are."""
        return len(self._sessions)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All pools, in the order in which they were first wanted."""
        return tuple(self._pools.values())

    def session(self) -> Doorway:
        """The protocol of a client that has just connected."""
        session = Session(self, longest=self._settings.longest, judge=self._settings.judge)
        # a number goes round after 2^31 clients, and by then those before are gone
        session.number = OURS + 1 + (next(self._numbers) & (OURS - 2))
        self._sessions[session.number] = session
        return Doorway(session, self)

    def sweep(self) -> None:
        """Close links that were not used for long. Call it every now and then."""
        for pool in self._pools.values():
            pool.sweep()

    def close(self) -> None:
        """End everything."""
        for session in list(self._sessions.values()):
            session.end()
        for pool in self._pools.values():
            pool.close()

    # what a doorway and sessions call

    def arrived(self, session: Session) -> None:
        """The client is connected."""
        self._group.create_task(self._welcome(session), name="welcome")

    def encrypt(self, session: Session, sequence: int) -> None:
        """The client asked for TLS."""
        if self._settings.tls is None or sequence != 1:
            session.end(Refusal(2026, "HY000", "no TLS was offered"), sequence=sequence + 1)
            return
        self._group.create_task(self._encrypt(session, self._settings.tls), name="tls")

    def change_user(self, session: Session, payload: bytes) -> None:
        """The client wants to be somebody else."""
        inbox = session.inbox
        assert inbox is not None
        self._group.create_task(self._change(session, inbox, payload), name="change user")

    def kill(self, session: Session, kill: Kill) -> bytes | Refusal:
        """What the server is to be told to stop another session; empty when there is nothing to tell it."""
        other = self._sessions.get(kill.number)
        if other is None:
            return Refusal(1094, "HY000", f"Unknown thread id: {kill.number}")
        if other.login.user != session.login.user:
            return Refusal(1095, "HY000", f"You are not owner of thread {kill.number}")
        if other.link is not None and other.link.greeting is not None:
            return kill.command(other.link.greeting.thread)
        if not kill.query_only:
            other.end()
        return b""

    def pool_for(self, session: Session, statement: bytes) -> Pool:
        """The pool for what a client sends first."""
        name = self._settings.choose(statement)
        server, login = self._servers[name], session.login
        capabilities = (login.capabilities & _AGREED) | _ALWAYS | _C.LONG_PASSWORD
        password = server.passwords.get(login.user, "")
        credentials = Credentials(login.user, login.database, login.charset, capabilities, password)
        pool = self._pools.get((name, credentials))
        if pool is None:
            work = Work(self._dialler(server, credentials), self._renewer(credentials))
            title = f"{login.user}@{login.database or '-'}"
            pool = Pool(title, work, self._settings.limits, self._group, self._clock)
            self._pools[name, credentials] = pool
        return pool

    def left(self, session: Session) -> None:
        """A client is gone."""
        self._sessions.pop(session.number, None)

    # the rest is ours

    def _dialler(self, server: Server, credentials: Credentials) -> Callable[[Pool], Awaitable[Link]]:
        async def work(pool: Pool) -> Link:
            try:
                return await dial(pool, server, credentials, now=self._clock.monotonic())
            except LoginRefused:
                self._known = None  # perhaps it can do less than it could when it was asked
                raise

        return work

    def _renewer(self, credentials: Credentials) -> Callable[[Link], Awaitable[None]]:
        async def work(link: Link) -> None:
            await renew(link, credentials)

        return work

    async def _encrypt(self, session: Session, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                session.transport,
                session,
                context,
                server_side=True,
                ssl_handshake_timeout=self._settings.login,
            )
        except (OSError, ssl.SSLError) as error:
            _log.info("no TLS with a client", reason=str(error))
            transport = None
        if transport is None:
            session.transport.abort()
            session.connection_lost(None)
            return
        session.encrypted = True
        session.connection_made(transport)

    async def _welcome(self, session: Session) -> None:
        inbox = session.inbox
        assert inbox is not None
        async with self._refusing(session, inbox) as talk:
            nonce = new_nonce()
            session.transport.write(packet(0, (await self._greeting(session, nonce)).encode()))
            talk.sequence = 0
            payload = await talk.hear()
            talk.encrypted = session.encrypted
            login = read_login(payload)
            session.login = replace(login, proof=b"")
            if self._settings.tls_required and not session.encrypted:
                raise LoginRefused("", Refusal(3159, "08004", "connections must be encrypted by TLS here"))
            await self._prove(talk, login, nonce)
            self._admit(session, inbox, talk, login)

    async def _change(self, session: Session, inbox: Inbox, payload: bytes) -> None:
        async with self._refusing(session, inbox) as talk:
            talk.sequence, talk.encrypted = 0, session.encrypted
            login = replace(
                read_change_user(payload, session.login.capabilities),
                capabilities=session.login.capabilities,
            )
            await self._prove(talk, login, b"")
            self._admit(session, inbox, talk, login)

    async def _prove(self, talk: Talk, login: Login, nonce: bytes) -> None:
        secret = self._settings.users.get(login.user)
        await authenticate(talk, login, secret, self._settings.plugin, nonce)

    def _admit(self, session: Session, inbox: Inbox, talk: Talk, login: Login) -> None:
        if not inbox.clean:
            raise ProtocolFault("bytes came before they were asked for")
        session.begin(replace(login, proof=b"", plugin=""))
        session.transport.write(endings.ok(talk.sequence + 1))

    async def _greeting(self, session: Session, nonce: bytes) -> Greeting:
        """What the default server says, with what both it and we can do."""
        async with self._learning:
            if self._known is None:
                self._known = await learn(self._servers[""], within=self._settings.limits.dial)
        tls = _C.SSL if self._settings.tls is not None else 0
        capabilities = (_OFFERED & (self._known.capabilities | _C.LONG_PASSWORD)) | tls
        return replace(
            self._known,
            thread=session.number,
            nonce=nonce,
            capabilities=int(capabilities),
            plugin=self._settings.plugin,
        )

    def _refusing(self, session: Session, inbox: Inbox) -> Refusing:
        talk = Talk(inbox, session.send, self._key)
        return Refusing(session, talk, self._settings.login)
