"""Changes: from the call of a client to its effect on traffic, and from a route that Envoy refuses to the author's error."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from bench.support.marchproxy import Service
from bench.support.routing import Line, RoutingTable
from bench.support.watching import Watcher
from marchproxy.contract.pb import module_pb2, module_pb2_grpc, types_pb2

_HEADER = "x-change"
_DEADLINE_SECONDS = 30.0
_WARM_UP = 3
_FEWEST = 5
_STRIDE = 997  # no change hits the host of the one before
# RE2 knows no look-ahead; nobody but Envoy can tell
_REFUSED_PATH = "/(?=refused).*"


@dataclass(frozen=True, slots=True)
class Changes:
    """Milliseconds, one after the other."""

    to_answer: Sequence[float]
    to_effect: Sequence[float]
    to_error: Sequence[float]


async def measure(alb: Service, table: RoutingTable, *, changes: int, refusals: int, until: float) -> Changes:
    """Change so many routes of an ALB that serves `table`, and have it refuse so many.

    After `until`, by the monotonic clock, no further change begins, once there are five. Raises RuntimeError, TimeoutError.
    """
    answers, effects = [], []
    async with grpc.aio.insecure_channel(alb.grpc) as channel, Watcher.connected(alb.traffic) as watcher:
        author: Any = module_pb2_grpc.ModuleServiceStub(channel)
        for number in range(-_WARM_UP, changes):
            place = (number * _STRIDE) % len(table.lines)
            async with asyncio.timeout(_DEADLINE_SECONDS):
                answer, effect = await _change(author, watcher, place, table.lines[place], str(number))
            if number >= 0:
                answers.append(answer)
                effects.append(effect)
            if len(effects) >= _FEWEST and time.monotonic() > until:
                break
        async with asyncio.timeout(_DEADLINE_SECONDS * refusals):
            errors = [await _refusal(author, number, table.lines[number]) for number in range(refusals)]
    return Changes(answers, effects, errors)


async def _change(author: Any, watcher: Watcher, place: int, line: Line, value: str) -> tuple[float, float]:
    """Until the call returns, and until an answer to a request shows what it changed."""
    route = _route(place, line)
    route.response_headers.set.add(name=_HEADER, value=value)
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        seen = group.create_task(_seen(watcher, line, value))
        answer = await author.UpdateRoutes(module_pb2.UpdateRoutesRequest(routes=[route]))
        returned = time.perf_counter()
        if not answer.success:
            raise RuntimeError(f"the change was refused: {answer.message}")
    return (returned - started) * 1000, (seen.result() - started) * 1000


async def _seen(watcher: Watcher, line: Line, value: str) -> float:
    await watcher.until(line.asked_host, line.asked_path, _HEADER, value)
    return time.perf_counter()


async def _refusal(author: Any, place: int, line: Line) -> float:
    """Until the author of a route that Envoy does not take has Envoy's reason."""
    route = _route(place, line)
    route.path_pattern, route.path_match = f"{_REFUSED_PATH}{place}", types_pb2.PATH_MATCH_KIND_REGEX
    started = time.perf_counter()
    answer = await author.UpdateRoutes(module_pb2.UpdateRoutesRequest(routes=[route]))
    passed = time.perf_counter() - started
    if answer.success or "invalid perl operator" not in f"{answer.message} {answer.validation_errors}":
        raise RuntimeError(f"Envoy's refusal did not come back to its author, but: {answer.message}")
    return passed * 1000


def _route(place: int, line: Line) -> types_pb2.Route:
    """The line of the table as it was, to be changed."""
    route = types_pb2.Route(
        route_id=f"route-{place}",
        path_pattern=line.prefix,
        path_match=types_pb2.PATH_MATCH_KIND_PREFIX,
        backends=[types_pb2.BackendRef(pool=line.pool, weight=100)],
    )
    if line.host != "*":
        route.hosts.append(line.host)
    route.timeout.FromSeconds(15)
    return route
