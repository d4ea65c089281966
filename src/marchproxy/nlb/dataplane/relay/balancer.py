"""Balancer: which instance of a listener takes the next connection, from live counts. Versions first, then instances.

An instance that cannot be reached gets nothing for a moment, longer each time in a row; the last one is never left out,
because a connection that may fail is better than one that must.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

from marchproxy.model.balance import Candidate, Draw, pick_instance
from marchproxy.model.module import InstanceId, Version
from marchproxy.model.plan import Target, VersionTargets
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.relay.counts import Tally

FIRST_EJECTION_SECONDS, LONGEST_EJECTION_SECONDS = 0.5, 5.0
_Key = TypeVar("_Key")
_SHARES = 1_000_000  # what the shares of all instances add up to, where they compete over versions


class Seat:
    """An instance behind a listener: where it is, what it carries, and whether it is left out now."""

    __slots__ = ("candidate", "ejected_until", "failures", "tally", "target")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.tally = Tally()
        self.failures = 0
        self.ejected_until = 0.0
        self.candidate = Candidate(target.instance_id, 0, target.weight)

    def weigh(self, target: Target, weight: int) -> None:
        """The plan says something new about it."""
        self.target = target
        self.candidate = Candidate(target.instance_id, self.tally.active, weight)

    def load(self, change: int) -> None:
        """One connection more (1) or less (-1), attempts included."""
        self.tally.active += change
        old = self.candidate
        self.candidate = Candidate(old.instance_id, self.tally.active, old.weight)


@dataclass(frozen=True, slots=True)
class _Group:
    """The instances of one version, or of all where the choice ignores versions."""

    version: Version
    weight: int
    seats: tuple[Seat, ...]


class Rotation(Generic[_Key]):
    """Smooth weighted round robin, as nginx does it: exact over any run of turns, without bursts."""

    def __init__(self) -> None:
        self._credits: dict[_Key, int] = {}

    def keep(self, keys: Collection[_Key]) -> None:
        """Forget all others."""
        self._credits = {key: credit for key, credit in self._credits.items() if key in keys}

    def next(self, weighted: Sequence[tuple[_Key, int]]) -> int:
        """The position of whose turn it is; one that is missing this time keeps its place."""
        credit = self._credits
        total, best = 0, 0
        for position, (key, weight) in enumerate(weighted):
            credit[key] = credit.get(key, 0) + weight
            total += weight
            if credit[key] > credit[weighted[best][0]]:
                best = position
        credit[weighted[best][0]] -= total
        return best


class Balancer:
    """Chooses among the seats of one listener."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._policy = BalancePolicy.LEAST_CONNECTIONS
        self._groups: tuple[_Group, ...] = ()
        self._seats: dict[InstanceId, Seat] = {}
        self._versions: Rotation[Version] = Rotation()
        self._instances: Rotation[InstanceId] = Rotation()
        self._ejected_until = 0.0

    @property
    def seats(self) -> Collection[Seat]:
        """Every instance that is in the plan, parked, or still has connections."""
        return self._seats.values()

    def update(
        self, policy: BalancePolicy, versions: Sequence[VersionTargets], parked: Sequence[Target]
    ) -> None:
        """Choose like this from now on. Instances that stay keep their counts."""
        self._policy = policy
        by_hash = policy is BalancePolicy.SOURCE_HASH
        groups = []
        wanted: dict[InstanceId, Seat] = {}
        total = sum(version.weight for version in versions)
        for version in versions:
            within = sum(target.weight for target in version.targets)
            for target in version.targets:
                share = max(1, _SHARES * version.weight * target.weight // (total * within))
                wanted[target.instance_id] = self._seat(target, share if by_hash else target.weight)
            seats = tuple(wanted[target.instance_id] for target in version.targets)
            groups.append(_Group(version.version, version.weight, seats))
        for target in parked:
            wanted.setdefault(target.instance_id, self._seat(target, 0))
        if by_hash and groups:  # a client keeps to its instance, so versions must not be drawn
            groups = [_Group(Version(""), 1, tuple(seat for group in groups for seat in group.seats))]
        self._groups = tuple(groups)
        leaving = {key: seat for key, seat in self._seats.items() if seat.tally.active}
        self._seats = {**leaving, **wanted}
        self._versions.keep({group.version for group in groups})
        self._instances.keep(self._seats.keys())

    def pick(self, source: str, tried: Collection[InstanceId], now: float) -> Seat | None:
        """Who takes the next connection of this source, other than those tried already; None: nobody."""
        groups: Sequence[_Group] = self._groups
        if tried or now < self._ejected_until:
            groups = self._left(tried, now) or self._left(tried, float("inf"))
        if not groups:
            return None
        group = groups[0]
        if len(groups) > 1:
            group = groups[self._versions.next([(group.version, group.weight) for group in groups])]
        candidates = [seat.candidate for seat in group.seats]
        if len(candidates) == 1:
            return group.seats[0]
        if self._policy is BalancePolicy.ROUND_ROBIN:
            return group.seats[self._instances.next([(c.instance_id, c.weight) for c in candidates])]
        draw = Draw(rolls=(self._random.random(), self._random.random()), source=source)
        chosen = pick_instance(self._policy, candidates, draw)
        return self._seats[chosen.instance_id] if chosen else None

    def failed(self, seat: Seat, now: float) -> None:
        """An attempt to connect to it failed."""
        seat.tally.failed += 1
        if now < seat.ejected_until:
            return  # of several attempts at once one counts
        seconds = min(FIRST_EJECTION_SECONDS * 2.0 ** min(seat.failures, 10), LONGEST_EJECTION_SECONDS)
        seat.failures += 1
        seat.ejected_until = now + seconds
        self._ejected_until = max(self._ejected_until, seat.ejected_until)

    def reached(self, seat: Seat) -> None:
        """It accepted a connection."""
        seat.tally.total += 1
        seat.failures = 0
        seat.ejected_until = 0.0

    def forget_idle(self) -> None:
        """Drop the seats that are in no plan and carry nothing any more."""
        planned = {id(seat) for group in self._groups for seat in group.seats}
        self._seats = {
            key: seat
            for key, seat in self._seats.items()
            if seat.tally.active or seat.candidate.weight == 0 or id(seat) in planned
        }

    def _seat(self, target: Target, weight: int) -> Seat:
        seat = self._seats.get(target.instance_id) or Seat(target)
        seat.weigh(target, weight)
        return seat

    def _left(self, tried: Collection[InstanceId], now: float) -> list[_Group]:
        """The groups without those tried, and without those ejected at `now`."""
        left = []
        for group in self._groups:
            seats = tuple(
                seat
                for seat in group.seats
                if seat.target.instance_id not in tried and seat.ejected_until <= now
            )
            if seats:
                left.append(_Group(group.version, group.weight, seats))
        return left
