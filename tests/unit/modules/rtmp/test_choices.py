"""Where a stream would go, as `explain` tells it."""

import pytest

from marchproxy.model.live_stream import StreamReport
from marchproxy.model.module import PoolName, Protocol, Version
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.rtmp import OriginPick, RtmpPool
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.balancing.choice import Use, order_of, pool_of
from marchproxy.modules.rtmp.choices import pool_choices
from marchproxy.modules.rtmp.crew import Seen
from marchproxy.modules.rtmp.plan import RoutePlan, Upstream
from marchproxy.modules.rtmp.service import OriginReport

ADDRESSES = ("10.0.0.1:1935", "10.0.0.2:1935", "10.0.0.3:1935")
NOTHING = Seen()
NOBODY = StreamKey("", "", "")
KEYS = [StreamKey("tv.example", "live", f"s{number}") for number in range(40)]


def _plan(pick: OriginPick = OriginPick.STREAM_HASH) -> RoutePlan:
    backends = tuple(
        (
            Upstream(
                BackendPool(PoolName(name), Version(version), tuple(map(Endpoint, ADDRESSES)), Protocol.RTMP),
                RtmpPool(pick=pick),
            ),
            share,
        )
        for name, version, share in (("blue", "v1", 75), ("green", "v2", 25))
    )
    refs = tuple(BackendRef(upstream.name, share) for upstream, share in backends)
    return RoutePlan(Route(RouteId("r"), backends=refs), backends=backends)


def _certain(plan: RoutePlan, key: StreamKey, seen: Seen = NOTHING) -> tuple[str, str]:
    """The pool and the origin that have all the chance."""
    choices = pool_choices(plan, key, seen)
    assert sum(choice.probability for choice in choices) == 1
    (pool,) = (choice for choice in choices if choice.probability == 1)
    (origin,) = (one.address for one in pool.endpoints if one.probability == 1)
    return pool.pool, origin


def test_a_stream_goes_where_the_workers_send_it() -> None:
    plan = _plan()
    found = {key: _certain(plan, key) for key in KEYS}
    for key, (pool, origin) in found.items():
        kept = plan.known_as(key)
        upstream = pool_of(plan, kept)
        assert (pool, origin) == (upstream.name, order_of(upstream, kept, {})[0])
    assert {pool for pool, _ in found.values()} == {"blue", "green"}


def test_an_origin_with_a_fault_is_left_out() -> None:
    plan, key = _plan(), KEYS[0]
    pool, first = _certain(plan, key)
    upstream = pool_of(plan, plan.known_as(key))
    seen = Seen(origins=(OriginReport(pool, first, fault="refuses"),))
    second = order_of(upstream, plan.known_as(key), {first: Use("refuses")})[0]
    assert _certain(plan, key, seen) == (pool, second) != (pool, first)


@pytest.mark.parametrize("pick", OriginPick)
def test_a_stream_that_is_there_stays(pick: OriginPick) -> None:
    plan = _plan(pick)
    key = next(key for key in KEYS if pool_of(plan, plan.known_as(key)).name == "blue")
    live = StreamReport("/live/" + key.name, "r", pool="green", origin=ADDRESSES[1])
    assert _certain(plan, key, Seen((live,))) == ("green", ADDRESSES[1])


def test_what_depends_on_load_is_told_by_weights() -> None:
    plan = _plan(OriginPick.LEAST_STREAMS)
    choices = {choice.pool: choice for choice in pool_choices(plan, KEYS[0], NOTHING)}
    pool = choices[pool_of(plan, plan.known_as(KEYS[0])).name]
    assert pool.probability == 1
    assert [one.probability for one in pool.endpoints] == [pytest.approx(1 / 3)] * 3


def test_without_a_stream_nothing_is_certain() -> None:
    seen = Seen(origins=(OriginReport("blue", ADDRESSES[0], fault="refuses", streams=2, players=3),))
    blue, green = pool_choices(_plan(), NOBODY, seen)
    assert (blue.probability, green.probability) == (0.75, 0.25)
    assert [one.probability for one in blue.endpoints] == [0.5, 0.5, 0]
    assert (blue.endpoints[2].trouble, blue.endpoints[2].active_requests) == ("refuses", 5)
