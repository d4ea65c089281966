"""Tables: what Envoy looks a hash up in, built as it builds them, so that the answer is the same host.

Both are built of (address, weight), the weights' sum taken as 1, in Envoy's order of hosts.
https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/load_balancing/load_balancers
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from marchproxy.engines.envoy.choice.hashing import xxh64

Weighted: TypeAlias = tuple[tuple[str, int], ...]

_MAGLEV_SIZE = 65_537
_RING_LEAST, _RING_MOST = 1_024, 8 * 1_024 * 1_024
#: A ring of more places than this takes too long to build in Python; it comes from weights that differ a thousandfold.
_RING_BUILT = 200_000


class TooLarge(ValueError):
    """The table cannot be built in reasonable time."""


def on_maglev(hosts: Weighted, value: int) -> str:
    """The address that a hash leads to in a Maglev table."""
    table, addresses = _maglev(hosts)
    return addresses[table[value % _MAGLEV_SIZE]]


def on_ring(hosts: Weighted, value: int) -> str:
    """The address that a hash leads to on a ketama ring. Raises TooLarge."""
    hashes, addresses = _ring(hosts)
    place = bisect_left(hashes, value)
    return addresses[place if place < len(hashes) else 0]


@lru_cache(maxsize=64)
def _maglev(hosts: Weighted) -> tuple[Sequence[int], Sequence[str]]:
    ordered = sorted(hosts)
    total = sum(weight for _, weight in ordered)
    weights = [weight * 1.0 / total for _, weight in ordered]
    heaviest = max(weights)
    keys = [address.encode() for address, _ in ordered]
    offsets = [xxh64(key) % _MAGLEV_SIZE for key in keys]
    skips = [xxh64(key, 1) % (_MAGLEV_SIZE - 1) + 1 for key in keys]
    targets, places = [0.0] * len(keys), list(offsets)
    table, left, turn = [-1] * _MAGLEV_SIZE, _MAGLEV_SIZE, 0
    while left:
        turn += 1
        for host, weight in enumerate(weights):
            if not left:
                break
            if turn * weight < targets[host]:
                continue
            targets[host] += heaviest
            place = places[host]
            while table[place] >= 0:
                place = (place + skips[host]) % _MAGLEV_SIZE
            table[place] = host
            places[host] = (place + skips[host]) % _MAGLEV_SIZE
            left -= 1
    return table, [address for address, _ in ordered]


@lru_cache(maxsize=64)
def _ring(hosts: Weighted) -> tuple[Sequence[int], Sequence[str]]:
    total = sum(weight for _, weight in hosts)
    weights = [weight * 1.0 / total for _, weight in hosts]
    lightest = min(weights)
    scale = min(math.ceil(lightest * _RING_LEAST) / lightest, float(_RING_MOST))
    if scale > _RING_BUILT:
        raise TooLarge(f"a ring of {scale:.0f} places")
    found: list[tuple[int, str]] = []
    target = 0.0
    for (address, _), weight in zip(hosts, weights, strict=True):
        target += scale * weight
        number = 0
        while len(found) < target:
            found.append((xxh64(f"{address}_{number}".encode()), address))
            number += 1
    found.sort(key=lambda place: place[0])
    return [value for value, _ in found], [address for _, address in found]
