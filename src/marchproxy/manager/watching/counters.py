"""Counters: what a module counted at two looks, as rates. Pure. A counter that went back began anew at 0."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.manager.watching.view import Rates

#: Requests, failed ones, bytes from clients, bytes to clients.
Counts = tuple[int, int, int, int]

_NONE: Counts = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted at a look; `at` in seconds of the module's own clock."""

    at: float = 0.0
    total: Counts = _NONE
    routes: Mapping[str, Counts] = field(default_factory=dict)
    pools: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """What was served between two looks. Routes and pools that nobody asked for are left out."""

    total: Rates = Rates()
    routes: Mapping[str, Rates] = field(default_factory=dict)
    pools: Mapping[str, Rates] = field(default_factory=dict)


def growth(before: float, after: float) -> float:
    """By how much a counter has grown."""
    return after - before if after >= before else after


def served(before: Counted | None, answer: module_pb2.GetStatsResponse, at: float) -> tuple[Counted, Served]:
    """What was counted, and what was served since `before`; nothing where that is None, or no time has passed."""
    elapsed = at - before.at if before is not None else 0.0
    known = before or Counted()
    routes, of_routes = _each(known.routes, answer.routes, elapsed)
    pools, of_pools = _each(known.pools, answer.pools, elapsed)
    total = _counts(answer.stats)
    rates = _rates(known.total, answer.stats, elapsed) if elapsed > 0 else Rates()
    return Counted(at, total, routes, pools), Served(rates, of_routes, of_pools)


def together(rates: list[Rates]) -> Rates:
    """What several instances serve."""
    if len(rates) == 1:
        return rates[0]
    return Rates(
        sum([one.requests for one in rates]),
        sum([one.errors for one in rates]),
        max([one.p50_ms for one in rates], default=0.0),
        max([one.p99_ms for one in rates], default=0.0),
        sum([one.received for one in rates]),
        sum([one.sent for one in rates]),
    )


def _each(
    known: Mapping[str, Counts], stats: Mapping[str, types_pb2.ModuleStats], elapsed: float
) -> tuple[Mapping[str, Counts], Mapping[str, Rates]]:
    """Most of a thousand routes are idle between two looks, so the first figures of each decide whether others are read."""
    counts: dict[str, Counts] = {}
    rates: dict[str, Rates] = {}
    for name, one in stats.items():
        before = known.get(name)
        if before is not None and before[0] == one.total_requests and before[1] == one.failed_requests:
            counts[name] = before
            continue
        counts[name] = _counts(one)
        # one that was not there before began between the looks
        if elapsed > 0 and (found := _rates(before or _NONE, one, elapsed)).requests > 0:
            rates[name] = found
    return counts, rates


def _counts(stats: types_pb2.ModuleStats) -> Counts:
    return (stats.total_requests, stats.failed_requests, stats.bytes_received, stats.bytes_sent)


def _rates(before: Counts, stats: types_pb2.ModuleStats, elapsed: float) -> Rates:
    requests, errors, received, sent = (
        growth(old, new) / elapsed for old, new in zip(before, _counts(stats), strict=True)
    )
    busy = requests > 0
    return Rates(
        requests,
        min(errors, requests) if busy else errors,
        stats.p50_latency_ms if busy else 0.0,
        stats.p99_latency_ms if busy else 0.0,
        received,
        sent,
    )
