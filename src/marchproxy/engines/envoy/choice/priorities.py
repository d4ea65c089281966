"""Priorities: which share of the requests each priority of a cluster takes, and where Envoy stops asking for health.

https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/load_balancing/priority
"""

from collections.abc import Sequence
from dataclasses import dataclass

_OVERPROVISIONED = 140  # percent: what is healthy counts for so much more
_PANIC_BELOW = 1.0  # percent, as our clusters are told


@dataclass(frozen=True, slots=True)
class Level:
    """One priority: percent of the requests, and whether they go to any of its hosts because too few are healthy."""

    load: int
    panic: bool


def levels(counts: Sequence[tuple[int, int]]) -> tuple[Level, ...]:
    """Of (healthy, all) hosts by priority, the first first."""
    available = [min(100, _OVERPROVISIONED * healthy // total) if total else 0 for healthy, total in counts]
    together = min(100, sum(available))
    if not together:
        return _all_panic([total for _, total in counts])
    loads, left = [], 100
    for share in available:
        loads.append(min(left, share * 100 // together))
        left -= loads[-1]
    if left:  # what rounding lost goes to the first that takes any
        first = next(index for index, share in enumerate(available) if share)
        loads[first] += left
    panics = [
        together < 100 and bool(total) and 100.0 * healthy / total < _PANIC_BELOW for healthy, total in counts
    ]
    return tuple([Level(load, panic) for load, panic in zip(loads, panics, strict=True)])


def _all_panic(totals: Sequence[int]) -> tuple[Level, ...]:
    """Nobody is healthy: each priority takes its share of the hosts."""
    everyone = sum(totals)
    loads = [100 * total // everyone if everyone else 0 for total in totals]
    if everyone:
        loads[next(index for index, total in enumerate(totals) if total)] += 100 - sum(loads)
    return tuple([Level(load, panic=True) for load in loads])


def level_of(found: Sequence[Level], value: int) -> int:
    """The priority that a request with this hash goes to."""
    place, reached = value % 100 + 1, 0
    for index, level in enumerate(found):
        reached += level.load
        if place <= reached:
            return index
    return 0
