"""Envoy's statistics as values: parses `/stats?format=json` of Envoy 1.40. Pure.

Histograms change only when a flush interval ends (bootstrap `stats_flush_interval`): `interval` quantiles describe the
last finished interval, `cumulative` ones everything since the start. Both are null until there was a sample.
https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin#get--stats
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict


class MalformedStats(ValueError):
    """The text is not what Envoy 1.40 answers."""


class Bin(TypedDict):
    """Samples from `lower_bound` on, less than `width` above it."""

    lower_bound: float
    width: float
    count: int


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A distribution in the histogram's own unit (milliseconds for `*_time` and `*_ms`).

    `samples` and `mean` are known only when the statistics were asked for with their buckets (`detailed`).
    """

    minimum: float
    p25: float
    p50: float
    p75: float
    p90: float
    p95: float
    p99: float
    p99_5: float
    p99_9: float
    maximum: float
    samples: int | None = None
    mean: float | None = None


_FIELDS: Mapping[float, str] = {
    0: "minimum", 25: "p25", 50: "p50", 75: "p75", 90: "p90", 95: "p95", 99: "p99", 99.5: "p99_5", 99.9: "p99_9",
    100: "maximum",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Histogram:
    """One histogram; None where it has no sample. `bins`, of all since the start, are known only in `detailed` ones."""

    cumulative: Quantiles | None
    interval: Quantiles | None
    bins: Sequence[Bin] = ()


@dataclass(frozen=True, slots=True)
class EnvoyStats:
    """One reading of the statistics. Envoy's JSON does not tell a counter from a gauge; the caller knows which it asks."""

    values: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)

    def counter(self, name: str) -> int:
        """Return the counter; 0 when Envoy has not created it yet."""
        return self.values.get(name, 0)

    def gauge(self, name: str) -> int:
        """Return the gauge; 0 when Envoy has not created it yet."""
        return self.values.get(name, 0)

    def histogram(self, name: str, *, interval: bool = False) -> Quantiles | None:
        """Return the distribution since the start, or of the last flush interval; None without a sample."""
        found = self.histograms.get(name)
        if found is None:
            return None
        return found.interval if interval else found.cumulative

    def under(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield (name without the prefix, value) of every counter and gauge that starts with `prefix`."""
        for name, value in self.values.items():
            if name.startswith(prefix):
                yield name[len(prefix) :], value

    def histograms_under(self, prefix: str) -> Iterator[tuple[str, Histogram]]:
        """Yield (name without the prefix, histogram) of every histogram that starts with `prefix`."""
        for name, histogram in self.histograms.items():
            if name.startswith(prefix):
                yield name[len(prefix) :], histogram


def parse_stats(text: bytes | str) -> EnvoyStats:
    """Read the JSON answer, with `histogram_buckets` summary (the default) or detailed. Raises MalformedStats."""
    values: dict[str, int] = {}
    texts: dict[str, str] = {}
    histograms: dict[str, Histogram] = {}
    try:
        for entry in json.loads(text)["stats"]:
            if "histograms" in entry:
                histograms.update(_histograms(entry["histograms"]))
            elif isinstance(entry["value"], str):
                texts[entry["name"]] = entry["value"]
            else:
                values[entry["name"]] = int(entry["value"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise MalformedStats(f"not the statistics of an Envoy 1.40: {error!r}") from error
    return EnvoyStats(values, texts, histograms)


def _histograms(block: Mapping[str, Any]) -> Iterator[tuple[str, Histogram]]:
    if "computed_quantiles" in block:
        for entry in block["computed_quantiles"]:
            yield entry["name"], _histogram(block["supported_quantiles"], entry["values"], entry)
    else:
        for entry in block["details"]:
            yield entry["name"], _histogram(block["supported_percentiles"], entry["percentiles"], entry)


def _histogram(ranks: list[float], values: list[Mapping[str, Any]], entry: Mapping[str, Any]) -> Histogram:
    return Histogram(
        cumulative=_quantiles(ranks, [value["cumulative"] for value in values], entry.get("totals")),
        interval=_quantiles(ranks, [value["interval"] for value in values], entry.get("intervals")),
        bins=entry.get("totals", ()),
    )


def _quantiles(
    ranks: list[float], values: list[float | None], buckets: list[Mapping[str, Any]] | None
) -> Quantiles | None:
    if len(values) == len(ranks) and values.count(None) == len(values):
        return None  # most are, of thousands: the last window had no sample
    known = {_FIELDS[rank]: value for rank, value in zip(ranks, values, strict=True) if rank in _FIELDS}
    numbers = {name: float(value) for name, value in known.items() if value is not None}
    if not numbers or any(math.isnan(value) for value in numbers.values()):
        return None
    samples, mean = _mean(buckets)
    return Quantiles(**numbers, samples=samples, mean=mean)


def _mean(buckets: list[Mapping[str, Any]] | None) -> tuple[int | None, float | None]:
    if buckets is None:
        return None, None
    samples = sum(int(bucket["count"]) for bucket in buckets)
    if samples == 0:
        return 0, None
    # a bucket's samples lie somewhere in it; Envoy's buckets are at most 10 % wide, so the middle is near enough
    total = sum((bucket["lower_bound"] + bucket["width"] / 2) * bucket["count"] for bucket in buckets)
    return samples, total / samples
