"""Exposition: what the workers of a DBLB count, as text that Prometheus reads. Bounded; no I/O.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Generic, TypeVar

from marchproxy.engines.envoy.metrics.exposition import label_text
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.observing import added_up
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.tally import BOUNDS, PoolGauge, Tally, TallyKey, Times

K = TypeVar("K", bound=Hashable)

_PREFIX = "marchproxy_dblb_"
_MOST_SESSIONS = 500  # kinds of session, by route, pool, database and user
_MOST_GAUGES = 500  # by pool, server, database and user
_MOST_SERVERS = 500
_MOST_REASONS = 30  # why something pins
_EDGES = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
_COUNTERS = {
    "transactions": "Transactions that ended.",
    "queries": "Statements, or commands, that servers were asked.",
    "errors": "Errors that servers answered, and requests that none answered.",
    "unserved": "Requests that no server answered: none could be had in time, or it was lost.",
    "blocked": "Statements that a firewall rule refused.",
    "warned": "Statements that a firewall rule let pass with a warning.",
    "limited": "Statements and connections that a rate limit refused.",
    "uncounted": "Statements and connections that passed because a rate limit had no place to count them.",
    "to_replicas": "Statements that replicas answered.",
    "retried": "Statements that were asked again on another server.",
}
_TIMES = {
    "query_seconds": "From a request until its server was free again.",
    "wait_seconds": "Time that those waited for a server connection who had to.",
}
_GAUGES = {
    "connections": "Connections to servers.",
    "idle": "Connections to servers that nobody uses.",
    "waiting": "Clients that wait for a server connection.",
    "size": "The most connections to the server.",
}


@dataclass(frozen=True, slots=True)
class _GaugeKey:
    pool: str
    server: str
    database: str
    user: str


class _Kept(Generic[K]):
    """Keys that have series of their own: the first so many; others share one."""

    def __init__(self, most: int, rest: Callable[[K], K]) -> None:
        self._most = most
        self._rest = rest
        self._kept: dict[K, None] = {}

    def of(self, key: K) -> K:
        """The key under which this one is counted."""
        if key in self._kept:
            return key
        if len(self._kept) < self._most:
            self._kept[key] = None
            return key
        return self._rest(key)


class Exposition:
    """Remembers who has series of its own, so that counters only grow."""

    def __init__(self) -> None:
        self._sessions = _Kept[TallyKey](
            _MOST_SESSIONS, lambda key: TallyKey(key.protocol, "other", "other", "*", "*")
        )
        self._gauges = _Kept[_GaugeKey](_MOST_GAUGES, lambda _: _GaugeKey("other", "other", "*", "*"))
        self._reasons = _Kept[str](_MOST_REASONS, lambda _: "other")

    def render(self, counted: Counted, reports: Sequence[ServerReport]) -> bytes:
        """The text in format 0.0.4."""
        lines = [
            *self._of_sessions(counted.tallies),
            *self._of_gauges(counted.gauges),
            *_of_servers(reports[:_MOST_SERVERS]),
        ]
        return ("\n".join(lines) + "\n").encode() if lines else b""

    def _of_sessions(self, tallies: Mapping[TallyKey, Tally]) -> Iterator[str]:
        shown: dict[TallyKey, list[Tally]] = {}
        for key, tally in tallies.items():
            shown.setdefault(self._sessions.of(key), []).append(tally)
        clients = ((_labels(key), sum(one.clients for one in found)) for key, found in shown.items())
        yield from _family("clients", "gauge", "Clients that are connected.", clients)
        for name, text in _COUNTERS.items():
            values = (
                (_labels(key), sum(getattr(one, name) for one in found)) for key, found in shown.items()
            )
            yield from _family(f"{name}_total", "counter", text, values)
        yield from self._pins(shown)
        groups: dict[TallyKey, list[Tally]] = {}
        for key, found in shown.items():
            groups.setdefault(replace(key, user=""), []).extend(found)
        for name, text in _TIMES.items():
            yield from _histograms(name, text, groups)

    def _pins(self, shown: Mapping[TallyKey, Sequence[Tally]]) -> Iterator[str]:
        found: Counter[str] = Counter()
        for key, tallies in shown.items():
            labels = label_text((("route", key.route), ("pool", key.pool)))
            for tally in tallies:
                for reason, count in tally.pins.items():
                    found[f"{labels},{label_text((('reason', self._reasons.of(reason)),))}"] += count
        text = "Server connections that were held beyond a transaction, by reason."
        yield from _family("pins_total", "counter", text, found.items())

    def _of_gauges(self, gauges: Iterable[PoolGauge]) -> Iterator[str]:
        shown: dict[_GaugeKey, list[PoolGauge]] = {}
        for gauge in gauges:
            key = _GaugeKey(gauge.pool, gauge.server, gauge.database, gauge.user)
            shown.setdefault(self._gauges.of(key), []).append(gauge)
        for name, text in _GAUGES.items():
            values = (
                (
                    label_text(
                        (
                            ("pool", key.pool),
                            ("server", key.server),
                            ("database", key.database),
                            ("user", key.user),
                        )
                    ),
                    sum(getattr(one, name) for one in found),
                )
                for key, found in shown.items()
            )
            yield from _family(f"pool_{name}", "gauge", text, values)


def _of_servers(reports: Sequence[ServerReport]) -> Iterator[str]:
    named = [(label_text((("pool", one.pool), ("server", one.address))), one) for one in reports]
    up = ((labels, int(not one.fault)) for labels, one in named)
    yield from _family("server_up", "gauge", "1: the server answered when it was last looked at.", up)
    roles = ((f"{labels},{label_text((('role', one.role),))}", 1) for labels, one in named)
    yield from _family(
        "server_role", "gauge", "1 for what the server is: primary, replica or unknown.", roles
    )
    lags = ((labels, one.lag) for labels, one in named if one.lag is not None)
    yield from _family("server_lag_seconds", "gauge", "How far a replica is behind.", lags)
    latencies = ((labels, one.latency) for labels, one in named if one.latency is not None)
    yield from _family("server_latency_seconds", "gauge", "What the last look at the server took.", latencies)


def _labels(key: TallyKey) -> str:
    pairs = (
        ("protocol", key.protocol),
        ("route", key.route),
        ("pool", key.pool),
        ("database", key.database),
        ("user", key.user),
    )
    return label_text(pairs if key.user else pairs[:-1])


def _family(name: str, kind: str, text: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    lines = [f"{_PREFIX}{name}{{{labels}}} {value:.15g}" for labels, value in values]
    if lines:
        yield from _head(name, kind, text)
        yield from lines


def _histograms(name: str, text: str, groups: Mapping[TallyKey, Sequence[Tally]]) -> Iterator[str]:
    if groups:
        yield from _head(name, "histogram", text)
    for key, tallies in groups.items():
        labels = _labels(key)
        times: Times = added_up(getattr(tally, name) for tally in tallies)
        cumulated = tuple(accumulate(times.buckets))
        for edge, count in zip(_EDGES, cumulated, strict=True):
            yield f'{_PREFIX}{name}_bucket{{{labels},le="{edge}"}} {count}'
        yield f"{_PREFIX}{name}_sum{{{labels}}} {times.total:.9g}"
        yield f"{_PREFIX}{name}_count{{{labels}}} {cumulated[-1]}"


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {text}"
    yield f"# TYPE {_PREFIX}{name} {kind}"
