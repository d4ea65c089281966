"""Breakdown: what was counted, divided by database, by user and by pool, as points for GetStats and GetMetrics. No I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from marchproxy.model.series import Point
from marchproxy.modules.base.observation import Latency
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.tally import Tally, TallyKey

_MOST = 50  # databases, users, and pools: those that are asked most
_SUMS = ("transactions", "queries", "errors", "blocked", "limited")
_GAUGES = ("connections", "idle", "waiting", "size")
Groups = Mapping[str, Sequence[Tally]]


def groups(tallies: Mapping[TallyKey, Tally], name_of: Callable[[TallyKey], str]) -> dict[str, list[Tally]]:
    """The tallies by a part of their keys."""
    found: dict[str, list[Tally]] = {}
    for key, tally in tallies.items():
        found.setdefault(name_of(key), []).append(tally)
    return found


class Breakdown:
    """Rates are those since the points before; the first have none."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], int] = {}
        self._at: float | None = None

    def points(
        self, by_kind: Mapping[str, Groups], latencies: Mapping[tuple[str, str], Latency], now: float
    ) -> Iterator[Point]:
        """Those of each kind (`database`, `user`, `pool`); `now` in seconds of a clock that does not jump."""
        elapsed = 0.0 if self._at is None else now - self._at
        before, self._before, self._at = self._before, {}, now
        for kind, found in by_kind.items():
            for name in sorted(found, key=lambda one: -sum(tally.queries for tally in found[one]))[:_MOST]:
                labels = ((kind, name),)
                yield from _sums(kind, labels, found[name])
                done = self._before[kind, name] = sum(tally.transactions for tally in found[name])
                if elapsed > 0 and (kind, name) in before:
                    rate = max(0, done - before[kind, name]) / elapsed
                    yield Point(f"{kind}_transactions_per_second", rate, labels)
                if latency := latencies.get((kind, name)):
                    for quantile, value in (("0.5", latency.p50), ("0.99", latency.p99)):
                        yield Point(f"{kind}_query_ms", value, (*labels, ("quantile", quantile)))


def _sums(kind: str, labels: tuple[tuple[str, str], ...], tallies: Sequence[Tally]) -> Iterator[Point]:
    for name in _SUMS:
        yield Point(f"{kind}_{name}_total", sum(getattr(tally, name) for tally in tallies), labels)
    yield Point(f"{kind}_pins_total", sum(tally.pins.total() for tally in tallies), labels)
    yield Point(f"{kind}_wait_seconds_total", sum(tally.wait_seconds.total for tally in tallies), labels)
    yield Point(f"{kind}_clients", sum(tally.clients for tally in tallies), labels)


def pool_use(counted: Counted) -> Iterator[Point]:
    """How many connections to servers each pool has, and of what use they are."""
    for pool in sorted({gauge.pool for gauge in counted.gauges})[:_MOST]:
        gauges = [gauge for gauge in counted.gauges if gauge.pool == pool]
        for name in _GAUGES:
            yield Point(f"pool_{name}", sum(getattr(gauge, name) for gauge in gauges), (("pool", pool),))
