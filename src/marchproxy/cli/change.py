"""Changes to a running system: the same call to every ALB, and what each answered."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import typer

from marchproxy.cli.client import CallFailed, connected
from marchproxy.contract.pb import module_pb2, types_pb2

if TYPE_CHECKING:
    from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceAsyncStub


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


def set_weight(version: str, percent: int, route: str) -> Change:
    """Give a version of the backends its share; `route` empty: on every route that has it."""
    request = module_pb2.SetTrafficWeightRequest(version=version, weight=percent, route_id=route)
    return lambda stub, left: stub.SetTrafficWeight(request, timeout=left)


def set_limit(route: str, rate: int, burst: int) -> Change:
    """Limit a route to requests per second; 0 turns the limit off."""
    request = module_pb2.ApplyRateLimitRequest(
        route_id=route, requests_per_second=max(rate, 1), burst_size=burst, enabled=rate > 0
    )
    return lambda stub, left: stub.ApplyRateLimit(request, timeout=left)


def roll_back(version: str, route: str) -> Change:
    """Give everything back to a version; empty: the one before the last shift."""
    request = module_pb2.RollbackRequest(target_version=version, route_id=route)
    return lambda stub, left: stub.Rollback(request, timeout=left)


def promote(version: str, route: str, *, step: int) -> Change:
    """Give a version everything: at once (`step` 0), or so many points at a time while it keeps to its limits."""
    request = module_pb2.PromoteVersionRequest(
        version=version, route_id=route, immediate=step == 0, promotion_rate=step
    )
    return lambda stub, left: stub.PromoteVersion(request, timeout=left)


def _say(instance: str, words: str, *, success: bool) -> bool:
    typer.secho(f"{instance}: {words}", fg=None if success else typer.colors.RED, err=not success)
    return success
