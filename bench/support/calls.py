"""The calls whose time is taken, against one ModuleService."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from bench.support.documents import route_id
from bench.support.processes import cpu_seconds
from marchproxy.contract.pb import module_pb2, module_pb2_grpc, types_pb2

Call = Callable[[], Awaitable[object]]


class Client:
    """One client of one module. Every mutation differs from the one before, or there would be nothing to acknowledge."""

    def __init__(self, channel: grpc.aio.Channel, routes: int = 0) -> None:
        self._stub: Any = module_pb2_grpc.ModuleServiceStub(channel)
        self._routes = routes
        self._counter = itertools.count(1)

    async def get_status(self) -> module_pb2.GetStatusResponse:
        answer: module_pb2.GetStatusResponse = await self._stub.GetStatus(module_pb2.GetStatusRequest())
        return answer

    async def get_metrics(self) -> None:
        answer = await self._stub.GetMetrics(module_pb2.GetMetricsRequest())
        _expect(bool(answer.metrics.metrics), "GetMetrics: no metrics")

    async def get_routes(self) -> None:
        answer = await self._stub.GetRoutes(module_pb2.GetRoutesRequest())
        _expect(len(answer.routes) == self._routes, f"GetRoutes: {len(answer.routes)} routes")

    async def set_rate_limit(self) -> None:
        rate = 1000 + next(self._counter)
        limit = types_pb2.RateLimit(
            limit_id="bench", target=route_id(0), requests_per_second=rate, enabled=True
        )
        _expect_success(await self._stub.SetRateLimit(module_pb2.SetRateLimitRequest(limit=limit)))

    async def set_traffic_weight(self) -> None:
        request = module_pb2.SetTrafficWeightRequest(
            version="v2", weight=next(self._counter) % 100, route_id=route_id(1)
        )
        _expect_success(await self._stub.SetTrafficWeight(request))

    async def reload(self) -> None:
        _expect_success(await self._stub.Reload(module_pb2.ReloadRequest()))


async def milliseconds(call: Call, count: int, *, before: Callable[[], None] | None = None) -> list[float]:
    """How long each of `count` calls takes, one after the other; `before` each, untimed."""
    times = []
    for _ in range(count):
        if before is not None:
            before()
        started = time.perf_counter()
        await call()
        times.append((time.perf_counter() - started) * 1000)
    return times


@dataclass(frozen=True, slots=True)
class Load:
    """What came of concurrent calls: calls per second, and the server's CPU time per call in microseconds."""

    rate: float
    cpu_us: float


async def load(call: Call, server: int, *, concurrency: int, seconds: float) -> Load:
    """Keep `concurrency` calls under way; `server` is the process id whose CPU time is taken."""
    cpu, started = cpu_seconds([server]), time.perf_counter()

    async def keep_calling() -> int:
        for count in itertools.count(1):
            await call()
            if time.perf_counter() >= started + seconds:
                return count
        raise AssertionError

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(keep_calling()) for _ in range(concurrency)]
    calls = sum(task.result() for task in tasks)
    return Load(calls / (time.perf_counter() - started), (cpu_seconds([server]) - cpu) / calls * 1e6)


def _expect_success(answer: Any) -> None:
    _expect(answer.success, answer.message)


def _expect(truth: bool, message: str) -> None:  # noqa: FBT001 - an assertion
    if not truth:
        raise RuntimeError(message)
