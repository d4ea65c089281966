"""Balance: which of several instances takes the next connection. The caller brings counts, turn and dice."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import log
from typing import assert_never

from marchproxy.model.module import InstanceId
from marchproxy.model.pool import BalancePolicy


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that may be chosen, its live connections and its relative weight (more than 0)."""

    instance_id: InstanceId
    connections: int = 0
    weight: int = 100


@dataclass(frozen=True, slots=True)
class Draw:
    """What a choice may depend on: a counter, two numbers in [0, 1), and the client's address."""

    turn: int = 0
    rolls: tuple[float, float] = (0.0, 0.0)
    source: str = ""


def pick_instance(policy: BalancePolicy, candidates: Sequence[Candidate], draw: Draw) -> Candidate | None:
    """The chosen candidate, or None when there is none.

    Least connections compares connections per weight. Random is the better of two choices (Mitzenmacher, "The
    power of two choices", 2001). Source hash is rendezvous hashing: an instance that goes moves only its own clients.
    """
    usable = [candidate for candidate in candidates if candidate.weight > 0]
    if not usable:
        return None
    match policy:
        case BalancePolicy.LEAST_CONNECTIONS:
            return min(usable, key=_load)
        case BalancePolicy.ROUND_ROBIN:
            return _at(usable, draw.turn % sum(candidate.weight for candidate in usable))
        case BalancePolicy.RANDOM:
            total = sum(candidate.weight for candidate in usable)
            first, second = (_at(usable, int(roll * total)) for roll in draw.rolls)
            return min(first, second, key=_load)
        case BalancePolicy.SOURCE_HASH:
            return max(usable, key=lambda candidate: _score(draw.source, candidate))
        case _:
            assert_never(policy)


def _load(candidate: Candidate) -> tuple[float, str]:
    return ((candidate.connections + 1) / candidate.weight, candidate.instance_id)


def _at(candidates: Sequence[Candidate], position: int) -> Candidate:
    """The candidate at `position` when each one is repeated `weight` times."""
    for candidate in candidates:
        if position < candidate.weight:
            return candidate
        position -= candidate.weight
    return candidates[-1]


def _score(source: str, candidate: Candidate) -> float:
    """Weighted rendezvous score (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005)."""
    digest = blake2b(f"{source}|{candidate.instance_id}".encode(), digest_size=8).digest()
    uniform = ((int.from_bytes(digest) >> 12) + 0.5) / 2**52  # exact in a float, never 0 or 1
    return -candidate.weight / log(uniform)
