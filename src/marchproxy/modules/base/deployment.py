"""Deployment: shifts traffic between versions, at once or in steps that watch the canary."""

from dataclasses import dataclass, replace

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.judging import RolloutLimits, Sample
from marchproxy.model.module import Version
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.ramp import Ramp, Shift
from marchproxy.model.rollout import Phase, Prolong, Rollout, SetWeight, Window, begin, hold, step
from marchproxy.model.route import BackendRef
from marchproxy.model.splits import splits_of
from marchproxy.model.state import DesiredState
from marchproxy.model.versions import (
    current_split,
    set_backend_weights,
    set_version_weight,
)
from marchproxy.model.weights import Split
from marchproxy.modules.base.core import Decide, ModuleCore
from marchproxy.modules.base.observation import Observation, Traffic
from marchproxy.modules.base.sampler import Sampler

_log = get_logger(__name__)


_EARLY_AGE = 1.0  # seconds: a look for gross failure may be so old


@dataclass(frozen=True, slots=True)
class _OpenWindow:
    """What had been counted at its beginning, and when it is over, in monotonic seconds."""

    seen: Observation
    over_at: float


class Deployment:
    """Blue/green over the backend pools of the module's routes. `target` is a route id, or empty for all routes."""

    def __init__(self, core: ModuleCore, sampler: Sampler, *, clock: Clock) -> None:
        self._core = core
        self._sampler = sampler
        self._clock = clock
        self._windows: dict[str, _OpenWindow] = {}

    def split(self, target: str = "") -> Split:
        """How traffic is split now. Raises Refused for an unknown route."""
        return current_split(self._core.desired, target)

    async def set_weight(self, version: Version, percent: int, target: str = "") -> None:
        """Give a version its share by hand; ends a gradual promotion of the target. Raises Refused."""
        await self._shift(target, lambda state: set_version_weight(state, version, percent, target))
        self._core.note(lambda running: running.without_ramp(target))

    async def set_weights(self, target: str, weights: tuple[BackendRef, ...]) -> None:
        """Set the shares of a route's backends by hand; ends a gradual promotion of the route. Raises Refused."""
        await self._shift(target, lambda state: set_backend_weights(state, target, weights))
        self._core.note(lambda running: running.without_ramp(target))

    async def roll_back(self, version: Version, target: str = "") -> tuple[Version, Version]:
        """Give everything to `version`, or, when empty, to the one before the last shift; (from, to). Raises Refused."""
        before = self.split(target)
        wanted = version or self._baseline(target)
        if not wanted:
            raise Refused(
                RefusalCode.NOT_FOUND,
                "target_version: there was no traffic shift to roll back; name a version",
            )
        await self.set_weight(wanted, 100, target)
        leader = before.active if before.active != wanted else before.canary or wanted
        return leader, wanted

    async def promote(self, version: Version, target: str = "") -> None:
        """Give everything to `version` at once. Raises Refused."""
        await self.set_weight(version, 100, target)

    async def promote_gradually(self, version: Version, limits: RolloutLimits, target: str = "") -> Ramp:
        """Raise the share of `version` step by step as long as it keeps to `limits`; takes the first step at once.

        Raises Refused.
        """
        rollout, first = begin(
            version, self.split(target).share(version), limits, self._clock.now(), target=target
        )
        await self._shift(target, lambda state: set_version_weight(state, version, first.percent, target))
        ramp = Ramp(rollout, limits, self._clock.now())
        self._core.note(lambda running: running.with_ramp(ramp))
        await self._open_window(ramp)
        return ramp

    async def advance(self) -> None:
        """Decide every gradual promotion whose window has passed. Call it often; it does little."""
        for ramp in list(self._core.running.ramps.values()):
            if ramp.rollout.phase is Phase.RAMPING:
                await self._advance(ramp)

    async def _advance(self, ramp: Ramp) -> None:
        target = ramp.rollout.target
        if target not in self._windows:
            await self._open_window(ramp)  # a promotion that an earlier process began
        opened = self._windows[target]
        over = self._clock.monotonic() >= opened.over_at
        seen = await (self._sampler.look() if over else self._sampler.recent(_EARLY_AGE))
        canary, baseline = _samples(self._core.desired, ramp.rollout, opened.seen, seen)
        window = Window(canary, baseline, over)
        rollout, commands = step(ramp.rollout, window, ramp.limits, self._clock.now())
        for command in commands:
            match command:
                case SetWeight():
                    rollout = await self._carry_out(command, ramp, rollout, window)
                case Prolong():
                    over_at = self._clock.monotonic() + ramp.limits.interval
                    self._windows[target] = replace(opened, over_at=over_at)
        if rollout == ramp.rollout or not self._stands(ramp):
            return  # it still waits for evidence, and has said so; or it was ended meanwhile
        after = Ramp(rollout, ramp.limits, self._clock.now())
        self._core.note(lambda running: running.with_ramp(after))
        _log.info("rollout", version=rollout.version, target=target or "*", reason=rollout.reason)

    async def _carry_out(self, command: SetWeight, ramp: Ramp, after: Rollout, window: Window) -> Rollout:
        before = ramp.rollout
        target, version = before.target, before.version

        def decide(state: DesiredState) -> DesiredState:
            if not self._stands(ramp):
                raise Refused(RefusalCode.NOT_FOUND, "it was ended by hand")
            return set_version_weight(state, version, command.percent, target)

        try:
            await self._shift(target, decide)
        except Refused as refused:
            # the window stays open, so that the next beat decides again
            return hold(before, window, refused.message, self._clock.now())
        await self._open_window(ramp)
        return after

    def _stands(self, ramp: Ramp) -> bool:
        return self._core.running.ramps.get(ramp.rollout.target) is ramp

    async def _shift(self, target: str, decide: Decide) -> None:
        before = current_split(self._core.desired, target)
        await self._core.change(decide, check=_share_faults)
        if self.split(target) == before:
            return  # said twice: what served before the first time is still what to go back to
        if before.share(before.active) == 100 or not self._baseline(target):
            shift = Shift(before.active, self._clock.now())
            self._core.note(lambda running: running.with_shift(target, shift))

    def _baseline(self, target: str) -> Version:
        shift = self._core.running.shift_of(target)
        return shift.baseline if shift else Version("")

    async def _open_window(self, ramp: Ramp) -> None:
        # a look of its own: what happened since the sampler's last one belongs to the time before
        seen = await self._sampler.look()
        over_at = self._clock.monotonic() + ramp.limits.interval
        self._windows[ramp.rollout.target] = _OpenWindow(seen, over_at)


