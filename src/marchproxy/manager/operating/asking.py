"""Asking parts to do something: several, all or none, each answer in words."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from marchproxy.contract.convert.times import seconds_to_pb
from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.manager.operating.targets import NotDone, Pace, Target

if TYPE_CHECKING:
    from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceAsyncStub

SECONDS = 10.0
"""How long a part may take."""


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


Ask: TypeAlias = "Callable[[ModuleServiceAsyncStub, float], Awaitable[Answer]]"


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who answers the RPCs about versions: a module by its address, or an NLB (address empty)."""

    name: str
    client: Client
    address: str = ""

    async def call(self, ask: Ask) -> Answer:
        """Raises CallFailed."""
        if self.address:
            return await self.client.module(self.address, ask, timeout=SECONDS)
        return await self.client.nlb_versions(ask, timeout=SECONDS)


@dataclass(frozen=True, slots=True)
class Refusing:
    """A party that did not do it. `missing`: because it does not know what it is about."""

    name: str
    words: str
    missing: bool = False


async def ask_all(parties: Sequence[Party], ask: Ask) -> tuple[Mapping[str, str], tuple[Refusing, ...]]:
    """Ask everybody at once: what those said who did it, by name, and who did not."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_one(party, ask)) for party in parties]
    answers = [task.result() for task in tasks]
    done = dict([answer for answer in answers if not isinstance(answer, Refusing)])
    return done, tuple(answer for answer in answers if isinstance(answer, Refusing))


async def ask_or_undo(parties: Sequence[Party], ask: Ask, undo: Ask) -> Mapping[str, str]:
    """Ask everybody; when somebody refuses, have those undo it who did it. Raises NotDone.

    Who does not know what it is about, and is not alone in that, does not count.
    """
    done, refusing = await ask_all(parties, ask)
    bad = [one for one in refusing if not (one.missing and done)]
    if not bad:
        return done
    await ask_all([party for party in parties if party.name in done], undo)
    words = "; ".join(f"{one.name}: {one.words}" for one in bad)
    missing = all(one.missing for one in bad)
    raise NotDone(words, found=not missing)


def set_weight(target: Target, version: str, percent: int) -> Ask:
    """Give a version its share; ends a rollout."""
    request = module_pb2.SetTrafficWeightRequest(version=version, weight=percent, route_id=target.name)
    return lambda stub, left: stub.SetTrafficWeight(request, timeout=left)


def promote(target: Target, version: str, pace: Pace) -> Ask:
    """Begin a rollout."""
    limits = pace.rollout
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
        route_id=target.name,
        promotion_rate=0 if pace.steps else pace.step,
        steps=pace.steps,
        analysis=analysis,
    )
    return lambda stub, left: stub.PromoteVersion(request, timeout=left)


def set_draining(*, on: bool) -> Ask:
    """Have an instance drain, or take traffic again."""
    request = module_pb2.SetTrafficWeightRequest(draining=on)
    return lambda stub, left: stub.SetTrafficWeight(request, timeout=left)


async def _one(party: Party, ask: Ask) -> tuple[str, str] | Refusing:
    try:
        answer = await party.call(ask)
    except CallFailed as error:
        return Refusing(party.name, str(error))
    if answer.success:
        return party.name, answer.message
    missing = answer.error.code == types_pb2.STATUS_CODE_NOT_FOUND
    return Refusing(party.name, answer.error.message or answer.message, missing)
