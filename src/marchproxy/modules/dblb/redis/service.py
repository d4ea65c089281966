"""Service: Redis' port. Knows users and servers, looks at the servers, and gives each client the pool it needs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.redis.link import Link, ask
from marchproxy.modules.dblb.redis.local import House, Identity, User, answer, newcomer
from marchproxy.modules.dblb.redis.pool import Dial, LoginRefused, Pool, PoolLimits
from marchproxy.modules.dblb.redis.roles import Roles, Seen, judge, read_role
from marchproxy.modules.dblb.redis.session import Session
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.values import Failure, encode, read

_log = get_logger(__name__)
_NOBODY = MappingProxyType({"default": User(nopass=True)})


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Servers, users, and bounds. Times in seconds, sizes in bytes."""

    servers: tuple[HostPort, ...]
    users: Mapping[str, User] = field(default_factory=lambda: _NOBODY, repr=False)
    monitor: User = User()
    """As whom the proxy itself asks servers for their role."""
    replicas: bool = False
    """Whether reads may go to replicas."""
    own_writes: float = 1.0
    """How long a client that wrote reads from the primary."""
    most_behind: int = 1024 * 1024
    every: float = 1.0
    """How often servers are asked for their role."""
    limits: PoolLimits = PoolLimits()
    longest: int = 16 * 1024
    unsent: int = 32 * 1024 * 1024
    databases: int = 16


