"""Desk: puts clients on routes, and takes them off."""

import random
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from marchproxy.model.database import Pooling, ReadTarget
from marchproxy.model.module import PoolName
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.gate import Shut
from marchproxy.modules.dblb.plan import RoutePlan, Upstream
from marchproxy.modules.dblb.redis.door import Door
from marchproxy.modules.dblb.redis.envoy_plan import shown_name
from marchproxy.modules.dblb.redis.judging import words
from marchproxy.modules.dblb.redis.reception import Visit
from marchproxy.modules.dblb.redis.servers import Servers
from marchproxy.modules.dblb.redis.session import Session
from marchproxy.modules.dblb.serverside import pick
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import TallyKey


class Desk:
    """`upstreams` are the servers by pool, and `paused` the routes on which nothing new may begin; both change."""

    def __init__(
        self, around: Surroundings, upstreams: Mapping[PoolName, Servers], paused: AbstractSet[RouteId]
    ) -> None:
        self._around = around
        self._upstreams = upstreams
        self._paused = paused

    def settle(self, session: Session, door: Door) -> str:
        """Put a client on its route; why it cannot be there, or nothing."""
        route = door.route(session.identity)
        before = session.visit
        leave(session)
        session.move()
        if route is None:
            return ""
        same = next(
            (up for up, share in route.backends if before and share and up.name == before.servers.name), None
        )
        upstream = same or pick(route.backends, random.random())  # noqa: S311 - a share of clients, no secret
        if upstream is None:
            return ""
        tally = self._around.tallies.of(_key(session, route, upstream))
        try:
            permit = self._around.gate.enter(route, door.who(session.identity), tally)
        except Shut as shut:
            return words(shut.refusal)
        target = route.options.target
        session.visit = Visit(
            route=route,
            servers=self._upstreams[upstream.name],
            permit=permit,
            tally=tally,
            splits=target is ReadTarget.REPLICA or route.options.split_reads,
            only_reads=target is ReadTarget.REPLICA,
            own=upstream.options.pooling is Pooling.SESSION,
        )
        session.held = route.route_id in self._paused
        tally.clients += 1
        return ""

    def settle_again(self, session: Session, door: Door) -> None:
        """The plan has changed. Who is not on a route any more is let go when nothing is interrupted."""
        visit, route = session.visit, door.route(session.identity)
        if (
            visit is not None
            and route == visit.route
            and self._upstreams.get(visit.servers.name) is visit.servers
        ):
            return
        had, servers = visit is not None, visit.servers if visit is not None else None
        fault = self.settle(session, door)
        if fault or (had and session.visit is None):
            session.draining = True
            if session.idle or fault:
                session.end(fault or "NOPERM no route takes this client any more")
        elif session.own.pin.relay and session.visit is not None and session.visit.servers is not servers:
            session.end("ERR what it listens to has moved to other servers")


def leave(session: Session) -> None:
    """Take a client off its route."""
    visit, session.visit = session.visit, None
    if visit is not None:
        visit.permit.leave()
        visit.tally.clients -= 1


def _key(session: Session, route: RoutePlan, upstream: Upstream) -> TallyKey:
    one = session.identity
    return TallyKey("redis", route.route_id, shown_name(upstream), str(one.database), one.user or "")
