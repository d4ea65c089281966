"""What is observed of counts and servers."""

import pytest

from marchproxy.modules.base.observation import EndpointSeen, Latency
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.observing import Observer, latency_of
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import BOUNDS, PoolGauge, Tally, TallyKey


def tally(*seconds: float, **counts: int) -> Tally:
    found = Tally()
    for value in seconds:
        found.query_seconds.add(value)
    found.queries = len(seconds)
    for name, count in counts.items():
        setattr(found, name, count)
    return found


def key(route="shop", pool="blue", user="ann"):
    return TallyKey("postgres", route, pool, "shop", user)


def test_counts_by_route_and_pool():
    tallies = {
        key(): tally(0.001, 0.001, errors=1, transactions=2),
        key(user="bob", pool="green"): tally(0.002, blocked=3),
        key("reports", "green"): tally(0.2, 0.2, 0.2, errors=2),
    }
    tallies[key("reports", "green")].unanswered(2)
    tallies[key()].pins["listen"] = 4
    gauges = (
        PoolGauge("blue", "a:1", "primary", "shop", "ann", 5, 3, 1, 10),
        PoolGauge("blue", "a:1", "primary", "shop", "bob", 2, 0, 0, 10),
    )
    reports = [
        ServerReport("blue", "a:1", "primary"),
        ServerReport("blue", "b:1", "unknown", fault="is down"),
        ServerReport("idle", "c:1", "replica"),
    ]
    seen = Observer().observe(Counted(tallies, gauges, 7, 9, 12.5, 100.0), reports, 0.0)
    assert (seen.traffic.requests, seen.traffic.failures, seen.traffic.rejected) == (8, 5, 3)
    assert {name: (one.requests, one.failures) for name, one in seen.routes.items()} == {
        "shop": (3, 1),
        "reports": (5, 4),
    }
    assert {name: one.traffic.requests for name, one in seen.pools.items()} == {
        "blue": 2,
        "green": 6,
        "idle": 0,
    }
    assert seen.pools["blue"].endpoints == (EndpointSeen("a:1", True, 4), EndpointSeen("b:1", False))
    assert seen.pools["idle"].trouble == "no server is primary: nothing can be written"
    assert (seen.active_connections, seen.total_connections, seen.cpu_percent, seen.memory_mb) == (
        7,
        9,
        12.5,
        100.0,
    )
    points = {point.name: point.value for point in seen.points if not point.labels}
    assert points == {
        "transactions_total": 2,
        "blocked_total": 3,
        "limited_total": 0,
        "to_replicas_total": 0,
        "retried_total": 0,
        "pins_total": 4,
        "server_connections": 7,
        "server_idle": 3,
        "server_waiting": 1,
    }


def test_nothing_was_asked_yet():
    seen = Observer().observe(Counted(), (), 0.0)
    assert (seen.traffic.requests, seen.traffic.latency, seen.routes, seen.pools) == (0, Latency(), {}, {})


def test_latencies_are_those_since_the_last_look():
    observer = Observer()
    observer.observe(Counted({key(): tally(*[0.0004] * 100)}), (), 0.0)
    first = (
        observer.observe(Counted({key(): tally(*[0.0004] * 100, *[4.0] * 10)}), (), 0.0)
        .routes["shop"]
        .latency
    )
    assert 2500 < first.p50 < 5000
    assert first.mean == pytest.approx(4000)
    again = observer.observe(Counted({key(): tally(*[0.0004] * 100, *[4.0] * 10)}), (), 0.0)
    assert again.routes["shop"].latency == first  # nothing was asked since
    assert again.pools["blue"].traffic.latency == first


@pytest.mark.parametrize(
    ("seconds", "p50", "p99"),
    [
        ([0.0004] * 100, 0.25, 0.495),  # evenly spread from 0 to 0.5 ms
        ([0.02] * 98 + [0.4] * 2, 17.65, 375.0),
        ([99.0] * 10, 30_000, 30_000),  # no more is known of it
    ],
)
def test_quantiles_of_a_histogram(seconds, p50, p99):
    found = latency_of(tally(*seconds).query_seconds.buckets, sum(seconds))
    assert (found.p50, found.p99) == (pytest.approx(p50, abs=0.1), pytest.approx(p99, abs=0.1))
    assert found.mean == pytest.approx(1000 * sum(seconds) / len(seconds))


def test_quantiles_grow():
    counts = [1] * (len(BOUNDS) + 1)
    found = latency_of(counts, 1.0)
    assert found.p50 <= found.p90 <= found.p95 <= found.p99
