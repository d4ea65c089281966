"""Observing: what workers counted and how servers were seen, as the rest of a module knows such things. No I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from marchproxy.model.series import Point
from marchproxy.modules.base.observation import EndpointSeen, Latency, Observation, PoolSeen, Traffic
from marchproxy.modules.dblb.breakdown import Breakdown, Groups, groups, pool_use
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.reports import pool_trouble
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import BOUNDS, PoolGauge, TallyKey, Times

_KINDS: Mapping[str, Callable[[TallyKey], str]] = {
    "route": lambda key: key.route,
    "pool": lambda key: key.pool,
    "database": lambda key: key.database,
    "user": lambda key: key.user,
}
_SUMS = ("transactions", "blocked", "limited", "to_replicas", "retried")


class Observer:
    """Makes observations. Latencies are those since the observation before, as far as something was asked since then."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], Times] = {}
        self._latencies: dict[tuple[str, str], Latency] = {}
        self._breakdown = Breakdown()

    def observe(self, counted: Counted, reports: Sequence[ServerReport], now: float) -> Observation:
        """What there is now; `now` in seconds of a clock that does not jump."""
        by_kind = {kind: groups(counted.tallies, name_of) for kind, name_of in _KINDS.items()}
        routes, pools = (self._traffic(kind, by_kind[kind]) for kind in ("route", "pool"))
        for kind in ("database", "user"):
            self._traffic(kind, by_kind[kind])
        (whole,) = self._traffic("", groups(counted.tallies, lambda _: "")).values() or (Traffic(),)
        names = {*pools, *(report.pool for report in reports)} - {""}
        return Observation(
            traffic=whole,
            active_connections=counted.clients,
            total_connections=counted.accepted,
            routes={name: traffic for name, traffic in routes.items() if name},
            pools={
                name: _pool_seen(
                    pools.get(name, Traffic()),
                    [report for report in reports if report.pool == name],
                    [gauge for gauge in counted.gauges if gauge.pool == name],
                )
                for name in sorted(names)
            },
            points=(
                *_points(counted),
                *self._breakdown.points(
                    {kind: by_kind[kind] for kind in ("database", "user", "pool")}, self._latencies, now
                ),
                *pool_use(counted),
            ),
            cpu_percent=counted.cpu_percent,
            memory_mb=counted.memory_mb,
        )

    def _traffic(self, kind: str, parts: Groups) -> dict[str, Traffic]:
        return {
            name: Traffic(
                requests=sum(tally.queries for tally in found),
                failures=sum(tally.errors for tally in found),
                latency=self._latency((kind, name), added_up(tally.query_seconds for tally in found)),
                rejected=sum(tally.errors - tally.unserved for tally in found),
            )
            for name, found in parts.items()
        }

    def _latency(self, name: tuple[str, str], now: Times) -> Latency:
        before = self._before.get(name) or Times()
        window = [new - old for new, old in zip(now.buckets, before.buckets, strict=True)]
        self._before[name] = now
        if any(window) and min(window) >= 0:
            self._latencies[name] = latency_of(window, now.total - before.total)
        return self._latencies.get(name, Latency())


def added_up(all_times: Iterable[Times]) -> Times:
    """One histogram of several."""
    total = Times()
    for times in all_times:
        total.buckets = [one + other for one, other in zip(total.buckets, times.buckets, strict=True)]
        total.total += times.total
    return total


def latency_of(counts: Sequence[int], seconds: float) -> Latency:
    """The latencies of a histogram with the bounds of tallies, evenly spread within each bucket."""
    number = sum(counts)
    p50, p90, p95, p99 = (1000 * _quantile(counts, number * share) for share in (0.5, 0.9, 0.95, 0.99))
    return Latency(1000 * seconds / number, p50, p90, p95, p99)


def _quantile(counts: Sequence[int], rank: float) -> float:
    for index, reached in enumerate(accumulate(counts)):
        if reached >= rank and counts[index]:
            if index == len(BOUNDS):
                break  # all that is known of it
            lower = BOUNDS[index - 1] if index else 0.0
            return lower + (BOUNDS[index] - lower) * (1 - (reached - rank) / counts[index])
    return BOUNDS[-1]


def _pool_seen(traffic: Traffic, reports: Sequence[ServerReport], gauges: Sequence[PoolGauge]) -> PoolSeen:
    busy: dict[str, int] = {}
    for gauge in gauges:
        busy[gauge.server] = busy.get(gauge.server, 0) + gauge.connections - gauge.idle
    endpoints = tuple(
        EndpointSeen(report.address, not report.fault, busy.get(report.address, 0)) for report in reports
    )
    return PoolSeen(traffic, endpoints, pool_trouble(reports))


def _points(counted: Counted) -> Iterable[Point]:
    for name in _SUMS:
        yield Point(f"{name}_total", sum(getattr(tally, name) for tally in counted.tallies.values()))
    yield Point("pins_total", sum(tally.pins.total() for tally in counted.tallies.values()))
    for name in ("connections", "idle", "waiting"):
        yield Point(f"server_{name}", sum(getattr(gauge, name) for gauge in counted.gauges))
