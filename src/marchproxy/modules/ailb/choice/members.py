"""Members: the endpoints of a pool, who of them may be asked, and whether all of them are full. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import inf
from random import Random

from marchproxy.model.ai import AiPool, Pick
from marchproxy.model.module import PoolName
from marchproxy.model.pool import Endpoint
from marchproxy.modules.ailb.choice.cooldown import Cooldown, Judgement
from marchproxy.modules.ailb.choice.latency import Latency
from marchproxy.modules.ailb.choice.member import Member
from marchproxy.modules.ailb.choice.order import by_affinity, by_pending, by_score, in_turn
from marchproxy.modules.ailb.choice.standing import Standing

#: What an engine said is forgotten after so many seconds, or intervals, whichever is longer (llm-d: 2 s).
_OLD = 2.0
_OLD_INTERVALS = 4
#: Requests of an endpoint after which what all have had counts half.
_LATE = 1000


class Members:
    """One pool's endpoints."""

    __slots__ = (
        "_again", "_all", "_cooldown", "_out", "_sound", "failed", "in_flight", "latency", "options",
        "reads_prompts", "served",
    )  # fmt: skip

    def __init__(self) -> None:
        self.options = AiPool()
        self.reads_prompts = False
        """Whether it matters where a prompt was before."""
        self.latency = Latency()
        """Until the first byte, in seconds."""
        self.in_flight = 0
        """Requests of which this pool is the first to be asked."""
        self.served = self.failed = 0
        """Attempts, as they were judged: of one that failed the client may have seen nothing."""
        self._all: dict[str, Member] = {}
        self._sound: list[Member] = []
        self._out: Collection[str] = ()
        self._again = inf
        self._cooldown = Cooldown()

    def __iter__(self) -> Iterator[Member]:
        return iter(self._all.values())

    def configure(self, options: AiPool, endpoints: Iterable[Endpoint], now: float) -> None:
        """Be these endpoints; those that stay keep what is known of them."""
        self.options = options
        before = self._all
        self._all = {each.address: before.get(each.address) or Member(each) for each in endpoints}
        for each in endpoints:
            self._all[each.address].weight = each.weight
        scored = options.pick is Pick.SCORED and options.scores.prefix > 0
        self.reads_prompts = scored and len(self._all) > 1
        largest = max((one.weight for one in self), default=1)
        for one in self:
            one.share = largest / one.weight
        self._refresh(now)

    def keep_out(self, addresses: Collection[str], now: float) -> None:
        """Ask none of these from now on, and all others again: the drained, and what a health check has found sick."""
        self._out = addresses
        self._refresh(now)

    def sound(self, now: float) -> list[Member]:
        """Who may be asked; nobody may change the list."""
        if now >= self._again:
            self._refresh(now)
        return self._sound

    def last_resort(self) -> list[Member]:
        """Who is asked when nobody should be: those that are left alone because they failed, else those that are out."""
        return [one for one in self if one.address not in self._out] or list(self)

    def order(self, among: list[Member], blocks: Sequence[int], affinity: str, dice: Random) -> list[Member]:
        """These endpoints, the best one first. `blocks` of the prompt; `affinity`: what keeps to one of them, or nothing."""
        if len(among) == 1:
            return among
        pending = [(one.base + one.in_flight + 1.0) * one.share for one in among]
        if affinity:
            return by_affinity(among, pending, affinity)
        match self.options.pick:
            case Pick.SCORED:
                return by_score(among, pending, self.options.scores, blocks, dice)
            case Pick.LEAST_PENDING:
                return by_pending(among, pending, dice)
            case Pick.ROUND_ROBIN:
                return in_turn(among)

    def saturation(self, now: float) -> float:
        """How full the sound endpoints are in the mean, by what their engines say; from 1 on they are full (llm-d's detector).

        Of who says nothing nobody knows; when none does, nothing is full.
        """
        per_waiting, per_kv = 1.0 / self.options.saturated_queue, 1.0 / self.options.saturated_kv
        total, count = 0.0, 0
        for one in self.sound(now):
            if one.knows:
                queue = (one.base + one.in_flight - one.room) * per_waiting
                kv = one.kv_usage * per_kv
                total += queue if queue > kv else kv  # noqa: FURB136 - `max` takes three times as long
                count += 1
        return total / count if count else 0.0

    def standings(self, name: PoolName, now: float) -> Iterator[Standing]:
        """How each of them is; `name`: the pool's."""
        sound = self.sound(now)
        for one in self:
            yield Standing(
                name, one.address, one.in_flight, one.demand, one.waiting, one.kv_usage if one.knows else None,
                one in sound, one.blocks, one.cached,
            )  # fmt: skip

    def begin(self, member: Member) -> None:
        """A request goes to an endpoint."""
        member.in_flight += 1
        member.taken += member.share
        self.in_flight += 1
        if member.taken > _LATE:
            for one in self:
                one.taken /= 2

    def end(self, member: Member) -> None:
        """It is over."""
        member.in_flight -= 1
        self.in_flight -= 1

    def note(self, member: Member, judgement: Judgement, now: float) -> None:
        """An endpoint has answered, or not."""
        match judgement:
            case Judgement.SERVED:
                self.served += 1
                member.cooldown.served(now)
                self._cooldown.served(now)
                return
            case Judgement.FAILED:
                changed = member.cooldown.failed(now)
            case Judgement.REFUSED:
                changed = self._cooldown.pause(now)
        self.failed += 1
        if changed:
            self._refresh(now)

    def sweep(self, now: float) -> None:
        """Forget what engines said long ago. Called about once a second."""
        old = max(_OLD, _OLD_INTERVALS * self.options.metrics_interval)
        for one in self:
            if one.knows and now - one.heard_at > old:
                one.silent()

    def _refresh(self, now: float) -> None:
        pauses = [self._cooldown, *(one.cooldown for one in self)]
        for each in pauses:
            each.end(now)
        self._again = min((each.until for each in pauses if each.until), default=inf)
        if self._cooldown.until:
            self._sound = []
        else:
            self._sound = [one for one in self if not one.cooldown.until and one.address not in self._out]
