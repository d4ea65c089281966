"""Counts from what an Envoy 1.40 really answered: 41 requests to `shop`, 39 taken by pool a, 2 by b, where nobody listens."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marchproxy.engines.envoy.clusters import parse_clusters
from marchproxy.engines.envoy.metrics import wanted
from marchproxy.engines.envoy.stats import EnvoyStats, Quantiles, parse_stats
from marchproxy.modules.alb.counts import ACTIVE, POOLS, WANTED, active, observation
from marchproxy.modules.alb.metrics import TABLE
from marchproxy.modules.base.observation import EndpointSeen, Latency, Observation

GOLDEN = Path(__file__).parent / "golden"
STATS = (GOLDEN / "stats.json").read_bytes()
CLUSTERS = (GOLDEN / "clusters.json").read_bytes()


@pytest.fixture
def seen() -> Observation:
    return observation(parse_stats(STATS), parse_clusters(CLUSTERS))


def test_totals(seen: Observation) -> None:
    traffic = seen.traffic
    assert (traffic.requests, traffic.failures) == (41, 2)
    assert (traffic.bytes_received, traffic.bytes_sent) == (5646, 4779)
    assert (seen.total_connections, seen.active_connections) == (41, 0)
    assert seen.status_classes == {"1xx": 0, "2xx": 38, "3xx": 0, "4xx": 1, "5xx": 2}
    assert (traffic.latency.p50, traffic.latency.p99) == (0, 50.5)
    assert traffic.latency.mean == pytest.approx((2.05 + 32.5 + 47.5 + 50.5) / 41)


def test_a_request_that_found_no_connection_counts(seen: Observation) -> None:
    """Envoy leaves it out of upstream_rq_total; a canary that is down would seem to have had no traffic."""
    dead = seen.pools["b"].traffic
    assert (dead.requests, dead.failures) == (2, 2)
    assert (seen.routes["shop"].requests, seen.routes["shop"].failures) == (41, 2)


def test_pools_are_those_that_envoy_has(seen: Observation) -> None:
    assert set(seen.pools) == {"a", "b"}
    assert seen.pools["a"].endpoints == (EndpointSeen("127.0.0.1:31009", True, 0, 39),)


def test_an_envoy_without_traffic_counts_nothing() -> None:
    seen = observation(EnvoyStats(), ())
    assert (seen.traffic.requests, seen.traffic.latency, seen.routes, seen.pools) == (0, Latency(), {}, {})


@pytest.mark.parametrize("route", ["shop", "a.route.b", "code.200.route.x", "x.y"])
def test_a_route_is_the_sum_over_its_statuses(route: str) -> None:
    codes = {"200": 7, "301": 1, "404": 2, "500": 3, "503": 4, "101": 5}
    values = {f"routes.completed.code.{code}.route.{route}": count for code, count in codes.items()}
    found = observation(EnvoyStats(values), ()).routes[route]
    assert (found.requests, found.failures) == (22, 7)


def test_the_latency_of_a_route_is_that_of_the_last_window_with_traffic() -> None:
    stats = parse_stats(STATS)
    assert observation(stats, ()).routes["shop"].latency.p99 == 50.5
    time = stats.histograms["routes.time.route.shop"]
    recent = EnvoyStats(
        stats.values, {}, {"routes.time.route.shop": replace(time, interval=Quantiles(*[7.0] * 10))}
    )
    assert observation(recent, ()).routes["shop"].latency == Latency(7, 7, 7, 7, 7)


def test_the_table_and_the_pattern_ask_for_what_is_read() -> None:
    names: list[Any] = [entry["name"] for entry in json.loads(STATS)["stats"] if "name" in entry]
    pattern = re.compile(wanted(TABLE, WANTED))
    asked = [name for name in names if pattern.search(name)]
    read = parse_stats(STATS)
    kept = EnvoyStats({name: read.values[name] for name in asked}, {}, read.histograms)
    clusters = parse_clusters(CLUSTERS)
    assert observation(kept, clusters) == observation(read, clusters)
    assert "cluster.pool.a.upstream_cx_destroy" not in asked
    assert re.search(POOLS, "pool.a")
    assert not re.search(POOLS, "marchproxy_xds")


def test_active() -> None:
    names = ["http.alb.downstream_rq_active", "http.alb.downstream_cx_active"]
    assert all(re.search(ACTIVE, name) for name in names)
    assert active(EnvoyStats(dict(zip(names, (3, 5), strict=True)))) == (3, 5)
