"""Blend: quantiles of several histograms taken together, from those of each. Pure.

Between two quantiles that are known, samples are taken to be spread evenly.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from marchproxy.engines.envoy.stats import Quantiles

_RANKS: Mapping[str, float] = {
    "minimum": 0.0, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_5": 0.995,
    "p99_9": 0.999, "maximum": 1.0,
}  # fmt: skip
_BOUNDS = tuple(_RANKS.values())
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class _Step:
    """A value, and which share of all samples is less, and not more."""

    value: float
    less: float
    no_more: float


def blend(parts: Sequence[tuple[Quantiles, float]]) -> Quantiles | None:
    """The whole of parts that have these shares of the samples, in any unit; None where there is no part.

    One part alone stays as it is; of a blend, `samples` are not known.
    """
    if len(parts) <= 1:
        return parts[0][0] if parts else None
    total = sum(share for _, share in parts)
    shares = [([getattr(found, name) for name in _RANKS], share / total) for found, share in parts]
    steps = [
        _Step(value, _under(shares, value, bisect_left), _under(shares, value, bisect_right))
        for value in sorted({value for values, _ in shares for value in values})
    ]
    means = [found.mean * share / total for found, share in parts if found.mean is not None]
    known = {name: _at(rank, steps) for name, rank in _RANKS.items()}
    return Quantiles(**known, samples=None, mean=sum(means) if len(means) == len(parts) else None)


def _under(
    shares: Sequence[tuple[Sequence[float], float]],
    value: float,
    side: Callable[[Sequence[float], float], int],
) -> float:
    """The share of all samples below `value`, those that equal it left out or, on the right side, included."""
    return sum(_share_under(values, value, side(values, value)) * share for values, share in shares)


def _share_under(values: Sequence[float], value: float, place: int) -> float:
    if place in {0, len(values)}:
        return float(place > 0)
    low, high = values[place - 1], values[place]
    return _BOUNDS[place - 1] + (_BOUNDS[place] - _BOUNDS[place - 1]) * (value - low) / (high - low)


def _at(rank: float, steps: Sequence[_Step]) -> float:
    """The least value that so large a share of the samples does not exceed."""
    place = next((at for at, step in enumerate(steps) if step.no_more >= rank - _TOLERANCE), len(steps) - 1)
    step = steps[place]
    if place == 0 or rank >= step.less:
        return step.value
    before = steps[place - 1]
    part = max(0.0, rank - before.no_more) / (step.less - before.no_more)
    return before.value + (step.value - before.value) * part
