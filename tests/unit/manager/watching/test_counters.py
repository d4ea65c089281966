"""Counts at two looks, as rates."""

import pytest

from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.manager.watching.counters import Counted, growth, served, together
from marchproxy.manager.watching.view import Rates


def stats(requests: int, failed: int = 0, **more: float) -> types_pb2.ModuleStats:
    return types_pb2.ModuleStats(total_requests=requests, failed_requests=failed, **more)  # type: ignore[arg-type]


def answer(total: types_pb2.ModuleStats, **routes: types_pb2.ModuleStats) -> module_pb2.GetStatsResponse:
    return module_pb2.GetStatsResponse(stats=total, routes=routes)


@pytest.mark.parametrize(
    ("before", "after", "grown"), [(0, 0, 0), (5, 9, 4), (9, 5, 5), (9, 0, 0)]
)  # a counter that went back began anew
def test_growth(before: int, after: int, grown: int) -> None:
    assert growth(before, after) == grown


def test_the_first_look_counts_and_serves_nothing() -> None:
    counted, found = served(None, answer(stats(100), web=stats(100)), 10.0)
    assert counted.total == (100, 0, 0, 0)
    assert found.total == Rates()
    assert found.routes == {}


def test_what_grew_is_what_was_served() -> None:
    before, _ = served(None, answer(stats(100, 3), web=stats(90, 3), idle=stats(7)), 10.0)
    later = answer(
        stats(120, 5, bytes_received=50, p50_latency_ms=1.0, p99_latency_ms=9.0),
        web=stats(110, 5, p99_latency_ms=8.0),
        idle=stats(7, p99_latency_ms=80.0),
        new=stats(4),
    )
    counted, found = served(before, later, 12.0)
    assert found.total == Rates(10.0, 1.0, 1.0, 9.0, 25.0, 0.0)
    assert found.routes == {"web": Rates(10.0, 1.0, 0.0, 8.0), "new": Rates(2.0)}
    assert counted.routes == {"web": (110, 5, 0, 0), "idle": (7, 0, 0, 0), "new": (4, 0, 0, 0)}


def test_a_restart_counts_from_zero() -> None:
    before = Counted(10.0, (1000, 0, 0, 0), {"web": (1000, 0, 0, 0)})
    _, found = served(before, answer(stats(20), web=stats(20)), 20.0)
    assert found.total.requests == 2.0
    assert found.routes["web"].requests == 2.0


def test_a_clock_that_went_back_says_nothing() -> None:
    before = Counted(10.0, (10, 0, 0, 0))
    counted, found = served(before, answer(stats(20)), 9.0)
    assert found.total == Rates()
    assert counted.at == 9.0


def test_latencies_without_requests_are_none() -> None:
    before = Counted(10.0, (20, 0, 0, 0))
    _, found = served(before, answer(stats(20, p99_latency_ms=7.0)), 12.0)
    assert found.total.p99_ms == 0


def test_several_add_up_and_the_slowest_speaks() -> None:
    both = together([Rates(1, 0.5, 2, 3, 4, 5), Rates(10, 0, 1, 30, 40, 50)])
    assert both == Rates(11, 0.5, 2, 30, 44, 55)
    assert together([]) == Rates()
    assert both.error_share == pytest.approx(0.5 / 11)
