"""Shares: which backend takes which number that the kernel draws, counts or hashes. No I/O, no randomness.

Source hash: Maglev (Eisenbud et al., NSDI 2016) with Katran's weights (`MaglevHashV2.cpp`): a backend that goes or comes
moves hardly any client but its own.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from math import gcd

RING = 1_021
"""Slots of a source-hash ring; a prime, so that every step walks all of it."""
WIDE_RING = 16_381
"""For more than `_RING_BACKENDS` backends: shares stay within one slot of their weight."""
MAX_TURNS = 1_024
"""The longest round-robin sequence; heavier weights are scaled down to it."""
_RING_BACKENDS = 100


def intervals(weights: Mapping[str, int]) -> tuple[tuple[tuple[int, int], str], ...]:
    """First and last number of each name's interval in [0, sum of weights). Weights are more than 0."""
    ends = accumulate(weights.values())
    return tuple(
        ((end - weight, end - 1), name) for (name, weight), end in zip(weights.items(), ends, strict=True)
    )


def slots(weights: Mapping[str, int]) -> tuple[str, ...]:
    """Each name as often as its weight says, exactly; empty when that would be more than MAX_TURNS."""
    shared = gcd(*weights.values())
    if sum(weights.values()) // shared > max(MAX_TURNS, len(weights)):
        return ()
    return tuple(name for name, weight in weights.items() for _ in range(weight // shared))


def turns(weights: Mapping[str, int]) -> tuple[str, ...]:
    """One round of smooth weighted round robin, as nginx does it: heavy names are spread, not sent in a row."""
    reduced = _scale(weights)
    total = sum(reduced.values())
    current = dict.fromkeys(reduced, 0)
    order = []
    for _ in range(total):
        for name, weight in reduced.items():
            current[name] += weight
        chosen = max(current, key=lambda name: current[name])
        current[chosen] -= total
        order.append(chosen)
    return tuple(order)


def ring(weights: Mapping[str, int]) -> tuple[str, ...]:
    """The name in each slot of the source-hash ring. The order of `weights` does not matter."""
    size = RING if len(weights) <= _RING_BACKENDS else WIDE_RING
    names = sorted(weights)
    walks = {name: _walk(name, size) for name in names}
    credit = dict.fromkeys(names, 0)
    heaviest = max(weights.values())
    taken: list[str | None] = [None] * size
    left = size
    while left:
        for name in names:
            credit[name] += weights[name]
            if credit[name] < heaviest or not left:
                continue
            credit[name] -= heaviest
            taken[next(slot for slot in walks[name] if taken[slot] is None)] = name
            left -= 1
    return tuple(name for name in taken if name is not None)


def _scale(weights: Mapping[str, int]) -> dict[str, int]:
    shared = gcd(*weights.values())
    reduced = {name: weight // shared for name, weight in weights.items()}
    total = sum(reduced.values())
    limit = max(MAX_TURNS, len(reduced))
    if total <= limit:
        return reduced
    return {name: max(1, weight * limit // total) for name, weight in reduced.items()}


def _walk(name: str, size: int) -> Iterator[int]:
    offset, step = _stride(name, size)
    return ((offset + turn * step) % size for turn in range(size))


@lru_cache(maxsize=16_384)
def _stride(name: str, size: int) -> tuple[int, int]:
    digest = blake2b(name.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8]) % size, int.from_bytes(digest[8:]) % (size - 1) + 1
