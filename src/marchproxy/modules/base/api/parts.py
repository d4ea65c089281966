"""Parts: what the RPCs of a module work on, and the ways of answering that they share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import is_
from typing import Any, Generic, TypeVar

from marchproxy.contract.convert import page_to_pb, route_to_pb
from marchproxy.contract.errors import error_to_pb, refusal_of
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc import not_found
from marchproxy.model.module import HealthStatus
from marchproxy.model.problem import InvalidValue, Refused
from marchproxy.model.query import Page, Query
from marchproxy.model.route import Route
from marchproxy.model.scaling import ScalingLimits
from marchproxy.modules.base.core import ModuleCore
from marchproxy.modules.base.deployment import Deployment
from marchproxy.modules.base.fleet import NlbFleet
from marchproxy.modules.base.launcher import ProcessLauncher
from marchproxy.modules.base.sampler import Sampler

A = TypeVar("A")
R = TypeVar("R")


@dataclass(slots=True)
class Control:
    """How RPCs act on the process: stop it, or read its configuration again."""

    stop: asyncio.Event
    reload: Callable[[], Awaitable[str]]
    drain_seconds: float
    stopping: bool = False


class RouteMessages:
    """Routes as messages, each translated once for as long as it runs: routes are frozen, so identity is enough."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Route, types_pb2.Route]] = {}
        self._last: tuple[Sequence[Route], Query, module_pb2.GetRoutesResponse] | None = None

    def answer(
        self, running: Sequence[Route], query: Query, ask: Callable[[], Page[Route]]
    ) -> module_pb2.GetRoutesResponse:
        """The page that `ask` finds; the last question's again at once: copying 1,000 messages takes a millisecond."""
        if self._last is not None and self._last[0] is running and self._last[1] == query:
            return self._last[2]
        page = ask()
        response = module_pb2.GetRoutesResponse(
            routes=self.of(page.rows, running), total_routes=page.total_items, pagination=page_to_pb(page)
        )
        self._last = (running, query, response)
        return response

    def of(self, routes: Sequence[Route], running: Sequence[Route]) -> list[types_pb2.Route]:
        """The messages of `routes`, which are some of the `running` ones."""
        if len(self._known) > 2 * len(running) + 16:
            self._known = {}
        for route in routes:
            if id(route) not in self._known:
                self._known[id(route)] = (route, route_to_pb(route))
        return [self._known[id(route)][1] for route in routes]


@dataclass(slots=True)
class AnswerMemory(Generic[A]):
    """The last answer to a call, good for as long as what it rests on is the same."""

    rests_on: tuple[object, ...] = ()
    answer: A | None = None

    def recall(self, *rests_on: object) -> A | None:
        """The answer, if it rests on these very objects; they are frozen, so identity is enough."""
        same = len(rests_on) == len(self.rests_on) and all(map(is_, rests_on, self.rests_on))
        return self.answer if same else None


@dataclass(slots=True)
class StatusMemory(AnswerMemory[module_pb2.GetStatusResponse]):
    """The last answer to GetStatus; and since when the status holds."""

    status: HealthStatus | None = None
    since: datetime | None = None

    def held_since(self, status: HealthStatus, now: datetime) -> datetime:
        """When the status became what it is."""
        if self.since is None or status is not self.status:
            self.status, self.since = status, now
        return self.since


@dataclass(slots=True)
class Parts:
    """One running module."""

    core: ModuleCore
    sampler: Sampler
    deployment: Deployment
    control: Control
    fleet: NlbFleet
    clock: Clock
    launcher: ProcessLauncher | None = None
    scaling: ScalingLimits = field(default_factory=ScalingLimits)
    routes: RouteMessages = field(default_factory=RouteMessages)
    status: StatusMemory = field(default_factory=StatusMemory)
    counts: AnswerMemory[module_pb2.GetStatsResponse] = field(default_factory=AnswerMemory)

    def expect(self, instance_id: str) -> None:
        """Refuse a call that is meant for another instance; an empty id is meant for whoever gets it."""
        own = self.core.identity.instance_id
        if instance_id not in {"", own}:
            raise not_found(f'instance_id: this is "{own}", not "{instance_id}"')

    async def answer(self, response: Callable[..., R], work: Awaitable[str]) -> R:
        """Do a mutation: `success` and its message, or the refusal as the contract's Error."""
        try:
            message = await work
        except (Refused, InvalidValue) as failure:
            return response(success=False, **self.error_fields(failure))
        return response(success=True, message=message)

    def error_fields(self, failure: Refused | InvalidValue) -> dict[str, Any]:
        """The message and the Error of a refused mutation."""
        return {
            "message": refusal_of(failure).message,
            "error": error_to_pb(failure, self.clock.now()),
        }


class Api:
    """A group of RPCs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
