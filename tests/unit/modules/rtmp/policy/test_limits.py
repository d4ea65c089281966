"""Limits of two workers that count in one table."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from marchproxy.model.limit import LimitId, LimitUnit, RateLimit
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rtmp import RtmpRoute, StreamLimits
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.limits.bucket import Exceeded
from marchproxy.modules.reception.limits.rate import SECOND
from marchproxy.modules.reception.limits.table import LimitTable
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.policy.limits import Limits, Place
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.modules.rtmp.tally import Tallies
from tests.unit.modules.rtmp.policy.crafted import SharedTable

PUBLISH, PLAY = Action.PUBLISH, Action.PLAY
ONE, TWO, THREE = (StreamKey("", "live", name) for name in ("one", "two", "three"))
ANN, BOB = "192.0.2.1", "192.0.2.2"


def route(route_id: str = "r", limits: Sequence[RateLimit] = (), **own: int) -> RoutePlan:
    options = RtmpRoute(limits=StreamLimits(**own))
    return RoutePlan(Route(RouteId(route_id), rtmp=options), options, limits=tuple(limits))


def limit(**fields: object) -> RateLimit:
    return RateLimit(LimitId("l"), "r", counts=LimitUnit.CONNECTIONS, **fields)  # type: ignore[arg-type]


class Worker:
    def __init__(self, table: Callable[[], LimitTable]) -> None:
        self.there: set[StreamKey] = set()
        self.now = 1000 * SECOND
        self.tallies = Tallies()
        self.limits = Limits(self.tallies, self.there.__contains__, table=table, now=lambda: self.now)

    def enter(self, on: RoutePlan, key: StreamKey, action: Action, client: str = ANN) -> Place:
        found = self.limits.enter(on, key, action, client)
        assert isinstance(found, Place), found
        return found

    def refuses(self, on: RoutePlan, key: StreamKey, action: Action, client: str = ANN) -> str:
        found = self.limits.enter(on, key, action, client)
        assert isinstance(found, Exceeded)
        return found.words

    def comes(self, on: RoutePlan, client: str) -> str:
        found = self.limits.come(on, client)
        return found.words if found else ""


@contextmanager
def workers(on: RoutePlan, number: int = 2) -> Iterator[list[Worker]]:
    table = SharedTable()
    found = [Worker(lambda: table) for _ in range(number)]
    for one in found:
        one.limits.apply(RtmpPlan((on,)), 1)
    try:
        yield found
    finally:
        for one in found:
            one.limits.close()


def test_streams_are_counted_over_workers() -> None:
    ours = route(streams=2)
    with workers(ours) as (first, second):
        first.enter(ours, ONE, PUBLISH)
        two = second.enter(ours, TWO, PUBLISH)
        assert first.refuses(ours, THREE, PUBLISH) == "route r: 2 streams at once"
        first.enter(ours, ONE, PUBLISH)  # who takes it over needs no place for another stream
        first.enter(ours, THREE, PLAY)
        two.leave()
        two.leave()
        first.enter(ours, THREE, PUBLISH)
        assert second.refuses(ours, TWO, PUBLISH)


def test_a_stream_counts_while_it_waits_for_its_publisher() -> None:
    ours = route(streams=1)
    with workers(ours, 1) as (one,):
        place = one.enter(ours, ONE, PUBLISH)
        one.there.add(ONE)
        player = one.enter(ours, ONE, PLAY)
        place.leave()
        one.limits.sweep()
        assert one.refuses(ours, TWO, PUBLISH)
        one.enter(ours, ONE, PUBLISH).leave()
        one.there.clear()
        one.limits.sweep()
        one.enter(ours, TWO, PUBLISH)
        player.leave()


def test_a_publisher_that_was_let_in_and_not_served_leaves_no_trace() -> None:
    ours = route(streams=1, limits=[limit(max_concurrent=1, per="client")])
    with workers(ours, 1) as (one,):
        one.enter(ours, ONE, PUBLISH).leave()
        held = one.enter(ours, TWO, PLAY, BOB)
        assert one.refuses(ours, THREE, PUBLISH, BOB) == "limit l: 1 connections at once for each client"
        one.enter(ours, THREE, PUBLISH, ANN)  # the refused one holds no place for a stream
        held.leave()


def test_players_of_all_streams_and_of_each() -> None:
    ours = route(players=3, players_per_stream=2)
    with workers(ours) as (first, second):
        places = [first.enter(ours, ONE, PLAY) for _ in range(2)]
        assert first.refuses(ours, ONE, PLAY) == "2 players of a stream at once"
        second.enter(ours, TWO, PLAY)
        assert second.refuses(ours, TWO, PLAY) == "route r: 3 players at once"
        second.enter(ours, TWO, PUBLISH)
        places[0].leave()
        second.enter(ours, TWO, PLAY)
        assert first.refuses(ours, ONE, PLAY) == "route r: 3 players at once"


def test_how_often_a_client_comes() -> None:
    ours = route(limits=[limit(per_minute=2, per="client"), limit(per_hour=100)])
    with workers(ours) as (first, second):
        assert [first.comes(ours, ANN), second.comes(ours, ANN)] == ["", ""]
        refused = second.comes(ours, ANN)
        assert refused == "limit l: 2 connections a minute for each client; try again in 30 s"
        assert first.comes(ours, BOB) == ""
        second.now += 30 * SECOND
        assert second.comes(ours, ANN) == ""


def test_shared_limits_are_divided_and_a_routes_own_are_not() -> None:
    ours = route(players=2, limits=[limit(per_hour=4)])
    with workers(ours, 1) as (one,):
        one.limits.apply(RtmpPlan((ours,)), 2)
        assert [bool(one.comes(ours, ANN)) for _ in range(3)] == [False, False, True]
        for _ in range(2):
            one.enter(ours, ONE, PLAY)
        assert one.refuses(ours, ONE, PLAY)


def test_a_new_plan_throws_nobody_out_and_counts_all() -> None:
    free = route()
    with workers(free) as (first, second):
        places = [first.enter(free, key, action) for key in (ONE, TWO) for action in (PUBLISH, PLAY)]
        ours = route(streams=2, players=2)
        for one in (first, second, first, second):  # a second time is no news
            one.limits.apply(RtmpPlan((ours,)), 1)
        assert [second.refuses(ours, THREE, action) for action in (PUBLISH, PLAY)] == [
            "route r: 2 streams at once",
            "route r: 2 players at once",
        ]
        for place in places[:2]:
            place.leave()
        assert second.enter(ours, THREE, PUBLISH)
        assert second.enter(ours, THREE, PLAY)
        for one in (first, second):
            one.limits.apply(RtmpPlan((free,)), 1)
        first.enter(free, ONE, PUBLISH)
        first.enter(free, ONE, PLAY)
        for one in (first, second):
            one.limits.apply(RtmpPlan(), 1)  # the route is gone


def test_what_a_worker_held_is_given_back() -> None:
    ours = route(streams=1, players=1)
    with workers(ours) as (first, second):
        place = first.enter(ours, ONE, PUBLISH)
        first.enter(ours, ONE, PLAY)
        assert second.refuses(ours, TWO, PLAY)
        first.limits.close()
        place.leave()  # its connection ends a little later
        second.enter(ours, TWO, PUBLISH)
        second.enter(ours, TWO, PLAY)


def test_where_nothing_is_limited_there_is_no_table() -> None:
    def no_table() -> LimitTable:
        raise AssertionError

    free, one = route(players_per_stream=1, bitrate=5000), Worker(no_table)
    one.limits.apply(RtmpPlan((free,)), 1)
    assert one.comes(free, ANN) == ""
    one.enter(free, ONE, PLAY)
    assert one.refuses(free, ONE, PLAY) == "1 players of a stream at once"
    one.limits.sweep()
    one.limits.close()


def test_a_table_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    one = Worker(lambda: LimitTable(tmp_path / "none" / "limits"))
    with pytest.raises(OSError, match="none"):
        one.limits.apply(RtmpPlan((route(streams=1),)), 1)
    one.limits.close()
