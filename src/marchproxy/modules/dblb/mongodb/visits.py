"""Visits: on which routes a client is, by the databases that it asks for; what it may do there, and which servers it has."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from zlib import crc32

from marchproxy.model.module import PoolName
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.gate import Pass
from marchproxy.modules.dblb.mongodb.door import Door
from marchproxy.modules.dblb.mongodb.servers import Servers
from marchproxy.modules.dblb.mongodb.settings import MongoLimits
from marchproxy.modules.dblb.plan import RoutePlan, Who
from marchproxy.modules.dblb.serverside import pick
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tally, TallyKey
from marchproxy.wire.mongodb.command import Command

#: What drivers ask of `admin` whatever their database is; it goes where some other database of the client is.
_ANYWHERE = frozenset(
    {
        "ping",
        "endSessions",
        "buildInfo",
        "buildinfo",
        "connectionStatus",
        "commitTransaction",
        "abortTransaction",
    }
)
_MOST_DATABASES = 1000


class NoRoute(Exception):
    """No route takes the client to a database."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Who a client is by now, and how it showed that."""

    door: Door
    user: str = ""
    proofs: frozenset[str] = frozenset()

    def route(self, command: Command) -> RoutePlan | None:
        """The route of a command."""
        found = self.door.route(self.user, command.database, self.proofs)
        if found is None and command.name in _ANYWHERE:
            found = self.door.some_route(self.user, self.proofs)
        return found


@dataclass(frozen=True, slots=True)
class Desk:
    """What all visits are made of. `upstreams` are the servers by pool, `paused` the routes where nothing new begins."""

    around: Surroundings
    upstreams: Mapping[PoolName, Servers]
    paused: AbstractSet[RouteId]
    limits: MongoLimits


@dataclass(frozen=True, slots=True)
class Visit:
    """A client on a route."""

    route: RoutePlan
    servers: Servers
    permit: Pass
    tally: Tally
    desk: Desk

    @property
    def paused(self) -> bool:
        """Whether nothing new may begin on its servers."""
        paused = self.desk.paused
        return bool(paused) and self.route.route_id in paused


class Visits:
    """Those of one client. It counts as a client of each of its routes."""

    __slots__ = ("_by_database", "_by_route", "_desk")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_database: dict[str, Visit] = {}
        self._by_route: dict[RouteId, Visit] = {}

    def of(self, guest: Guest, command: Command) -> Visit:
        """The one that a command belongs to. Raises NoRoute, Shut."""
        known = self._by_database.get(command.database)
        if known is not None:
            return known
        route = guest.route(command)
        if route is None:
            raise NoRoute(command.database)
        visit = self._by_route.get(route.route_id) or self._begin(guest, route, command.database)
        if len(self._by_database) >= _MOST_DATABASES:
            self._by_database.clear()
        if route.takes(guest.door.who(guest.user, command.database)):
            self._by_database[command.database] = visit
        return visit

    def forget(self) -> None:
        """Leave all of them: who the client is, or the plan, has changed; or it is gone."""
        visits, self._by_route = self._by_route, {}
        self._by_database = {}
        for visit in visits.values():
            visit.permit.leave()
            visit.tally.clients -= 1

    def _begin(self, guest: Guest, route: RoutePlan, database: str) -> Visit:
        who = guest.door.who(guest.user, database)
        upstream = pick(route.backends, _chance(who))
        servers = self._desk.upstreams.get(upstream.name) if upstream is not None else None
        if servers is None:
            raise NoRoute(database)
        key = TallyKey("mongodb", route.route_id, servers.upstream.name, database, guest.user)
        tally = self._desk.around.tallies.of(key)
        permit = self._desk.around.gate.enter(route, who, tally)
        tally.clients += 1
        visit = self._by_route[route.route_id] = Visit(route, servers, permit, tally, self._desk)
        return visit


def _chance(who: Who) -> float:
    """Always the same for an application: its sessions and cursors are used over many connections, in any worker."""
    return crc32(f"{who.address}\0{who.user}\0{who.application}".encode()) / 2**32
