"""Halt: sessions of paused routes, which wait until their route goes on, each for as long as for a connection."""

from marchproxy.kit.clock import Clock
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.line import Line
from marchproxy.modules.dblb.mysql.session import Session
from marchproxy.modules.dblb.plan import RoutePlan
from marchproxy.wire.mysql.endings import Refusal

_LATE = Refusal(1205, "HY000", "the route was paused for longer than clients may wait")


class Halts:
    """All paused routes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paused: dict[RouteId, Line[Session] | None] = {}

    def begin(self, route: RouteId) -> None:
        """Hold the route's sessions from now on."""
        self._paused.setdefault(route, None)

    def is_paused(self, route: RouteId) -> bool:
        """Whether the route's sessions are held."""
        return route in self._paused

    def hold(self, session: Session, plan: RoutePlan) -> None:
        """Have a session wait that has asked for something; it is woken by `got_none`, or by whoever calls `end`."""
        line = self._paused[plan.route_id]
        if line is None:
            wait = session.visit.cluster.upstream.options.wait
            line = self._paused[plan.route_id] = Line(wait, _late, self._clock)
        line.join(session)

    def leave(self, session: Session) -> None:
        """The session is gone."""
        for line in self._paused.values():
            if line is not None:
                line.leave(session)

    def end(self, route: RouteId) -> list[Session]:
        """Those who wait, and may go on."""
        line = self._paused.pop(route, None)
        if line is None:
            return []
        waiting = line.all()
        line.close()
        return waiting

    def close(self) -> None:
        """Wake nobody any more."""
        for line in self._paused.values():
            if line is not None:
                line.close()
        self._paused.clear()


def _late(session: Session) -> None:
    session.got_none(_LATE)
