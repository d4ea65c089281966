"""Counts from what an Envoy 1.40 really answered: 41 requests to `shop`, 39 taken by pool a, 2 by b, where nobody listens."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marchproxy.engines.envoy.clusters import ClusterStatus, parse_clusters
from marchproxy.engines.envoy.metrics import wanted
from marchproxy.engines.envoy.stats import EnvoyStats, Histogram, Quantiles, parse_stats
from marchproxy.modules.base.observation import EndpointSeen, Latency, Observation
from marchproxy.modules.http.counts import ACTIVE, POOLS, WANTED, active, observation
from marchproxy.modules.http.metrics import TABLE

GOLDEN = Path(__file__).parent / "golden"
STATS = (GOLDEN / "stats.json").read_bytes()
CLUSTERS = (GOLDEN / "clusters.json").read_bytes()


def clusters(*pools: str) -> list[ClusterStatus]:
    """Pools without endpoints."""
    return [ClusterStatus(f"pool.{name}", dynamic=True, hosts=()) for name in pools]


@pytest.fixture
def seen() -> Observation:
    return observation(parse_stats(STATS), parse_clusters(CLUSTERS))


def test_totals(seen: Observation) -> None:
    traffic = seen.traffic
    assert (traffic.requests, traffic.failures) == (41, 2)
    assert (traffic.bytes_received, traffic.bytes_sent) == (2796, 4818)
    assert (seen.total_connections, seen.active_connections) == (41, 0)
    assert seen.status_classes == {"1xx": 0, "2xx": 38, "3xx": 0, "4xx": 1, "5xx": 2}
    assert (traffic.latency.p50, traffic.latency.p99) == (0, 50.5)
    assert traffic.latency.mean == pytest.approx((1.05 + 2.05 + 8.05 + 47.5 + 50.5) / 41)


def test_a_request_that_found_no_connection_counts(seen: Observation) -> None:
    """Envoy leaves it out of upstream_rq_total; a canary that is down would seem to have had no traffic."""
    dead = seen.pools["b"].traffic
    assert (dead.requests, dead.failures) == (2, 2)
    assert (seen.routes["shop"].requests, seen.routes["shop"].failures) == (41, 2)


def test_pools_are_those_that_envoy_has(seen: Observation) -> None:
    assert set(seen.pools) == {"a", "b"}
    assert seen.pools["a"].endpoints == (EndpointSeen("127.0.0.1:46781", True, 0, 39),)


def test_an_envoy_without_traffic_counts_nothing() -> None:
    seen = observation(EnvoyStats(), ())
    assert (seen.traffic.requests, seen.traffic.latency, seen.routes, seen.pools) == (0, Latency(), {}, {})


@pytest.mark.parametrize("route", ["shop", "a.of.b", "completed.of.200"])
def test_a_route_is_the_sum_over_its_statuses_and_pools(route: str) -> None:
    ways = {
        "200/1/pool.a": 7, "301/0/": 1, "404/2/pool.a": 2, "500/1/pool.b.c": 3, "503/0/pool.a": 4, "101/1/pool.a": 5,
    }  # fmt: skip
    values = {f"routes.completed.of.{way}/{route}": count for way, count in ways.items()}
    found = observation(EnvoyStats(values), clusters("a", "b.c"))
    assert (found.routes[route].requests, found.routes[route].failures) == (22, 7)
    pools = {name: (pool.traffic.requests, pool.traffic.failures) for name, pool in found.pools.items()}
    assert pools == {"a": (14, 0), "b.c": (3, 3)}  # nothing of what was refused on its way to a pool


def test_a_pool_that_is_reached_in_two_ways_is_one() -> None:
    ways = {"200/1/pool.a": 7, "200/1/relay.a": 20, "503/2/relay.a": 1, "200/1/marchproxy.own": 4}
    values = {f"routes.completed.of.{way}/llm": count for way, count in ways.items()}
    took = Histogram(None, Quantiles(*[9.0] * 10))
    stats = EnvoyStats(values, {}, {"routes.time.of.1/relay.a/llm": took})
    traffic = observation(stats, clusters("a")).pools["a"].traffic
    assert (traffic.requests, traffic.failures, traffic.latency.p50) == (28, 1, 9)


@pytest.mark.parametrize(
    ("well", "ill"),
    [
        ("cluster.pool.a.upstream_rq_2xx", "cluster.pool.a.upstream_rq_5xx"),
        ("routes.completed.of.200/1/pool.a/", "routes.completed.of.503/1/pool.a/"),
    ],
)
def test_copies_and_fetches_count_though_they_are_no_requests_of_a_route(well: str, ill: str) -> None:
    values = {well: 5, ill: 2}
    found = observation(EnvoyStats(values), clusters("a"))
    assert (found.pools["a"].traffic.requests, found.pools["a"].traffic.failures) == (7, 2)
    assert found.routes == {}


def test_the_latency_is_that_of_the_last_window_with_traffic() -> None:
    stats = parse_stats(STATS)
    name = "routes.time.of.1/pool.a/shop"
    recent = replace(stats.histograms[name], interval=Quantiles(*[7.0] * 10))
    seen = observation(EnvoyStats(stats.values, {}, {**stats.histograms, name: recent}), clusters("a", "b"))
    assert seen.routes["shop"].latency == seen.pools["a"].traffic.latency == Latency(7, 7, 7, 7, 7)
    earlier = observation(stats, clusters("a", "b"))
    assert earlier.pools["a"].traffic.latency.p99 > 50
    assert earlier.routes["shop"].latency.p50 < earlier.routes["shop"].latency.p99


def test_a_pool_of_two_routes_has_the_latency_of_both() -> None:
    ways = {"1/pool.a/quick": (900, 2.0), "1/pool.a/slow": (100, 80.0), "0/pool.a/quick": (500, 0.0)}
    values = {f"routes.completed.of.200/{way}": count for way, (count, _) in ways.items()}
    histograms = {
        f"routes.time.of.{way}": Histogram(None, Quantiles(*[took] * 10)) for way, (_, took) in ways.items()
    }
    latency = observation(EnvoyStats(values, {}, histograms), clusters("a")).pools["a"].traffic.latency
    assert (latency.p50, latency.p90, latency.p95, latency.p99) == (2, 2, 80, 80)


def test_the_table_and_the_pattern_ask_for_what_is_read() -> None:
    names: list[Any] = [entry["name"] for entry in json.loads(STATS)["stats"] if "name" in entry]
    pattern = re.compile(wanted(TABLE, WANTED))
    asked = [name for name in names if pattern.search(name)]
    read = parse_stats(STATS)
    kept = EnvoyStats({name: read.values[name] for name in asked}, {}, read.histograms)
    found = parse_clusters(CLUSTERS)
    assert observation(kept, found) == observation(read, found)
    assert "cluster.pool.a.upstream_cx_destroy" not in asked
    assert re.search(POOLS, "pool.a")
    assert not re.search(POOLS, "marchproxy_xds")


def test_active() -> None:
    names = ["http.alb.downstream_rq_active", "http.alb.downstream_cx_active"]
    assert all(re.search(ACTIVE, name) for name in names)
    assert active(EnvoyStats(dict(zip(names, (3, 5), strict=True)))) == (3, 5)
