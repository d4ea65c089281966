"""Chooser: which endpoints a request is sent to, one for each attempt; and what is learnt from how it ended.

Pure: `now` is monotonic seconds, the dice come from outside ([ADR 32](../../../../../docs/adr/0032-choice-of-endpoints.md)). It
has one owner, which calls it from one loop.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final, TypeAlias

from marchproxy.model.module import PoolName
from marchproxy.model.pool import Endpoint
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.choice.cooldown import Judgement, judge
from marchproxy.modules.ailb.choice.member import Member
from marchproxy.modules.ailb.choice.members import Members
from marchproxy.modules.ailb.choice.prefix import Prompt
from marchproxy.modules.ailb.choice.standing import Attempts, Standing
from marchproxy.modules.ailb.choice.targets import Attempt, Candidate, Wish, spread, tiers
from marchproxy.modules.ailb.plan import ModelPlan, PoolPlan, Target

#: The endpoints of each pool. A name is one endpoint: Envoy resolves it.
Places: TypeAlias = Mapping[PoolName, Sequence[Endpoint]]


class NotNow(Enum):
    """Why nobody is chosen: each endpoint of each pool is FULL, or there is NOBODY at all."""

    FULL = "full"
    NOBODY = "nobody"


FULL: Final = NotNow.FULL
NOBODY: Final = NotNow.NOBODY


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Wanted:
    """A request, as far as the choice goes by it. `affinity`: the value of the route's header, empty: none."""

    model: ModelPlan
    prompt: Prompt | None = None
    attempts: int = 3
    affinity: str = ""
    expected: Usage = Usage()


class Chosen:
    """Where a request goes: attempt n to `attempts[n]`. `cached` of its `blocks` are believed to be in the first one's KV cache."""

    __slots__ = ("attempts", "blocks", "cached", "is_open")

    def __init__(self, attempts: tuple[Attempt, ...], cached: int, blocks: int) -> None:
        self.attempts = attempts
        self.cached = cached
        self.blocks = blocks
        self.is_open = True

    @property
    def pools(self) -> tuple[PoolName, ...]:
        """The pool of each attempt."""
        return tuple([one.target.pool.name for one in self.attempts])

    @property
    def hosts(self) -> str:
        """The endpoint of each attempt that is known by its address, as asking.HOST has them."""
        return ",".join([one.member.host for one in self.attempts if one.member.host])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. `status` of the last answer, 0: there was none, or it broke off; None: the client left before, so
    nobody knows. `attempts` that were made. `first_byte`: seconds until the last answer began; None: it did not."""

    status: int | None
    attempts: int = 1
    first_byte: float | None = None


class Chooser:
    """All pools of an instance."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._pools: dict[PoolName, Members] = {}

    def configure(self, pools: Mapping[PoolName, PoolPlan], places: Places, now: float) -> None:
        """Know these pools from now on; what was learnt of endpoints that stay is kept."""
        before, self._pools = self._pools, {}
        for name, plan in pools.items():
            members = self._pools[name] = before.get(name) or Members()
            members.configure(plan.options, places.get(name, ()), now)

    def members(self, pool: PoolName) -> Members | None:
        """What is known of a pool: for who asks engines, and who shows it."""
        return self._pools.get(pool)

    def standings(self, now: float) -> tuple[Standing, ...]:
        """How all endpoints are."""
        found = (each for name, members in self._pools.items() for each in members.standings(name, now))
        return tuple(found)

    def attempts(self) -> Mapping[PoolName, Attempts]:
        """What has become of attempts at each pool, since it is known."""
        return {name: Attempts(members.served, members.failed) for name, members in self._pools.items()}

    def keep_out(self, pool: PoolName, addresses: Collection[str], now: float) -> None:
        """Ask none of these endpoints of a pool from now on, and all others again."""
        if members := self._pools.get(pool):
            members.keep_out(addresses, now)

    def choose(self, wanted: Wanted, now: float, *, even_full: bool = False) -> Chosen | NotNow:
        """Where a request goes, which is counted there until `ended`. `even_full`: do not say that all are."""
        candidates = self._candidates(wanted.model.targets, now)
        if not candidates:
            return NOBODY
        if not even_full and not [one for one in candidates if not one.is_full]:
            return FULL
        prompt = wanted.prompt
        readers = [one for one in candidates if one.members.reads_prompts]
        blocks = prompt.blocks if prompt is not None and readers else ()
        ordered = [candidates]
        if len(candidates) > 1:
            ordered = tiers(candidates, Wish(wanted.model.prefer, wanted.expected, now), self._dice)
        attempts = spread(ordered, wanted.attempts, self._order(blocks, wanted.affinity))
        return self._begin(attempts, blocks)

    def ended(self, chosen: Chosen, outcome: Outcome, now: float) -> None:
        """A request is over. Only the first call for it counts."""
        if not chosen.is_open:
            return
        chosen.is_open = False
        first = chosen.attempts[0]
        first.members.end(first.member)
        last = first
        if outcome.attempts > 1:
            *failed, last = chosen.attempts[: outcome.attempts]
            for attempt in failed:
                attempt.members.note(attempt.member, Judgement.FAILED, now)
        if outcome.status is None:
            return
        members, judgement = last.members, judge(outcome.status)
        members.note(last.member, judgement, now)
        if outcome.first_byte is not None and judgement is Judgement.SERVED:
            members.latency.took(outcome.first_byte, now)

    def sweep(self, now: float) -> None:
        """Forget what is old. Called about once a second."""
        for members in self._pools.values():
            members.sweep(now)

    def _candidates(self, targets: Sequence[Target], now: float) -> list[Candidate]:
        """Pools with a sound endpoint; when there is none, whoever there is: nobody else could answer."""
        found: list[Candidate] = []
        unsound: list[tuple[Target, Members]] = []
        for target in targets:
            if target.weight and (members := self._pools.get(target.pool.name)) is not None:
                if sound := members.sound(now):
                    found.append(Candidate(target, members, sound, members.saturation(now) >= 1.0))
                else:
                    unsound.append((target, members))
        if found:
            return found
        return [
            Candidate(target, members, among, is_full=False)
            for target, members in unsound
            if (among := members.last_resort())
        ]

    def _order(self, blocks: Sequence[int], affinity: str) -> Callable[[Candidate], list[Member]]:
        return lambda one: one.members.order(one.among, blocks, affinity, self._dice)

    def _begin(self, attempts: tuple[Attempt, ...], blocks: Sequence[int]) -> Chosen:
        _, members, member = attempts[0]
        members.begin(member)
        if not blocks or not members.reads_prompts:
            return Chosen(attempts, 0, 0)
        return Chosen(attempts, member.sent(blocks), len(blocks))