def _share_faults(state: DesiredState) -> list[Problem]:
    """The only thing a shift can break."""
    problems = []
    splits = ((route.route_id, split) for route in state.routes for split in splits_of(route))
    for route_id, split in splits:
        shares = [backend.weight for backend in split]
        if any(not 0 <= share <= 100 for share in shares):
            problems.append(Problem("weights", f'route "{route_id}": a weight is not between 0 and 100'))
        elif sum(shares) != 100:
            problems.append(
                Problem("weights", f'route "{route_id}": they add up to {sum(shares)}, not to 100')
            )
    return problems


def _samples(
    state: DesiredState, rollout: Rollout, earlier: Observation, now: Observation
) -> tuple[Sample, Sample]:
    """What the canary's and the other versions' pools did between two observations."""
    pools = state.pools_by_name()
    of_version = {pool.name for pool in state.pools if pool.version == rollout.version}
    # a split that the canary is no part of, such as the tier that is asked when others fail, says nothing of it
    used = {
        backend.pool
        for route in state.routes
        if not rollout.target or route.route_id == rollout.target
        for split in splits_of(route)
        if any(backend.pool in of_version for backend in split)
        for backend in split
    }
    canary: list[Traffic] = []
    baseline: list[Traffic] = []
    for name in used:
        if (pool := pools.get(name)) is None or name not in now.pools:
            continue
        before = earlier.pools[name].traffic if name in earlier.pools else Traffic()
        side = canary if pool.version == rollout.version else baseline
        side.append(now.pools[name].traffic.since(before))
    return _sum(canary), _sum(baseline)


def _sum(traffic: list[Traffic]) -> Sample:
    failures = sum(item.failures for item in traffic)
    return Sample(
        # an error may be counted a moment before the request that it answers
        requests=max(sum(item.requests for item in traffic), failures),
        failures=failures,
        p99_latency_ms=max((item.latency.p99 for item in traffic), default=0.0),
        rejected=min(sum(item.rejected for item in traffic), failures),
    )
