"""Switch: the lanes of one port, who may come, and which lane a connection belongs to."""

from collections import Counter
from collections.abc import Mapping, Sequence

from marchproxy.model.listener import Listener
from marchproxy.model.plan import ListenerPlan, Target
from marchproxy.nlb.dataplane.relay.addresses import Networks, source_of
from marchproxy.nlb.dataplane.relay.lane import Lane
from marchproxy.nlb.dataplane.relay.limiter import Limiter
from marchproxy.nlb.dataplane.relay.session import Opening, begin
from marchproxy.nlb.dataplane.relay.sorting import expected, find_listener, find_rest
from marchproxy.wire.detect import Detected


class Switch:
    """What a port's connections are judged by. Everything about the socket is the first listener's to say."""

    def __init__(self, limiter: Limiter, *, attempts: int) -> None:
        self._limiter = limiter
        self._attempts = attempts
        self._listeners: tuple[Listener, ...] = ()
        self._trusted = self._allow = self._deny = Networks(())
        self._open = 0
        self._sources: Counter[str] = Counter()
        self.lanes: dict[str, Lane] = {}
        self.opening = Opening()
        self.beginning = begin(self.opening)

    @property
    def first(self) -> Lane:
        """The lane to which everything counts that is not told apart yet."""
        return self.lanes[self._listeners[0].name]

    def update(
        self, plans: Sequence[ListenerPlan], parked: Mapping[str, Sequence[Target]]
    ) -> tuple[Lane, ...]:
        """Judge new connections by these, at least one, in one step; return the lanes that are gone."""
        before = self.lanes
        self.lanes = {}
        for plan in plans:
            name = plan.listener.name
            waiting = parked.get(name, ())
            if (lane := before.get(name)) is None:
                lane = Lane(plan, waiting, self._limiter)
            else:
                lane.update(plan, waiting)
            self.lanes[name] = lane
        self._listeners = tuple(plan.listener for plan in plans)
        first = self._listeners[0]
        self._trusted = Networks(first.trusted_proxies)
        self._allow, self._deny = Networks(first.allow), Networks(first.deny)
        self.opening = Opening(
            expected(self._listeners),
            find_rest(self._listeners) is not None,
            first.proxy_protocol,
            self._attempts,
        )
        self.beginning = begin(self.opening)
        return tuple(lane for name, lane in before.items() if name not in self.lanes)

    def arrive(self, peer: str) -> bool:
        """Whether this peer may connect, before it says who its client is; if so, `depart` ends it."""
        most = self._listeners[0].max_connections
        if 0 < most <= self._open or (
            self.opening.introduced and self._trusted and peer not in self._trusted
        ):
            return False
        self._open += 1
        return True

    def enter(self, host: str) -> str | None:
        """Let a client in by its address; what it counts as, for `depart`, or None when it is denied."""
        if host in self._deny or (self._allow and host not in self._allow):
            return None
        most = self._listeners[0].max_connections_per_source
        if not most:
            return ""
        source = source_of(host)
        if self._sources[source] >= most:
            return None
        self._sources[source] += 1
        return source

    def depart(self, source: str) -> None:
        """A peer that arrived is gone, and what it counted as with it."""
        self._open -= 1
        if source:
            self._sources[source] -= 1
            if self._sources[source] <= 0:
                del self._sources[source]

    def lane_of(self, detected: Detected | None) -> Lane | None:
        """Whose connection it is; None: nobody's."""
        listener = find_listener(self._listeners, detected)
        return self.lanes[listener.name] if listener else None
