"""Buckets: one of Envoy's histograms of milliseconds as a Prometheus histogram of seconds. Pure.

Envoy keeps whole milliseconds, cut off, in bins of two significant digits. All our bounds are edges of such bins, so what
a bucket holds is exact: the requests that took less than its bound.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from marchproxy.engines.envoy.stats import Bin, EnvoyStats

#: Upper bounds in seconds; the last bucket has none.
BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MILLISECONDS = tuple(round(bound * 1000) for bound in BOUNDS)
_SLACK = 1e-6  # of an edge that is not a whole number in binary


@dataclass(frozen=True, slots=True)
class Distribution:
    """Samples by bucket, not cumulated, the last without a bound; `seconds` is their sum."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    seconds: float = 0.0

    @property
    def samples(self) -> int:
        """All of them."""
        return sum(self.counts)

    def since(self, earlier: "Distribution") -> "Distribution":
        """The samples after `earlier`. A histogram that went back was started anew and counts from 0."""
        left = [now - before for now, before in zip(self.counts, earlier.counts, strict=True)]
        if min(left) < 0:
            return self
        return Distribution(tuple(left), max(0.0, self.seconds - earlier.seconds))

    def plus(self, other: "Distribution") -> "Distribution":
        """Both together."""
        counts = tuple([one + two for one, two in zip(self.counts, other.counts, strict=True)])
        return Distribution(counts, self.seconds + other.seconds)


def distribution(bins: Iterable[Bin]) -> Distribution:
    """Envoy's bins of milliseconds in our buckets; the sum takes a bin's samples for its middle, as Envoy's own does."""
    counts = [0] * (len(BOUNDS) + 1)
    total = 0.0
    for entry in bins:
        lower, width, count = entry["lower_bound"], entry["width"], int(entry["count"])
        total += (lower + width / 2) * count
        place = 0
        while place < len(_MILLISECONDS) and lower > _MILLISECONDS[place] - _SLACK:
            place += 1
        counts[place] += count
    return Distribution(tuple(counts), total / 1000)


def distributions(stats: EnvoyStats) -> Mapping[str, Distribution]:
    """Every histogram of a detailed reading, by Envoy's name for it."""
    return {name: distribution(found.bins) for name, found in stats.histograms.items() if found.bins}
