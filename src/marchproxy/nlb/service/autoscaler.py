"""Autoscaler: decides on the number of instances of each type, has their launchers act, and remembers why."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from marchproxy.kit.logs import get_logger
from marchproxy.model.autoscaling import Decision, Kind, ScalingState, step
from marchproxy.model.module import ModuleType
from marchproxy.model.problem import InvalidValue, RefusalCode, Refused
from marchproxy.model.scaling import ScalingConfig
from marchproxy.nlb.dataplane.plane import TrafficCounts
from marchproxy.nlb.rules.scaling import Failures, counted, failures, observe, to_ask
from marchproxy.nlb.service.asker import Modules, ModuleSilent
from marchproxy.nlb.service.core import Core
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.journal import Entry, Journal
from marchproxy.nlb.state.member import Member, Stats

_log = get_logger(__name__)
SCALE_SECONDS = 20.0
_MOST_ASKED = 3  # of one decision: launchers that refuse must not use up the round


@dataclass(frozen=True, slots=True)
class Scaled:
    """What a launcher answered: how many instances there are, and will be, in all."""

    message: str
    current: int
    desired: int


@dataclass(frozen=True, slots=True)
class Means:
    """What an autoscaler works with. `traffic` is what the data plane last counted."""

    modules: Modules
    gauges: NlbGauges
    journal: Journal = field(default_factory=Journal)
    traffic: Callable[[], TrafficCounts] = TrafficCounts


class Autoscaler:
    """Acts on one type at a time by one change at a time; types do not wait for one another."""

    def __init__(self, core: Core, means: Means, *, window: float) -> None:
        """`window` in seconds: how long nobody must have been needed before instances are removed."""
        self._core = core
        self._means = means
        self._window = window
        self._states: dict[ModuleType, ScalingState] = {}
        self._busy: dict[ModuleType, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._before: dict[str, Stats] = {}
        self._counted: TrafficCounts | None = None
        self._answered: Counter[tuple[str, bool]] = Counter()
        self._refused: dict[str, str] = {}
        self._overrides: dict[ModuleType, ScalingConfig] = {}
        self._checksum = core.checksum

    def config(self, kind: ModuleType) -> ScalingConfig | None:
        """What is in force for a type: the last request's bounds and targets, else the configuration's."""
        if self._checksum != self._core.checksum:  # a new configuration ends what was asked for under the old
            self._checksum = self._core.checksum
            self._overrides.clear()
        wanted = {config.module_type: config for config in self._core.world.desired.scaling}
        return self._overrides.get(kind) or wanted.get(kind)

    def override(self, config: ScalingConfig) -> None:
        """Use this for its type until another configuration comes. Raises InvalidValue."""
        if problems := tuple(config.faults("config")):
            raise InvalidValue(problems)
        self.config(config.module_type)
        self._overrides[config.module_type] = config

    @property
    def journal(self) -> Journal:
        """Every decision."""
        return self._means.journal

    def entries(self, kind: ModuleType) -> tuple[Entry, ...]:
        """The last decisions about a type, the newest last."""
        return self.journal.of(kind)

    def facts(self) -> Mapping[str, str]:
        """The last decision about each type."""
        return {
            f"scaling {kind.value}": str(entries[-1])
            for kind in ModuleType
            if (entries := self.entries(kind))
        }

    def wanted(self, kind: ModuleType) -> int | None:
        """How many instances the last decision asked for; None when there are as many, or nobody asked."""
        entries = self.entries(kind)
        if not entries or entries[-1].decision.kind is Kind.HOLD:
            return None
        to = entries[-1].decision.to
        return None if to == len(self._members(kind)) else to

    async def look(self) -> None:
        """Decide once for each type, and act."""
        members = self._core.world.registry.members.values()
        self._refused = {
            member.registration_id: self._refused[member.registration_id]
            for member in members
            if member.registration_id in self._refused
        }
        configs = [config for kind in ModuleType if (config := self.config(kind))]
        traffic = self._means.traffic()
        self._states = {c.module_type: self._states.get(c.module_type, ScalingState()) for c in configs}
        async with asyncio.TaskGroup() as group:
            for config in configs:
                seen = self._failures(config.module_type, traffic)
                group.create_task(self._decide(config, seen), name=f"scale {config.module_type.value}")
        self._before = {member.registration_id: member.stats for member in members}
        self._counted = traffic
        self._answered = self._means.gauges.answers.copy()
        await self.journal.save()

    async def request(self, kind: ModuleType, target: int) -> Scaled:
        """Have a launcher go to `target` instances now, whatever the load says. Raises Refused."""
        async with self._busy[kind]:
            current = len(self._members(kind))
            way = Kind.UP if target > current else Kind.DOWN if target < current else Kind.HOLD
            decision = Decision(way, current, target, f"{target} asked for")
            scaled = await self._carry_out(kind, decision, manual=True)
            self._states[kind] = self._changed(self._states.get(kind, ScalingState()))
            await self.journal.save()
            return scaled

    def _failures(self, kind: ModuleType, traffic: TrafficCounts) -> Failures:
        listeners = self._core.world.desired.listeners
        names = [listener.name for listener in listeners if listener.module_type is kind]
        # at the first look nobody knows what was counted under an earlier process
        seen = failures(self._counted or traffic, traffic, names)
        answers = self._means.gauges.answers - self._answered
        nowhere = sum(answers[name, False] for name in names)
        asked = nowhere + sum(answers[name, True] for name in names)
        return replace(seen, unserved=max(seen.unserved, 100 * nowhere / asked)) if nowhere else seen

    async def _decide(self, config: ScalingConfig, worst: Failures) -> None:
        kind = config.module_type
        async with self._busy[kind]:
            before = self._states.get(kind, ScalingState())
            seen = observe(self._members(kind), self._before, worst)
            now = self._core.now().monotonic
            after, decision = step(before, seen, config, now, window=self._window)
            if decision.kind is Kind.HOLD:
                self._record(kind, Entry(self._core.now().wall, decision))
                self._states[kind] = after
                return
            try:
                await self._carry_out(kind, decision, manual=False)
            except Refused:  # recorded with its reason; nothing changed, so no cooldown either
                self._states[kind] = replace(after, changed_at=before.changed_at)
            else:
                self._states[kind] = self._changed(after)

    async def _carry_out(self, kind: ModuleType, decision: Decision, *, manual: bool) -> Scaled:
        """Act on a decision, which is visible from the beginning. Raises Refused."""
        entry = Entry(self._core.now().wall, decision, manual=manual).begun()
        self._record(kind, entry)
        outcome = "abandoned"
        try:
            scaled = await self._act(kind, decision.to)
            outcome = scaled.message
        except Refused as refused:
            outcome = f"failed: {refused.message}"
            raise
        finally:
            self.journal.conclude(kind, replace(entry, outcome=outcome))
            _log.info("scaling carried out", type=kind.value, way=decision.kind.value, outcome=outcome)
        return scaled

    def _changed(self, state: ScalingState) -> ScalingState:
        """A change may have taken a while: the cooldown begins at its end."""
        return replace(state, changed_at=self._core.now().monotonic)

    async def _act(self, kind: ModuleType, target: int) -> Scaled:
        """Ask one launcher after another until one agrees. Raises Refused.

        One that does not answer may be at work all the same, so nobody else is asked in its place, and what it does
        counts as a change. One that the call never reached is passed over like one that refuses.
        """
        members = self._members(kind)
        reasons = []
        for asking in to_ask(members, target, self._refused)[:_MOST_ASKED]:
            instance, registration = asking.member.instance, asking.member.registration_id
            try:
                accepted, message, running, desired = await self._means.modules.scale(
                    instance.address, asking.count, timeout=SCALE_SECONDS
                )
            except ModuleSilent as error:
                if error.sent:
                    return Scaled(f"no answer yet, it may be at work: {error}", len(members), target)
                reasons.append(f"{instance.instance_id} was not reached: {error}")
                continue
            if accepted:
                self._refused.pop(registration, None)
                words = f"{instance.instance_id}: {message}"
                return Scaled(words, running + asking.others, desired + asking.others)
            self._refused[registration] = message
            reasons.append(f"{instance.instance_id} refused: {message}")
        message = (
            "; ".join(reasons)
            or f"no healthy {kind.value} instance is registered that could get from {len(members)} to {target}"
        )
        raise Refused(RefusalCode.UNAVAILABLE, message)

    def _members(self, kind: ModuleType) -> list[Member]:
        return counted(self._core.world.registry.members.values(), kind)

    def _record(self, kind: ModuleType, entry: Entry) -> None:
        decision = entry.decision
        self.journal.add(kind, entry)
        self._means.gauges.scaled(kind.value, decision.kind.value, decision.to)
        write = _log.debug if decision.kind is Kind.HOLD else _log.info
        write("scaling decided", type=kind.value, decision=str(entry))
