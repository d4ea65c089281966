"""Asker: puts CanHandle to instances whenever an instance, a listener or a route is new. Bounded, retried, never per connection."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import HealthStatus, InstanceId
from marchproxy.model.plan import Verdict
from marchproxy.model.route import Route
from marchproxy.nlb.state.verdicts import Asking, Subject

_log = get_logger(__name__)
ASK_SECONDS = 2.0
_AT_ONCE = 4  # per instance: one that hangs delays nobody else
_RETRY = Backoff(initial=0.1, maximum=5.0)


class ModuleSilent(Exception):
    """A module gave no usable answer; the message says why.

    `sent`: the call may have reached it. `refused`: its host said that nobody listens there. `alive`: it did answer, with
    an error.
    """

    def __init__(
        self, message: str, *, sent: bool = True, refused: bool = False, alive: bool = False
    ) -> None:
        self.sent = sent
        self.refused = refused
        self.alive = alive
        super().__init__(message)


class Modules(Protocol):
    """The ModuleService of other processes. Every call raises ModuleSilent; `timeout` in seconds."""

    async def can_handle(self, address: str, route: Route, *, timeout: float) -> Verdict:
        """Ask an instance whether it would serve a route."""
        ...

    async def health(self, address: str, *, deep: bool, timeout: float) -> tuple[HealthStatus, str]:
        """Ask an instance for its health and a sentence."""
        ...

    async def scale(self, address: str, count: int, *, timeout: float) -> tuple[bool, str, int, int]:
        """Ask an instance to have its launcher run `count` instances: accepted, why, current, desired."""
        ...

    async def forget(self, address: str) -> None:
        """Close what is open to an address."""
        ...


class Asker:
    """Keeps asking what `wanted` yields until each question is answered or withdrawn."""

    def __init__(
        self,
        modules: Modules,
        wanted: Callable[[], Iterable[Asking]],
        record: Callable[[Asking, Verdict], None],
        *,
        clock: Clock,
    ) -> None:
        self._modules = modules
        self._wanted = wanted
        self._record = record
        self._clock = clock
        self._wake = asyncio.Event()
        self._queues: dict[InstanceId, deque[Asking]] = {}
        self._interviews: dict[InstanceId, _Interview] = {}
        self._under_way: dict[tuple[str, Subject], Asking] = {}

    @property
    def busy(self) -> bool:
        """Whether some question has no answer yet."""
        return any(not interview.task.done() for interview in self._interviews.values())

    def wake(self) -> None:
        """An instance, a listener or a route changed: look again at what is wanted."""
        self._wake.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                wanted = _by_instance(self._wanted())
                for instance_id in self._interviews.keys() - wanted.keys():
                    self._interviews.pop(instance_id).task.cancel()
                self._queues = {
                    key: deque(asking for asking in askings if self._under_way.get(_key(asking)) != asking)
                    for key, askings in wanted.items()
                }
                for instance_id, askings in wanted.items():
                    self._interview(group, instance_id, askings[0])

    def _interview(self, group: asyncio.TaskGroup, instance_id: InstanceId, first: Asking) -> None:
        old = self._interviews.get(instance_id)
        newcomer = old is None or old.registration_id != first.registration_id
        if old is not None:
            if not newcomer and not old.task.done():
                return  # it goes on with the new questions
            old.task.cancel()
        task = group.create_task(self._ask_all(first, newcomer=newcomer), name=f"ask-{instance_id}")
        self._interviews[instance_id] = _Interview(first.registration_id, task)

    async def _ask_all(self, first: Asking, *, newcomer: bool) -> None:
        if newcomer:
            # what its predecessor at this address did wrong is not held against it
            await self._modules.forget(first.address)
        async with asyncio.TaskGroup() as lanes:
            for _ in range(_AT_ONCE):
                lanes.create_task(self._lane(first.instance_id))

    async def _lane(self, instance_id: InstanceId) -> None:
        while queue := self._queues.get(instance_id):
            asking = queue.popleft()
            self._under_way[_key(asking)] = asking
            try:
                self._record(asking, await self._insist(asking))
            finally:
                if self._under_way.get(_key(asking)) is asking:
                    del self._under_way[_key(asking)]

    async def _insist(self, asking: Asking) -> Verdict:
        """Ask until there is an answer; ended by cancellation when the instance is gone."""
        attempt = 0
        while True:
            try:
                return await self._modules.can_handle(asking.address, asking.route, timeout=ASK_SECONDS)
            except ModuleSilent as error:
                reason = str(error)
            pause = _RETRY.delay(attempt, random.random())  # noqa: S311 - spreads load only
            _log.warning("no answer to CanHandle", **_named(asking), reason=reason, again_in=round(pause, 2))
            attempt += 1
            await self._clock.sleep(pause)


@dataclass(frozen=True, slots=True)
class _Interview:
    registration_id: str
    task: asyncio.Task[None]


def _key(asking: Asking) -> tuple[str, Subject]:
    return asking.registration_id, asking.subject


def _by_instance(wanted: Iterable[Asking]) -> dict[InstanceId, list[Asking]]:
    askings: dict[InstanceId, list[Asking]] = {}
    for asking in wanted:
        askings.setdefault(asking.instance_id, []).append(asking)
    return askings


def _named(asking: Asking) -> dict[str, str]:
    return {"instance": asking.instance_id, "subject": f"{asking.subject.kind} {asking.subject.name}"}
