"""Changes to a running system, as calls of ModuleService: those of modules, and of an NLB for the versions behind it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from marchproxy.contract.convert.times import seconds_to_pb
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.model.judging import RolloutLimits

if TYPE_CHECKING:
    from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceAsyncStub

_LIMITS = RolloutLimits()


class Answer(Protocol):
    """What every answer to a change has."""

    @property
    def success(self) -> bool:
        """Whether it took effect."""

    @property
    def message(self) -> str:
        """One sentence for people."""

    @property
    def error(self) -> types_pb2.Error:
        """Why not."""


Change: TypeAlias = "Callable[[ModuleServiceAsyncStub, float], Awaitable[Answer]]"


@dataclass(frozen=True, slots=True)
class Pace:
    """How a version is promoted: `step` points at a time, or by `steps` (percent, ascending); neither: at once.

    `limits` holds what each step must satisfy, times in seconds.
    """

    step: int = 0
    steps: tuple[int, ...] = ()
    limits: RolloutLimits = field(default=_LIMITS)

    @property
    def at_once(self) -> bool:
        """Whether there are no steps."""
        return not self.step and not self.steps


def set_weight(version: str, percent: int, target: str) -> Change:
    """Give a version its share. `target`: a route, of an NLB a listener; empty: all that know the version."""
    request = module_pb2.SetTrafficWeightRequest(version=version, weight=percent, route_id=target)
    return lambda stub, left: stub.SetTrafficWeight(request, timeout=left)


def set_draining(*, on: bool) -> Change:
    """Have an instance take nothing new, or take traffic again."""
    request = module_pb2.SetTrafficWeightRequest(draining=on)
    return lambda stub, left: stub.SetTrafficWeight(request, timeout=left)


def set_limit(route: str, rate: int, burst: int) -> Change:
    """Limit a route to requests per second; 0 turns the limit off."""
    request = module_pb2.ApplyRateLimitRequest(
        route_id=route, requests_per_second=max(rate, 1), burst_size=burst, enabled=rate > 0
    )
    return lambda stub, left: stub.ApplyRateLimit(request, timeout=left)


def roll_back(version: str, target: str) -> Change:
    """Give everything back to a version; empty: the one before the last shift. `target` as of `set_weight`."""
    request = module_pb2.RollbackRequest(target_version=version, route_id=target)
    return lambda stub, left: stub.Rollback(request, timeout=left)


def promote(version: str, target: str, pace: Pace) -> Change:
    """Give a version everything: at once, or in steps while it keeps to its limits. `target` as of `set_weight`."""
    limits = pace.limits
    analysis = types_pb2.RolloutAnalysis(
        interval=seconds_to_pb(limits.interval),
        min_requests=limits.min_requests,
        max_error_percent=limits.max_error_percent,
        max_error_increase_percent=limits.max_error_increase_percent,
        max_p99_latency_ms=limits.max_p99_latency_ms,
        max_p99_factor=limits.max_p99_factor,
    )
    request = module_pb2.PromoteVersionRequest(
        version=version,
        route_id=target,
        immediate=pace.at_once,
        promotion_rate=0 if pace.steps else pace.step,
        steps=pace.steps,
        analysis=analysis,
    )
    return lambda stub, left: stub.PromoteVersion(request, timeout=left)
