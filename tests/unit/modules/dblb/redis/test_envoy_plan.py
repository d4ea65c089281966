"""Which routes Envoy serves, as what, and what of them cannot be."""

from pathlib import Path

import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabasePool, DatabaseRoute
from marchproxy.model.http import Mirror
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Upstream
from marchproxy.modules.dblb.redis.envoy_plan import (
    faults,
    groups,
    listener_of,
    shown_name,
    socket_of,
    with_sockets,
)
from marchproxy.modules.dblb.redis.envoy_resources import Copies, Prefix, RedisPool

FOLDER = Path("/run/dblb")


def upstream(name: str, *ports: int, passwords=None, **options) -> Upstream:
    endpoints = tuple(Endpoint(f"10.0.0.1:{port}") for port in ports or (1,))
    pool = BackendPool(PoolName(name), endpoints=endpoints, protocol=Protocol.REDIS)
    return Upstream(pool, DatabasePool(**options), passwords or {})


def route(name: str, *pools: Upstream, mirrors=(), port: int = 0, **options) -> RoutePlan:
    own = Route(RouteId(name), protocol=Protocol.REDIS, mirrors=mirrors, destination_port=port)
    share = 100 // len(pools)
    return RoutePlan(own, DatabaseRoute(**options), tuple((pool, share) for pool in pools))


def plan(*routes: RoutePlan, others: tuple[Upstream, ...] = ()) -> DblbPlan:
    pools = [pool for one in routes for pool, _ in one.backends]
    return DblbPlan({Protocol.REDIS: routes}, {pool.name: pool for pool in (*pools, *others)})


PLAIN, CLUSTER, MANY = upstream("plain"), upstream("c", 1, 2, cluster=True), upstream("many", 1, 2)


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        ([route("a", PLAIN)], []),
        ([route("a", CLUSTER)], [["a"]]),
        ([route("a", PLAIN), route("b", PLAIN, prefixes=("b:",))], [["a", "b"]]),
        ([route("a", PLAIN, port=1), route("b", PLAIN, prefixes=("b:",), port=2)], [["b"]]),
        ([route("a", PLAIN, mirrors=(Mirror(PoolName("x")),))], [["a"]]),
    ],
)
def test_groups(routes, found):
    assert [[one.route_id for one in group.routes] for group in groups(plan(*routes))] == found


@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ([route("a", PLAIN, needs=("subscribe",))], []),
        ([route("a", CLUSTER)], []),
        ([route("a", CLUSTER, needs=("subscribe",))], ["not together with SUBSCRIBE"]),
        ([route("a", CLUSTER, databases=("3",))], ["SELECT of a database"]),
        ([route("a", PLAIN, needs=("watch",)), route("b", PLAIN, prefixes=("b:",))], ["WATCH"]),
        ([route("a", PLAIN, PLAIN, prefixes=("a:",))], ["name one pool"]),
        ([route("a", MANY, prefixes=("a:",))], ["spread keys"]),
    ],
)
def test_faults(routes, words):
    told = list(faults(plan(*routes)))
    assert len(told) == len(words)
    for (name, text), part in zip(told, words, strict=True):
        assert name == "a"
        assert part in text


def test_the_listener_of_prefixes():
    passwords = {"default": "old", "watch": "secret"}
    first = upstream("first", 7, passwords=passwords, monitor="watch")
    second, third = upstream("second", passwords={"default": "old"}), upstream("third")
    routes = (
        route("others", first),
        route("s", second, prefixes=("s:", "a:"), mirrors=(Mirror(PoolName("third"), 12.5),)),
    )
    found = plan(*routes, others=(third,))
    (group,) = groups(found)
    spec = listener_of(group, FOLDER, found.upstreams)
    copies = (Copies("third", 12.5),)
    assert spec.default == Prefix("", "first")
    assert spec.prefixes == (Prefix("a:", "second", copies), Prefix("s:", "second", copies))
    address = HostPort("10.0.0.1", 1)
    assert spec.pools == (
        RedisPool("first", (HostPort("10.0.0.1", 7),), user="watch", password="secret"),
        RedisPool("second", (address,), password="old"),
        RedisPool("third", (address,)),
    )
    assert spec.reads == "MASTER"


def test_workers_take_envoy_for_a_server():
    made = with_sockets(plan(route("a", CLUSTER), route("b", PLAIN, port=9)), FOLDER)
    stand_in, plain = (one.backends[0][0] for one in made.of(Protocol.REDIS))
    (group,) = groups(plan(route("a", CLUSTER)))
    assert socket_of(stand_in) == str(group.socket(FOLDER))
    assert stand_in.name.startswith("c@envoy-")
    assert [shown_name(one) for one in (stand_in, plain)] == ["c", "plain"]
    assert plain is PLAIN
    assert not socket_of(plain)
