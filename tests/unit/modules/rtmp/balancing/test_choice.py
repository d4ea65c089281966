"""Which pool and origin a new stream goes to."""

from collections import Counter

import pytest

from marchproxy.model.module import PoolName, Protocol, Version
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.rtmp import OriginPick, RtmpPool
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.balancing.choice import Use, next_of, order_of, pool_of
from marchproxy.modules.rtmp.plan import RoutePlan, Upstream

KEYS = [StreamKey("", "live", f"s{number}") for number in range(4000)]
ONE = KEYS[0]


def upstream(*weights, name="p", pick=OriginPick.STREAM_HASH):
    endpoints = tuple(Endpoint(f"10.0.0.{number}:1935", weight) for number, weight in enumerate(weights, 1))
    pool = BackendPool(PoolName(name), Version("v1"), endpoints, Protocol.RTMP)
    return Upstream(pool, RtmpPool(pick=pick))


def route(*shares):
    backends = tuple((upstream(1, name=f"v{number}"), share) for number, share in enumerate(shares, 1))
    refs = tuple(BackendRef(up.name, share) for up, share in backends)
    return RoutePlan(Route(RouteId("r"), backends=refs), backends=backends)


@pytest.mark.parametrize("shares", [(100, 0), (90, 10), (50, 30, 20)])
def test_pools_get_their_shares_of_keys(shares):
    plan = route(*shares)
    found = Counter(pool_of(plan, key).name for key in KEYS)
    for number, share in enumerate(shares, 1):
        assert abs(found[f"v{number}"] / len(KEYS) - share / 100) < 0.04


def test_a_share_that_grows_moves_no_other_keys():
    before, after = route(90, 10), route(80, 20)
    moved = Counter((pool_of(before, key).name, pool_of(after, key).name) for key in KEYS)
    assert ("v2", "v1") not in moved
    assert abs(moved["v1", "v2"] / len(KEYS) - 0.1) < 0.04


def test_a_hash_spreads_by_weight_and_moves_few():
    three, two = upstream(1, 1, 2), upstream(1, 1)
    first = {key: order_of(three, key, {})[0] for key in KEYS}
    spread = Counter(first.values())
    assert abs(spread["10.0.0.3:1935"] / len(KEYS) - 0.5) < 0.04
    stayed = [key for key in KEYS if first[key] != "10.0.0.3:1935"]
    assert all(order_of(two, key, {})[0] == first[key] for key in stayed)


def test_an_origin_with_a_fault_comes_last():
    pool = upstream(1, 1, 1)
    first, *rest = order_of(pool, ONE, {})
    assert order_of(pool, ONE, {first: Use(fault="refuses")}) == (*rest, first)
    everyone = {endpoint.address: Use(fault="refuses") for endpoint in pool.pool.endpoints}
    assert order_of(pool, ONE, everyone) == (first, *rest)


@pytest.mark.parametrize(
    ("pick", "uses", "first"),
    [
        (OriginPick.LEAST_STREAMS, {"10.0.0.1:1935": Use(streams=3), "10.0.0.2:1935": Use(streams=5)}, 2),
        (OriginPick.LEAST_STREAMS, {"10.0.0.1:1935": Use(streams=2), "10.0.0.2:1935": Use(streams=5)}, 1),
        (OriginPick.LEAST_BITRATE, {"10.0.0.1:1935": Use(bitrate=10), "10.0.0.2:1935": Use(bitrate=19)}, 2),
        (OriginPick.WEIGHTED, {"10.0.0.1:1935": Use(begun=1), "10.0.0.2:1935": Use(begun=2)}, 2),
        (OriginPick.WEIGHTED, {"10.0.0.1:1935": Use(begun=1), "10.0.0.2:1935": Use(begun=4)}, 1),
    ],
)
def test_load_counts_by_weight(pick, uses, first):
    assert order_of(upstream(1, 2, pick=pick), ONE, uses)[0] == f"10.0.0.{first}:1935"


def test_turns_go_by_weight():
    pool, begun = upstream(1, 3, pick=OriginPick.WEIGHTED), Counter()
    for key in KEYS[:400]:
        uses = {address: Use(begun=count) for address, count in begun.items()}
        begun[order_of(pool, key, uses)[0]] += 1
    assert begun == {"10.0.0.1:1935": 100, "10.0.0.2:1935": 300}


def test_the_next_one():
    assert next_of(("a", "b", "c"), ["a", "c"]) == "b"
    assert next_of(("a",), ["a"]) is None
