"""Limits of a worker: how often clients may come, and how many streams and players there may be at once."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.limits.bucket import Bucket, Exceeded, Nanoseconds
from marchproxy.modules.reception.limits.rate import Ration, ration
from marchproxy.modules.reception.limits.table import LimitTable
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.modules.rtmp.tally import Tallies

#: What ids of limits of routes begin with; those of others have no blank.
_OF_ROUTE = "route "


@dataclass(slots=True)
class _Stream:
    """What is known of a stream here, which is all there is: no other worker has it."""

    route: RoutePlan
    publishers: int = 0
    players: int = 0
    seat: Bucket | None = None


@dataclass(slots=True, eq=False)
class Place:
    """What a client holds that was let in: a Pass."""

    limits: "Limits"
    route: RoutePlan
    key: StreamKey
    action: Action
    client: str
    seats: Sequence[Bucket] = field(default=())

    def leave(self) -> None:
        """As a Pass's."""
        self.limits.left(self)


class Limits:
    """Of one worker, beside others that count in the same table. `is_there`: whether a stream is live, or is waited for."""

    def __init__(
        self,
        tallies: Tallies,
        is_there: Callable[[StreamKey], bool],
        *,
        table: Callable[[], LimitTable],
        now: Nanoseconds = time.monotonic_ns,
    ) -> None:
        """`table` is made when something is limited for the first time."""
        self._tallies = tallies
        self._is_there = is_there
        self._make_table = table
        self._table: LimitTable | None = None
        self._now = now
        self._instances = 1
        self._places: dict[Place, None] = {}
        self._streams: dict[StreamKey, _Stream] = {}

    def apply(self, plan: RtmpPlan, instances: int) -> None:
        """Limit by this from now on; who is in stays, and counts. Raises OSError when there can be no table."""
        again, self._instances = instances != self._instances, instances
        if self._table is None and any(_is_limited(route) for route in plan.routes):
            self._table, again = self._make_table(), True
        routes = {route.route_id: route for route in plan.routes}
        for place in self._places:
            known, place.route = place.route, routes.get(place.route.route_id, place.route)
            if again or _limits_of(known) != _limits_of(place.route):
                _stand_up(place.seats)
                place.seats = self._seats(place.route, place.action, place.client)
                for seat in place.seats:
                    seat.sit(checked=False)
        for key, stream in self._streams.items():
            known, stream.route = stream.route, routes.get(stream.route.route_id, stream.route)
            if again or _limits_of(known) != _limits_of(stream.route):
                self._forget(stream)
                if stream.publishers or self._is_there(key):
                    self._seat(stream, checked=False)

    def come(self, route: RoutePlan, client: str) -> Exceeded | None:
        """Count somebody who wants to publish or play, whatever becomes of it; not None: it comes too often."""
        if self._table is None:
            return None
        buckets = [one for one in self._buckets(route, client) if one.ration.rates]
        for number, bucket in enumerate(buckets):
            if wait := bucket.take():
                for taken in buckets[:number]:
                    taken.give_back()
                return bucket.too_fast(wait)
        return None

    def enter(self, route: RoutePlan, key: StreamKey, action: Action, client: str) -> Place | Exceeded:
        """A place for a client that may; or which limit is reached."""
        stream = self._streams.get(key) or _Stream(route)
        if full := self._too_many(stream, action):
            return full
        place = Place(self, route, key, action, client, self._seats(route, action, client))
        for number, seat in enumerate(place.seats):
            if not seat.sit():
                _stand_up(place.seats[:number])
                if not stream.publishers and not self._is_there(key):
                    self._forget(stream)
                return _words(seat)
        self._streams[key] = stream
        self._places[place] = None
        if action is Action.PUBLISH:
            stream.publishers += 1
        else:
            stream.players += 1
        return place

    def left(self, place: Place) -> None:
        """A client has gone; a second time is no news."""
        if place not in self._places:
            return
        del self._places[place]
        _stand_up(place.seats)
        stream = self._streams[place.key]
        if place.action is Action.PUBLISH:
            stream.publishers -= 1
        else:
            stream.players -= 1
        self._look(place.key, stream)

    def sweep(self) -> None:
        """Forget streams that have ended, and what dead workers held; about once a second."""
        for key, stream in list(self._streams.items()):
            self._look(key, stream)
        if self._table is not None:
            self._table.bury()

    def close(self) -> None:
        """Nobody is in any more. The limits must not be used any more."""
        for place in list(self._places):
            self.left(place)
        for stream in self._streams.values():
            self._forget(stream)
        self._streams.clear()
        table, self._table = self._table, None
        if table is not None:
            table.close()

    def _too_many(self, stream: _Stream, action: Action) -> Exceeded | None:
        limits = stream.route.options.limits
        if action is Action.PLAY:
            most = limits.players_per_stream
            return Exceeded(f"{most} players of a stream at once") if 0 < most <= stream.players else None
        if stream.seat is None and not self._seat(stream):
            return Exceeded(f"route {stream.route.route_id}: {limits.streams} streams at once")
        return None

    def _look(self, key: StreamKey, stream: _Stream) -> None:
        """A stream keeps its seat while it waits for its publisher to return."""
        if not stream.publishers and not self._is_there(key):
            self._forget(stream)
            if not stream.players:
                del self._streams[key]

    def _seat(self, stream: _Stream, *, checked: bool = True) -> bool:
        """Whether it has one, or needs none."""
        route = stream.route
        seat = self._bucket(_at_most(route, route.options.limits.streams), "streams", route)
        if seat is None:
            return True
        stream.seat = seat if seat.sit(checked=checked) else None
        return stream.seat is not None

    def _forget(self, stream: _Stream) -> None:
        seat, stream.seat = stream.seat, None
        if seat is not None:
            seat.leave()

    def _seats(self, route: RoutePlan, action: Action, client: str) -> Sequence[Bucket]:
        """What a client takes one of each of."""
        found = [one for one in self._buckets(route, client) if one.ration.most]
        if action is Action.PLAY:
            players = self._bucket(_at_most(route, route.options.limits.players), "players", route)
            found += [] if players is None else [players]
        return found

    def _buckets(self, route: RoutePlan, client: str) -> Iterable[Bucket]:
        for limit in route.limits:
            made = ration(limit, self._instances)
            bucket = self._bucket(made, client if limit.per == "client" else "", route)
            if bucket is not None:
                yield bucket

    def _bucket(self, made: Ration, whose: str, route: RoutePlan) -> Bucket | None:
        if self._table is None or not (made.rates or made.most):
            return None
        tally = self._tallies.of(str(route.route_id))
        return Bucket(made, whose, self._table, tally, now=self._now)


def _at_most(route: RoutePlan, most: int) -> Ration:
    """What a route's own limits grant: all of it on each instance."""
    return Ration(RateLimit(LimitId(f"{_OF_ROUTE}{route.route_id}"), str(route.route_id)), (), most)


def _limits_of(route: RoutePlan) -> object:
    return route.limits, route.options.limits


def _is_limited(route: RoutePlan) -> bool:
    limits = route.options.limits
    return bool(route.limits or limits.streams or limits.players)


def _stand_up(seats: Iterable[Bucket]) -> None:
    for seat in seats:
        seat.leave()


def _words(seat: Bucket) -> Exceeded:
    name, most = seat.ration.limit.limit_id, seat.ration.most
    return Exceeded(f"{name}: {most} players at once") if name.startswith(_OF_ROUTE) else seat.too_many()