class Service:
    """All sessions of one port, and the pools that they share. `run` looks at the servers until it is cancelled."""

    def __init__(
        self,
        settings: ServiceSettings,
        group: asyncio.TaskGroup,
        clock: Clock,
        *,
        gate: Callable[[Session, bytes], str] | None = None,
    ) -> None:
        self.gate = gate
        self._settings = settings
        self._group = group
        self._clock = clock
        self._house = House(settings.users, settings.databases)
        self._pools: dict[tuple[HostPort, str, int, int], Pool] = {}
        self._sessions: set[Session] = set()
        self._numbers = count(1)
        self._turns = count()
        self._look = asyncio.Event()
        self._looked = asyncio.Event()
        self.roles = Roles(settings.servers[0] if len(settings.servers) == 1 else None)

    @property
    def sessions(self) -> frozenset[Session]:
        """The clients that are connected."""
        return frozenset(self._sessions)

    def session(self) -> Session:
        """A client that has just connected."""
        identity = newcomer(self._house, next(self._numbers))
        session = Session(self, identity, longest=self._settings.longest, unsent=self._settings.unsent)
        self._sessions.add(session)
        return session

    async def run(self) -> None:
        """Look at the servers every now and then, and at once when one of them says that it is not what it was."""
        links: dict[HostPort, Link] = {}
        while True:
            self._look.clear()
            seen: dict[HostPort, Seen] = dict.fromkeys(self._settings.servers)
            async with asyncio.TaskGroup() as looks:
                for address in self._settings.servers:
                    looks.create_task(self._look_at(address, links, seen))
            self._decide(judge(self.roles, seen, most_behind=self._settings.most_behind))
            self._looked.set()
            for pool in self._pools.values():
                pool.sweep()
            try:
                async with asyncio.timeout(self._settings.every):
                    await self._look.wait()
                await self._clock.sleep(min(0.1, self._settings.every))  # however often it is doubted
            except TimeoutError:
                continue

    async def ready(self) -> None:
        """Return when the servers were looked at once."""
        await self._looked.wait()

    def close(self) -> None:
        """End everything."""
        for session in list(self._sessions):
            session.end()
        for pool in self._pools.values():
            pool.close()

    # what sessions call

    def local(self, session: Session, words: Sequence[bytes]) -> bytes | None:
        """See Reception."""
        found = answer(session.identity, words, self._house)
        if found is None:
            return None
        session.identity, reply = found
        return reply

    def reads_replica(self, session: Session) -> bool:
        """See Reception."""
        if not self._settings.replicas or not self.roles.replicas:
            return False
        return self._clock.monotonic() - session.wrote_at > self._settings.own_writes

    def wrote(self, session: Session) -> None:
        """See Reception."""
        if self._settings.replicas:
            session.wrote_at = self._clock.monotonic()

    def pool(self, session: Session, *, replica: bool) -> Pool:
        """See Reception. Without a primary the first server is tried, whose failure the client hears."""
        roles = self.roles
        address = roles.primary or self._settings.servers[0]
        if replica and roles.replicas:
            address = roles.replicas[next(self._turns) % len(roles.replicas)]
        one = session.identity
        key = (address, one.user or "", one.database, one.version)
        known = self._pools.get(key)
        if known is None:
            name = f"{one.user}@{address}/{one.database}"
            dial = self._dialler(address, one)
            known = Pool(name, dial, self._settings.limits, self._group, self._clock)
            known.on_doubt = self._doubted
            self._pools[key] = known
        return known

    def left(self, session: Session) -> None:
        """See Reception."""
        self._sessions.discard(session)

    # the rest is ours

    def _doubted(self, words: bytes) -> None:
        if not self._look.is_set():
            _log.info(
                "a server is not what it was taken for",
                words=words.split(b"\r\n")[0].decode(errors="replace"),
            )
        self._look.set()

    def _decide(self, roles: Roles) -> None:
        if len(self._settings.servers) == 1 and roles.primary is None:
            roles = Roles(self._settings.servers[0])  # there is no other; whoever asks hears why it fails
        before, self.roles = self.roles, roles
        if before == roles:
            return
        _log.info(
            "roles of servers", primary=str(roles.primary), replicas=[str(one) for one in roles.replicas]
        )
        used = {roles.primary, *roles.replicas} if before.primary == roles.primary else {roles.primary}
        for key in [key for key in self._pools if key[0] not in used]:
            self._pools.pop(key).close()

    async def _look_at(
        self, address: HostPort, links: dict[HostPort, Link], seen: dict[HostPort, Seen]
    ) -> None:
        try:
            async with asyncio.timeout(self._settings.limits.dial):
                link = links.get(address)
                if link is None or link.lost:
                    link = links[address] = await _dial(address, Identity(), self._settings.monitor, _Watch())
                seen[address] = read_role(read(await ask(link, encode([b"ROLE"]), 1))[0])
        except (LoginRefused, ProtocolFault, OSError, TimeoutError) as error:
            _log.debug("a server does not tell its role", address=str(address), reason=str(error))
            if (broken := links.pop(address, None)) is not None:
                broken.transport.abort()

    def _dialler(self, address: HostPort, identity: Identity) -> Dial:
        user = self._settings.users.get(identity.user or "", User())

        async def dial(pool: Pool) -> Link:
            return await _dial(address, identity, user, pool)

        return dial


class _Watch:
    """Owner of a link that only asks for roles."""

    def link_closed(self, link: Link) -> None:
        """See Owner."""

    def doubted(self, link: Link, words: bytes) -> None:
        """See Owner."""


async def _dial(address: HostPort, identity: Identity, user: User, owner: Pool | _Watch) -> Link:
    link = Link(owner)
    commands = []
    if user.server_password:
        name = [user.server_user.encode()] if user.server_user else []
        commands.append(encode([b"AUTH", *name, user.server_password.encode()]))
    if identity.version == 3:
        commands.append(encode([b"HELLO", b"3"]))
    commands.append(encode([b"SELECT", b"%d" % identity.database]))
    await asyncio.get_running_loop().create_connection(lambda: link, address.host, address.port)
    try:
        answers, at = await ask(link, b"".join(commands), len(commands)), 0
        for _ in commands:
            value, at = read(answers, at)
            if isinstance(value, Failure):
                raise LoginRefused(f"the server refuses the proxy: {value.decode(errors='replace')}")
    except BaseException:
        if link.transport is not None:
            link.transport.abort()
        raise
    return link
