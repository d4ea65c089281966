"""Rollouts: shifts listeners between versions of the modules behind them, at once or in steps that watch the canary."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from marchproxy.kit.logs import get_logger
from marchproxy.model.judging import RolloutLimits, Sample
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import HTTP_FAMILY, Version
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.ramp import Ramp, Shift
from marchproxy.model.rollout import Phase, Prolong, Rollout, SetWeight, Window, begin, hold, step
from marchproxy.model.weights import Split
from marchproxy.nlb.dataplane.plane import DataPlane
from marchproxy.nlb.rules.canary import Connections, Tally, add, all_heard, open_tally
from marchproxy.nlb.rules.versions import Fleet, concerned, current_split, not_ready, set_version_weight
from marchproxy.nlb.service.core import Core
from marchproxy.nlb.service.observer import Observer
from marchproxy.nlb.state.member import Member
from marchproxy.nlb.state.world import World

_log = get_logger(__name__)
#: How often `advance` is to be called, in seconds.
BEAT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class _OpenWindow:
    """What was seen in it so far, and when it is over, in monotonic seconds."""

    tally: Tally
    over_at: float


class Rollouts:
    """Blue/green over the modules behind listeners. `target` is a listener's name, or empty for all of them."""

    def __init__(self, core: Core, plane: DataPlane, observer: Observer, *, lag: float) -> None:
        """`lag` in seconds: so old may be what a heartbeat reports."""
        self._core = core
        self._plane = plane
        self._observer = observer
        self._lag = lag
        self._windows: dict[str, _OpenWindow] = {}
        self._turn = asyncio.Lock()

    def split(self, target: str = "") -> Split:
        """How new connections are split now. Raises Refused for an unknown listener."""
        return current_split(self._listeners(), self._fleet(), target)

    async def set_weight(self, version: Version, percent: int, target: str = "") -> None:
        """Give a version its share by hand; ends gradual promotions that it touches. Raises Refused."""
        async with self._turn:
            await self._core.reweigh(lambda world: self._shifted(world, version, percent, target))

    async def roll_back(self, version: Version, target: str = "") -> tuple[Version, Version]:
        """Give everything to `version`, or, when empty, to the one before the last shift; (from, to). Raises Refused.

        Without any name it is the last shift that is rolled back, on the listeners that it was about.
        """
        async with self._turn:
            target = target or ("" if version else self._core.world.progress.last_target())
            before = self.split(target)
            shift = self._core.world.progress.shift_of(target)
            wanted = version or (shift.baseline if shift else Version(""))
            if not wanted:
                message = "target_version: there was no traffic shift to roll back; name a version"
                raise Refused(RefusalCode.NOT_FOUND, message)
            await self._core.reweigh(lambda world: self._shifted(world, wanted, 100, target))
            leader = before.active if before.active != wanted else before.canary or wanted
            return leader, wanted

    async def promote_gradually(self, version: Version, limits: RolloutLimits, target: str = "") -> Ramp:
        """Raise the share of `version` step by step as long as it keeps to `limits`; takes the first step at once.

        Raises Refused.
        """
        async with self._turn:
            share = self.split(target).share(version)
            now = self._wall()
            rollout, first = begin(version, share, limits, now, target=target)
            ramp = Ramp(rollout, limits, now)
            await self._core.reweigh(
                lambda world: self._shifted(world, version, first.percent, target).with_ramp(ramp)
            )
            await self._open_window(ramp)
            return ramp

    async def advance(self) -> None:
        """Look at every gradual promotion. Call it often; it does nothing when there is none."""
        async with self._turn:
            for ramp in list(self._core.world.progress.ramps.values()):
                if ramp.rollout.phase is Phase.RAMPING:
                    await self._advance(ramp)

    def facts(self) -> Mapping[str, str]:
        """Where each rollout stands, and why."""
        return {
            f"rollout {target or '*'}": f"{ramp.rollout.version} {ramp.rollout.phase.value}: {ramp.rollout.reason}"
            for target, ramp in self._core.world.progress.ramps.items()
        }

    async def _advance(self, ramp: Ramp) -> None:
        target = ramp.rollout.target
        if target not in self._windows:
            await self._open_window(ramp)  # a promotion that an earlier process began
            return
        connections = await self._connections()
        try:
            listeners = concerned(self._listeners(), self._fleet(), ramp.rollout.version, target)
        except Refused as refused:
            self._note(ramp, hold(ramp.rollout, Window(Sample(), Sample()), refused.message, self._wall()))
            return
        opened = self._windows[target]
        opened = replace(opened, tally=add(opened.tally, self._members(), connections, listeners))
        self._windows[target] = opened
        window = self._window(ramp.rollout.version, opened, listeners)
        rollout, commands = step(ramp.rollout, window, ramp.limits, self._wall())
        match commands:
            case (SetWeight(percent),):
                await self._carry_out(percent, ramp, rollout, window)
            case (Prolong(),):
                over_at = self._core.now().monotonic + max(ramp.limits.interval, self._lag)
                self._windows[target] = replace(opened, over_at=over_at)
                self._note(ramp, rollout)
            case _:
                self._note(ramp, rollout)

    def _window(self, version: Version, opened: _OpenWindow, listeners: Sequence[Listener]) -> Window:
        tally, over_at = opened.tally, opened.over_at
        by_requests = tally.by_requests or all(listener.protocol in HTTP_FAMILY for listener in listeners)
        passed = self._core.now().monotonic >= over_at
        return Window(
            *tally.samples(version, by_requests=by_requests),
            over=passed and all_heard(self._members(), listeners, over_at),
            obstacle=self._obstacle(version, listeners, by_requests=by_requests),
        )

    def _obstacle(self, version: Version, listeners: Sequence[Listener], *, by_requests: bool) -> str:
        """Why the version cannot be given more, whatever its numbers; empty: it can."""
        fleet, choices = self._fleet(), self._plane.choices()
        for listener in listeners:
            if version not in fleet.ready(listener):
                return not_ready(version, listener)
            choice = choices.get(listener.name)
            if by_requests or choice is None:
                continue
            if listener.over_udp or choice.plane is DataPlaneKind.KERNEL:
                return (
                    f'listener "{listener.name}": its modules report no requests, and over UDP or through the kernel '
                    "nobody sees connections fail; shift it by hand"
                )
        return ""

    async def _carry_out(self, percent: int, ramp: Ramp, after: Rollout, window: Window) -> None:
        changed = Ramp(after, ramp.limits, self._wall())

        def decide(world: World) -> World:
            if world.progress.ramps.get(after.target) is not ramp:
                raise Refused(RefusalCode.NOT_FOUND, "another configuration has ended it")
            return self._shifted(world, after.version, percent, after.target).with_ramp(changed)

        try:
            await self._core.reweigh(decide)
        except Refused as refused:
            # the window stays open, so that the next beat decides again
            self._note(ramp, hold(ramp.rollout, window, refused.message, self._wall()))
            return
        _log.info("rollout", version=after.version, listener=after.target or "*", reason=after.reason)
        await self._open_window(changed)

    def _note(self, ramp: Ramp, rollout: Rollout) -> None:
        target = rollout.target
        if rollout is ramp.rollout or self._core.world.progress.ramps.get(target) is not ramp:
            return  # it waits for the same and has said so, or a new configuration has ended it
        after = Ramp(rollout, ramp.limits, self._wall())
        self._core.note_progress(lambda progress: progress.with_ramp(after))
        waiting = len(rollout.decisions) == len(ramp.rollout.decisions)
        write = _log.debug if waiting else _log.info
        write("rollout", version=rollout.version, listener=target or "*", reason=rollout.reason)

    def _shifted(self, world: World, version: Version, percent: int, target: str) -> World:
        """The world after a shift, without the promotions that it ends. Raises Refused."""
        fleet, listeners = self._fleet(), world.desired.listeners
        before = current_split(listeners, fleet, target)
        shifted = set_version_weight(listeners, fleet, version, percent, target)
        progress = world.progress.without_ramps(target)
        alone = before.share(before.active) == 100
        if current_split(shifted, fleet, target) != before and (alone or not progress.shift_of(target)):
            progress = progress.with_shift(target, Shift(before.active, self._wall()))
        return replace(world, desired=replace(world.desired, listeners=shifted), progress=progress)

    async def _open_window(self, ramp: Ramp) -> None:
        target = ramp.rollout.target
        self._windows.pop(target, None)
        connections = await self._connections()
        if not connections and self._members():
            return  # the data plane did not answer; what it has counted so far must not look new later
        since = self._core.now().monotonic + self._lag
        over_at = since + max(ramp.limits.interval, self._lag)  # at least two reports of each instance
        self._windows[target] = _OpenWindow(open_tally(connections, since), over_at)

    async def _connections(self) -> Connections:
        return (await self._observer.counts(max_age=BEAT_SECONDS)).endpoints

    def _wall(self) -> datetime:
        return self._core.now().wall

    def _listeners(self) -> tuple[Listener, ...]:
        return self._core.world.desired.listeners

    def _members(self) -> tuple[Member, ...]:
        return tuple(self._core.world.registry.members.values())

    def _fleet(self) -> Fleet:
        return Fleet(self._core.world.registry.instances(), self._core.questions.answers.about_listeners())
