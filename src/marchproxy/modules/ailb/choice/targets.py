"""Targets: in which order the pools that answer for a model are asked, and which attempt goes where. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, groupby, islice
from math import inf
from random import Random
from typing import NamedTuple

from marchproxy.model.ai import Prefer
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.choice.member import Member
from marchproxy.modules.ailb.choice.members import Members
from marchproxy.modules.ailb.plan import Target

#: One request in a hundred goes by weight, so that it is known how fast the others are.
_EXPLORED = 0.01


class Candidate(NamedTuple):
    """A target that may be asked, and which of its endpoints. `is_full`: all of them are."""

    target: Target
    members: Members
    among: list[Member]
    is_full: bool

    @property
    def rank(self) -> tuple[bool, int]:
        """Who is full comes behind everybody who is not, of whatever tier."""
        return self.is_full, self.target.tier


class Attempt(NamedTuple):
    """One try of a request."""

    target: Target
    members: Members
    member: Member


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Wish:
    """What a preference goes by. `expected`: what the request may use. `now`: monotonic seconds."""

    prefer: Prefer
    expected: Usage
    now: float


def tiers(candidates: list[Candidate], wish: Wish, dice: Random) -> list[list[Candidate]]:
    """Those that are asked first, each tier in its order."""
    if len(candidates) == 1:
        return [candidates]
    ranked = sorted(candidates, key=lambda one: one.rank)
    return [_in_order(list(tier), wish, dice) for _, tier in groupby(ranked, key=lambda one: one.rank)]


def spread(
    ordered: list[list[Candidate]], attempts: int, order: Callable[[Candidate], list[Member]]
) -> tuple[Attempt, ...]:
    """Attempts over tiers. Each later tier has one at least, the first one as many as are left and it has endpoints.

    Within a tier pools take turns, and each goes on to its next endpoint. When nobody is left it begins again.
    """
    made: list[Attempt] = []
    if len(ordered) == 1 and len(ordered[0]) == 1:  # nearly always
        target, members, _, _ = one = ordered[0][0]
        made = [Attempt(target, members, member) for member in order(one)[:attempts]]
        ordered = []
    for later, tier in zip(range(len(ordered) - 1, -1, -1), ordered, strict=True):
        quota = min(max(attempts - len(made) - later, 1), attempts - len(made))
        if quota:
            made += _turns([(one, order(one)) for one in tier[:quota]], quota)
    return tuple(made) if len(made) == attempts else tuple(islice(cycle(made), attempts))


def _turns(tier: list[tuple[Candidate, list[Member]]], quota: int) -> list[Attempt]:
    if len(tier) == 1:  # nearly always
        one, order = tier[0]
        return [Attempt(one.target, one.members, member) for member in order[:quota]]
    turns = (
        Attempt(one.target, one.members, order[turn])
        for turn in range(quota)
        for one, order in tier
        if turn < len(order)
    )
    return list(islice(turns, quota))


def _in_order(tier: list[Candidate], wish: Wish, dice: Random) -> list[Candidate]:
    if len(tier) == 1:
        return tier
    match wish.prefer:
        case Prefer.WEIGHT:
            return _by_weight(tier, dice)
        case Prefer.COST:
            return sorted(_by_weight(tier, dice), key=lambda one: _cost(one.target, wish.expected))
        case Prefer.LATENCY:
            shuffled = _by_weight(tier, dice)
            explored = dice.random() < _EXPLORED
            return shuffled if explored else sorted(shuffled, key=lambda one: _latency(one.members, wish.now))


def _by_weight(tier: list[Candidate], dice: Random) -> list[Candidate]:
    """Each is first as often as its weight says, and so on for who is next (Efraimidis and Spirakis, 2006)."""
    keys = [dice.expovariate(one.target.weight) for one in tier]
    return [tier[at] for at in sorted(range(len(tier)), key=keys.__getitem__)]


def _cost(target: Target, expected: Usage) -> float:
    """What nobody has given a price may cost anything."""
    return target.tariff.cost(expected) if target.is_priced else inf


def _latency(members: Members, now: float) -> float:
    """Who is not known is asked first, by one request; the others wait for what it says."""
    known = members.latency.value(now)
    if known is not None:
        return known
    return inf if members.in_flight else 0.0
