"""What was counted, by database, user and pool."""

import pytest

from marchproxy.modules.base.observation import Latency
from marchproxy.modules.dblb.breakdown import Breakdown, groups, pool_use
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.tally import PoolGauge, Tally, TallyKey


def tally(transactions: int, queries: int = 1) -> Tally:
    found = Tally()
    found.transactions, found.queries, found.clients, found.blocked = transactions, queries, 2, 1
    found.wait_seconds.add(0.5)
    found.pins["listen"] = 3
    return found


def key(database: str, user: str = "ann") -> TallyKey:
    return TallyKey("postgres", "r", "p", database, user)


def told(points):
    return {(point.name, *(value for _, value in point.labels)): point.value for point in points}


def by_database(tallies):
    return {"database": groups(tallies, lambda one: one.database)}


def test_sums_and_rates():
    breakdown = Breakdown()
    first = told(breakdown.points(by_database({key("a"): tally(5), key("a", "bob"): tally(1)}), {}, 100.0))
    assert first == {
        ("database_transactions_total", "a"): 6,
        ("database_queries_total", "a"): 2,
        ("database_errors_total", "a"): 0,
        ("database_blocked_total", "a"): 2,
        ("database_limited_total", "a"): 0,
        ("database_pins_total", "a"): 6,
        ("database_wait_seconds_total", "a"): pytest.approx(1.0),
        ("database_clients", "a"): 4,
    }
    latencies = {("database", "a"): Latency(2.0, 1.0, 3.0, 4.0, 5.0)}
    later = told(breakdown.points(by_database({key("a"): tally(26), key("b"): tally(9)}), latencies, 110.0))
    assert later["database_transactions_per_second", "a"] == 2.0
    assert ("database_transactions_per_second", "b") not in later  # since when it counts is not known
    assert (later["database_query_ms", "a", "0.5"], later["database_query_ms", "a", "0.99"]) == (1.0, 5.0)


def test_those_that_are_asked_most_are_told():
    tallies = {key(f"d{number}"): tally(1, number) for number in range(90)}
    names = {name[1] for name in told(Breakdown().points(by_database(tallies), {}, 0.0))}
    assert names == {f"d{number}" for number in range(40, 90)}


def test_the_use_of_pools():
    gauges = (
        PoolGauge("p", "a:1", "", "d", "u", 5, 3, 1, 10),
        PoolGauge("p", "b:1", "", "d", "u", 1, 1, 0, 10),
        PoolGauge("q", "c:1", "", "d", "u", 2, 0, 4, 9),
    )
    assert told(pool_use(Counted(gauges=gauges))) == {
        ("pool_connections", "p"): 6,
        ("pool_idle", "p"): 4,
        ("pool_waiting", "p"): 1,
        ("pool_size", "p"): 20,
        ("pool_connections", "q"): 2,
        ("pool_idle", "q"): 0,
        ("pool_waiting", "q"): 4,
        ("pool_size", "q"): 9,
    }
