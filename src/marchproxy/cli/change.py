"""Changes to a running system: the same call to every ALB, or one to the NLB, and what was answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import typer

from marchproxy.contract.convert.times import seconds_to_pb
from marchproxy.contract.fleet.client import CallFailed, connected
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


Change = Callable[["ModuleServiceAsyncStub", float], Awaitable[Answer]]


async def change_all(nlb: str, change: Change) -> bool:
    """Make the change on every registered ALB and print what each said; whether all did it. Raises CallFailed."""
    async with connected(nlb) as client:
        instances = await client.instances(types_pb2.MODULE_TYPE_ALB)
        if not instances:
            raise CallFailed("no ALB is registered with the NLB")
        done = True
        for instance in instances:
            try:
                answer = await client.module(instance.address, change)
            except CallFailed as error:
                done = _say(instance.instance_id, str(error), success=False)
                continue
            words = answer.message if answer.success else answer.error.message
            done = _say(instance.instance_id, words, success=answer.success) and done
        return done


async def change_nlb(nlb: str, change: Change) -> bool:
    """Make the change of versions on the NLB itself and print what it said; whether it did it. Raises CallFailed."""
    async with connected(nlb) as client:
        answer = await client.nlb_versions(change)
        return _say("nlb", answer.message if answer.success else answer.error.message, success=answer.success)


@dataclass(frozen=True, slots=True)
class Where:
    """What a change of versions is about: backend pools on a route (empty: on all), or modules behind a listener.

    `listener`: its name, `*` for every one; empty: it is about backend pools.
    """

    route: str = ""
    listener: str = ""

    @property
    def target(self) -> str:
        """The `route_id` of the request."""
        return self.listener.removeprefix("*") or self.route


@dataclass(frozen=True, slots=True)
class Pace:
    """How a version is promoted: `step` points at a time, or by `steps`, or, when both are empty, at once.

    `interval` in seconds between two steps, `min_requests` that each must have seen.
    """

    step: int = 0
    steps: tuple[int, ...] = ()
    interval: float = _LIMITS.interval
    min_requests: int = _LIMITS.min_requests


def set_weight(version: str, percent: int, where: Where) -> Change:
    """Give a version its share."""
    request = module_pb2.SetTrafficWeightRequest(version=version, weight=percent, route_id=where.target)
    return lambda stub, left: stub.SetTrafficWeight(request, timeout=left)


def set_limit(route: str, rate: int, burst: int) -> Change:
    """Limit a route to requests per second; 0 turns the limit off."""
    request = module_pb2.ApplyRateLimitRequest(
        route_id=route, requests_per_second=max(rate, 1), burst_size=burst, enabled=rate > 0
    )
    return lambda stub, left: stub.ApplyRateLimit(request, timeout=left)


def roll_back(version: str, where: Where) -> Change:
    """Give everything back to a version; empty: the one before the last shift."""
    request = module_pb2.RollbackRequest(target_version=version, route_id=where.target)
    return lambda stub, left: stub.Rollback(request, timeout=left)


def promote(version: str, where: Where, pace: Pace) -> Change:
    """Give a version everything: at once, or in steps while it keeps to its limits."""
    analysis = types_pb2.RolloutAnalysis(
        interval=seconds_to_pb(pace.interval),
        min_requests=pace.min_requests,
        max_error_percent=_LIMITS.max_error_percent,
        max_error_increase_percent=_LIMITS.max_error_increase_percent,
    )
    request = module_pb2.PromoteVersionRequest(
        version=version,
        route_id=where.target,
        immediate=not pace.step and not pace.steps,
        promotion_rate=pace.step,
        steps=pace.steps,
        analysis=analysis,
    )
    return lambda stub, left: stub.PromoteVersion(request, timeout=left)


def _say(instance: str, words: str, *, success: bool) -> bool:
    typer.secho(f"{instance}: {words}", fg=None if success else typer.colors.RED, err=not success)
    return success
