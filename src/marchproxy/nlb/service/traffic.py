"""Traffic: what the data planes carry, as Prometheus metrics.

Label values are bounded: listeners are those of the configuration, of everything else the first so many by name have
series of their own and the rest is added up under `other`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from marchproxy.nlb.dataplane.plane import Choice, ConnectionCounts, LimitCounts, TrafficCounts

MOST_PAIRS = 200
MOST_LIMITS = 200
OTHER = "other"

_Counts = TypeVar("_Counts", ConnectionCounts, LimitCounts)
_Family = GaugeMetricFamily | CounterMetricFamily
_Labels = tuple[str, ...]


def render_traffic(counts: TrafficCounts, choices: Mapping[str, Choice] | None = None) -> bytes:
    """Counts in the Prometheus text format. Apart from the registry, because the data plane has to be asked first."""
    registry = CollectorRegistry()
    registry.register(_Traffic(counts, choices or {}))
    return generate_latest(registry)


class _Traffic:
    def __init__(self, counts: TrafficCounts, choices: Mapping[str, Choice]) -> None:
        self._counts = counts
        self._choices = choices

    def collect(self) -> Iterator[Metric]:
        yield from self._listeners()
        yield from self._instances()
        yield from self._limits()
        yield from self._closes()
        info = GaugeMetricFamily(
            "marchproxy_nlb_listener_data_plane",
            "Which data plane carries a listener; always 1.",
            labels=("listener", "data_plane"),
        )
        for name, choice in self._choices.items():
            info.add_metric((name, choice.plane.value), 1)
        yield info

    def _listeners(self) -> Iterator[Metric]:
        series: dict[_Labels, ConnectionCounts] = {
            (name,): counts for name, counts in self._counts.listeners.items()
        }
        labels = ("listener",)
        yield _gauge("connections", "Open connections.", labels, series, lambda c: c.active)
        yield _counter("accepted_connections", "Connections ever opened.", labels, series, lambda c: c.total)
        yield _counter(
            "failed_connections", "Connections that reached nobody.", labels, series, lambda c: c.failed
        )
        yield _counter(
            "denied_connections", "Refused by a limit or a rule.", labels, series, lambda c: c.denied
        )
        yield _counter("received_bytes", "From clients.", labels, series, lambda c: c.received)
        yield _counter("sent_bytes", "To clients.", labels, series, lambda c: c.sent)

    def _instances(self) -> Iterator[Metric]:
        pairs: dict[_Labels, ConnectionCounts] = {
            (name, str(instance)): counts for (name, instance), counts in self._counts.endpoints.items()
        }
        series = _capped(pairs, MOST_PAIRS)
        labels = ("listener", "instance")
        yield _gauge("instance_connections", "Open connections.", labels, series, lambda c: c.active)
        yield _counter("instance_opened_connections", "Ever opened.", labels, series, lambda c: c.total)
        yield _counter(
            "instance_connect_failures", "Attempts that failed.", labels, series, lambda c: c.failed
        )

    def _limits(self) -> Iterator[Metric]:
        limits: dict[_Labels, LimitCounts] = {
            (str(key),): counts for key, counts in self._counts.limits.items()
        }
        series = _capped(limits, MOST_LIMITS)
        labels = ("limit",)
        yield _counter(
            "limit_allowed", "New connections let pass by a rate limit.", labels, series, lambda c: c.allowed
        )
        yield _counter(
            "limit_denied", "New connections refused by a rate limit.", labels, series, lambda c: c.denied
        )

    def _closes(self) -> Iterator[Metric]:
        ends = CounterMetricFamily(
            "marchproxy_nlb_closed_connections",
            "How connections ended, where the data plane tells: finished, idle, unknown (no protocol of the port), …",
            labels=("listener", "outcome"),
        )
        for labels, count in self._counts.closes.items():
            ends.add_metric(labels, count)
        yield ends


def _capped(series: Mapping[_Labels, _Counts], most: int) -> dict[_Labels, _Counts]:
    """The first so many by name; the last label of the others becomes `other`."""
    names = sorted(series)
    kept: dict[_Labels, _Counts] = {name: series[name] for name in names[:most]}
    for name in names[most:]:
        rest = _rest(name)
        kept[rest] = kept[rest] + series[name] if rest in kept else series[name]
    return kept


def _rest(labels: _Labels) -> _Labels:
    return (*labels[:-1], OTHER)


def _gauge(
    name: str,
    words: str,
    labels: _Labels,
    series: Mapping[_Labels, _Counts],
    value: Callable[[_Counts], int],
) -> Metric:
    return _filled(GaugeMetricFamily(f"marchproxy_nlb_{name}", words, labels=labels), series, value)


def _counter(
    name: str,
    words: str,
    labels: _Labels,
    series: Mapping[_Labels, _Counts],
    value: Callable[[_Counts], int],
) -> Metric:
    return _filled(CounterMetricFamily(f"marchproxy_nlb_{name}", words, labels=labels), series, value)


def _filled(family: _Family, series: Mapping[_Labels, _Counts], value: Callable[[_Counts], int]) -> Metric:
    for labels, counts in series.items():
        family.add_metric(labels, value(counts))
    return family
