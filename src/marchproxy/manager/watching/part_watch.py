"""The watch of one instance: asks it for its counts, its pools and its rollouts, each in a pace of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from marchproxy.contract.fleet.client import CallFailed, Client
from marchproxy.contract.pb import module_pb2
from marchproxy.kit.clock import Clock
from marchproxy.manager.watching.counters import served
from marchproxy.manager.watching.findings import PartFinding, read_promotions
from marchproxy.manager.watching.nlb_watch import CALL_SECONDS
from marchproxy.manager.watching.pace import Pace
from marchproxy.manager.watching.pools_seen import Library, read_pools

if TYPE_CHECKING:
    from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceAsyncStub

A = TypeVar("A")
_CALL_COSTS = 0.0008  # of a core's seconds, by gRPC and its threads


@dataclass(frozen=True, slots=True)
class Paces:
    """What all instances together may cost, learned from each of them, and what they have in common."""

    stats: Pace
    pools: Pace
    rollouts: Pace
    library: Library = field(default_factory=Library)


def paces(beat: float) -> Paces:
    """4 % of a core in all; a small fleet is asked with each beat (seconds), and for its pools with every other."""
    return Paces(Pace(beat, 0.02), Pace(2 * beat, 0.01), Pace(beat, 0.008))


class PartWatch:
    """What one instance tells. `finding` is always there; a call that fails leaves it as it was, and says why."""

    def __init__(self, client: Client, address: str, clock: Clock) -> None:
        self.address = address
        self.finding = PartFinding()
        self._library = Library()
        self._client, self._clock = client, clock

    async def run(self, paces: Paces, many: Callable[[], int]) -> None:
        """Ask, until cancelled; `many` is how many instances are watched now."""
        self._library = paces.library
        jobs = ((self._stats, paces.stats), (self._pools, paces.pools), (self._rollouts, paces.rollouts))
        async with asyncio.TaskGroup() as group:
            for job, pace in jobs:
                group.create_task(self._repeat(job, pace, many))

    async def _repeat(
        self, job: Callable[[Pace], Awaitable[None]], pace: Pace, many: Callable[[], int]
    ) -> None:
        while True:
            started = self._clock.monotonic()
            try:
                await job(pace)
            except CallFailed as error:
                self.finding = replace(self.finding, failure=str(error))
            await self._clock.sleep(started + pace.pause(many()) - self._clock.monotonic())

    async def _stats(self, pace: Pace) -> None:
        request = module_pb2.GetStatsRequest()
        answer = await self._ask(lambda stub, left: stub.GetStats(request, timeout=left))
        began = time.thread_time()
        self._read_stats(answer)
        pace.took(_CALL_COSTS + time.thread_time() - began)

    def _read_stats(self, answer: module_pb2.GetStatsResponse) -> None:
        before, stats = self.finding, answer.stats
        at = answer.collected_at.ToNanoseconds() / 1e9 if answer.HasField("collected_at") else 0.0
        heard = replace(before, at=self._clock.now(), failure="")
        if before.counted is not None and at and at == before.counted.at:
            self.finding = heard  # it has not looked again
            return
        counted, found = served(before.counted, answer, at or self._clock.monotonic())
        self.finding = replace(
            heard,
            counted=counted,
            served=found,
            connections=stats.active_connections,
            cpu=stats.cpu_usage_percent,
            memory=stats.memory_usage_mb,
            facts=dict(stats.custom_stats),
        )

    async def _pools(self, pace: Pace) -> None:
        request = module_pb2.GetBackendsRequest()
        answer = await self._ask(lambda stub, left: stub.GetBackends(request, timeout=left))
        began = time.thread_time()
        self.finding = replace(
            self.finding, pools=read_pools(self.finding.pools, answer.pools, self._library)
        )
        pace.took(_CALL_COSTS + time.thread_time() - began)

    async def _rollouts(self, pace: Pace) -> None:
        request = module_pb2.GetActiveVersionRequest()
        answer = await self._ask(lambda stub, left: stub.GetActiveVersion(request, timeout=left))
        began = time.thread_time()
        found = read_promotions(answer)
        if found != self.finding.promotions:
            self.finding = replace(self.finding, promotions=found)
        pace.took(_CALL_COSTS + time.thread_time() - began)

    async def _ask(self, invoke: "Callable[[ModuleServiceAsyncStub, float], Awaitable[A]]") -> A:
        return await self._client.module(self.address, invoke, timeout=CALL_SECONDS)
