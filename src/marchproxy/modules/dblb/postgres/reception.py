"""Reception: clients from their first packet until they have a session."""

import asyncio
import ssl
from typing import Protocol

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.http import Authentication
from marchproxy.model.module import PoolName
from marchproxy.modules.dblb.gate import Shut
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Who
from marchproxy.modules.dblb.postgres import admission
from marchproxy.modules.dblb.postgres.admission import Start, TurnedAway
from marchproxy.modules.dblb.postgres.auth_query import AuthQueries, CannotAsk
from marchproxy.modules.dblb.postgres.doorway import Doorway, begin_tls
from marchproxy.modules.dblb.postgres.first_link import NoLink, reported_by
from marchproxy.modules.dblb.postgres.greeting import NotProven
from marchproxy.modules.dblb.postgres.inbox import Inbox
from marchproxy.modules.dblb.postgres.keys import Keys
from marchproxy.modules.dblb.postgres.login import Proof
from marchproxy.modules.dblb.postgres.proving import prove
from marchproxy.modules.dblb.postgres.roles import Source
from marchproxy.modules.dblb.postgres.stay import Stay, tally_of
from marchproxy.modules.dblb.service import MOST_NEWCOMERS, Surroundings
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.startup import CancelRequest, Startup

_log = get_logger(__name__)
_NEWEST_MINOR = 2
# How long a client may take from connecting until it is let in.
_LOGIN_SECONDS = 15.0
_STOPPING = "the proxy is stopping"


class Host(Protocol):
    """Who has the sessions."""

    @property
    def plan(self) -> DblbPlan:
        """What holds now."""
        ...

    def source_of(self, stay: Stay) -> Source:
        """Where a client gets its links."""
        ...

    def primary_of(self, pool: PoolName) -> HostPort | None:
        """Which server of a pool takes writes; None: nobody has seen."""
        ...

    def admit(self, door: Doorway, stay: Stay, start: Start, *, long_key: bool) -> None:
        """Begin a session on the client's connection."""
        ...


class Reception:
    """All clients who have no session yet.

    Each has 15 seconds, and there are MOST_NEWCOMERS at most: whoever says nothing takes no place from those who log in.
    """

    def __init__(self, host: Host, surroundings: Surroundings, keys: Keys) -> None:
        self._host = host
        self._around = surroundings
        self._keys = keys
        self._auth_queries = AuthQueries(surroundings.clock, host.primary_of)
        self._doors: dict[Doorway, asyncio.TimerHandle] = {}
        self._shut = False

    def __len__(self) -> int:
        return len(self._doors)

    def shut(self) -> None:
        """Let nobody in any more."""
        self._shut = True
        for door in list(self._doors):
            door.end(_STOPPING, "57P01")

    def close(self) -> None:
        """Let nobody in any more, and end what was opened to look users up."""
        self.shut()
        self._auth_queries.close()

    def forget(self) -> None:
        """Look users up again: the plan has changed."""
        self._auth_queries.forget()

    def came(self, door: Doorway) -> None:
        """A client is connected."""
        if self._shut:
            door.end(_STOPPING, "57P01")
        if len(self._doors) >= MOST_NEWCOMERS:
            oldest = next(iter(self._doors))
            self.went(oldest)
            oldest.end("too many clients are logging in", "53300")
        words = f"not logged in within {_LOGIN_SECONDS:g} s"
        self._doors[door] = asyncio.get_running_loop().call_later(_LOGIN_SECONDS, door.end, words, "08006")

    def asked_for_tls(self, door: Doorway, early: bytes) -> None:
        """It wants TLS."""
        self._around.group.create_task(self._secure(door, early))

    def asked_to_cancel(self, door: Doorway, request: CancelRequest) -> None:
        """It wants somebody's query to be interrupted."""
        self._around.group.create_task(self._cancel(door, request))

    def asked_in(self, door: Doorway, inbox: Inbox, startup: Startup) -> None:
        """It wants a session."""
        self._around.group.create_task(self._let_in(door, inbox, startup))

    def went(self, door: Doorway) -> None:
        """It is gone, or has its session."""
        if (late := self._doors.pop(door, None)) is not None:
            late.cancel()

    async def _secure(self, door: Doorway, early: bytes) -> None:
        try:
            await begin_tls(door, early, _LOGIN_SECONDS)
        except (OSError, ProtocolFault) as error:  # ssl.SSLError and TimeoutError are OSErrors
            if not isinstance(error, ConnectionError):
                reason = error.reason if isinstance(error, ssl.SSLError) else str(error)
                _log.info("TLS with a client failed", client=str(door.arrival.client), reason=reason)
            door.transport.abort()
            self.went(door)

    async def _cancel(self, door: Doorway, request: CancelRequest) -> None:
        try:
            await self._keys.cancel(request)
        finally:
            door.transport.close()

    async def _let_in(self, door: Doorway, inbox: Inbox, startup: Startup) -> None:
        try:
            await self._receive(door, inbox, startup)
        except NotProven as error:
            door.end(str(error), "28P01")
        except TurnedAway as error:
            door.end(str(error), error.code)
        except Shut as shut:
            door.end(str(shut), admission.shut_code(shut))
        except ProtocolFault as fault:
            door.end(str(fault), "08P01")
        except PeerGone:
            door.transport.abort()
        except NoLink as error:
            door.end(str(error), "08006")

    async def _receive(self, door: Doorway, inbox: Inbox, startup: Startup) -> None:
        admission.check(startup, door)
        who = admission.who_of(startup, door)
        if startup.minor > _NEWEST_MINOR or startup.options:
            door.transport.write(encode.negotiate(min(startup.minor, _NEWEST_MINOR), startup.options))
        route = admission.route_of(self._host.plan, who)
        password = await prove(door, inbox, who.user, route, self._look_up)
        assert route is not None  # nobody proves anything where there is no route
        stay = self._stay(route, who, password)
        try:
            try:
                reported = await reported_by(self._host.source_of(stay))
            except NoLink:
                stay.tally.unanswered()
                raise
            start = admission.start_of(startup, reported, longest=self._around.bounds.message)
            if not inbox.clean:
                raise ProtocolFault("bytes came before they were asked for")
            if door.transport.is_closing():
                raise PeerGone("it hung up")
        except BaseException:
            stay.gate.leave()
            raise
        self.went(door)
        self._host.admit(door, stay, start, long_key=startup.minor >= 2)

    def _stay(self, route: RoutePlan, who: Who, password: Proof) -> Stay:
        """Raises Shut, TurnedAway."""
        upstream = admission.upstream_of(route)
        if upstream is None:
            raise TurnedAway(f"route {route.route_id}: no pool has a share of its sessions", "08004")
        if not upstream.pool.endpoints:
            raise TurnedAway(f"pool {upstream.name} has no servers", "08004")
        tally = tally_of(self._around.tallies, route, upstream, who)
        gate = self._around.gate.enter(route, who, tally)
        return Stay(who, password, route, upstream, gate, tally, self._around.tallies)

    async def _look_up(self, way: Authentication, user: str) -> str | None:
        upstream = self._host.plan.upstreams.get(PoolName(way.pool))
        if upstream is None:
            raise TurnedAway(f'users cannot be looked up: there is no pool "{way.pool}"', "08004")
        try:
            return await self._auth_queries.secret(way, upstream, user)
        except CannotAsk as error:
            raise TurnedAway("users cannot be looked up now; the proxy's log says why", "08006") from error
