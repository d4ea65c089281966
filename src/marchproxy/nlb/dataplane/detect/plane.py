"""The detect data plane: tells protocols apart by their first bytes and relays untouched, in processes of its own.

No worker runs before the first port is to be relayed. Workers outlive an NLB that crashes; the next one adopts them, with
their connections. A worker that dies is started again and told what it carried.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from marchproxy.engines.workers.words import PORT_SECONDS, Count, Done, Refused, once_ports_are_free
from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError, until_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort
from marchproxy.kit.tasks import every
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.problem import Problem
from marchproxy.nlb.dataplane.detect.places import resolved
from marchproxy.nlb.dataplane.detect.share import divide
from marchproxy.nlb.dataplane.detect.worker import RelayWorker, relay_worker
from marchproxy.nlb.dataplane.division import add_counts
from marchproxy.nlb.dataplane.plane import (
    Choice,
    Forwarding,
    PlaneRefused,
    PlaneUnavailable,
    TrafficCounts,
)
from marchproxy.nlb.dataplane.relay.talk import Apply, Closed, Counted, Drain, Shed
from marchproxy.nlb.settings import NlbSettings

_log = get_logger(__name__)
_POLL_SECONDS = 0.002
_END_SECONDS = 2.0
_TRIM_SECONDS = 30.0
_RESTART = Backoff(initial=0.1, maximum=5.0)


class DetectDataPlane:
    """Relays through workers. Use it inside `running`."""

    name = "detect"

    def __init__(self, settings: NlbSettings, *, clock: Clock) -> None:
        self._folder = settings.directory() / "relay"
        self._clock = clock
        self._drain_seconds = settings.drain_seconds
        count = settings.relay.count()
        self._workers = tuple(
            relay_worker(self._folder, index, shared_ports=count > 1, clock=clock) for index in range(count)
        )
        self._group = asyncio.TaskGroup()
        self._watches: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()
        self._forwarding = Forwarding()
        self._sent: tuple[Forwarding, ...] = ()
        self._addresses: frozenset[HostPort] = frozenset()
        self._counts, self._counted_at = TrafficCounts(), float("-inf")
        self._applied = self._adopted = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator["DetectDataPlane"]:
        """Adopt the workers that run; end them at the end of the block. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        failure: Exception | None = None
        async with asyncio.TaskGroup() as self._group:
            await self._adopt()
            try:
                yield self
            except Exception as error:  # noqa: BLE001 - raised again below, outside the group, so that it is not wrapped
                failure = error
            finally:
                for watch in self._watches:
                    watch.cancel()
                await self._end(keep=failure is not None and self._adopted)
        if failure is not None:
            raise failure

    def check(self, listeners: Sequence[Listener]) -> tuple[Problem, ...]:  # noqa: ARG002 - the interface's
        """Nothing beyond what the document's own checks say."""
        return ()

    async def apply(self, forwarding: Forwarding) -> None:
        """Judge new connections by this from now on. Raises PlaneRefused, PlaneUnavailable; then all is as before."""
        async with self._turn:
            if not forwarding.plan.listeners and not self._watches:
                self._forwarding = forwarding
                return
            wanted = divide(replace(await resolved(forwarding), routes=()), len(self._workers))
            await self._check_new(forwarding)
            await self._start()
            before = self._sent or tuple(Forwarding() for _ in self._workers)
            try:
                for worker, part in zip(self._workers, wanted, strict=True):
                    await self._tell(worker, part)
            except (PlaneRefused, PlaneUnavailable):
                if self._applied:
                    await self._go_back(before)
                raise
            self._sent, self._forwarding, self._applied = wanted, forwarding, True
            self._addresses = _addresses(forwarding)
            self._counted_at = float("-inf")

    async def prepare(self) -> None:
        """Have the workers run. Raises PlaneUnavailable."""
        async with self._turn:
            await self._start()

    def addresses(self) -> frozenset[HostPort]:
        """Where it listens, from before this process too."""
        return self._addresses

    def choices(self) -> Mapping[str, Choice]:
        """Everything it was given."""
        names = [plan.listener.name for plan in self._forwarding.plan.listeners]
        return {name: Choice(DataPlaneKind.DETECT, "") for name in names}

    async def counts(self, *, max_age: float = 1.0) -> TrafficCounts:
        """What the workers carry; at most `max_age` seconds old. Raises PlaneUnavailable."""
        async with self._turn:
            if self._watches and time.monotonic() - self._counted_at > max_age:
                total = TrafficCounts()
                for counted in await self._ask_counts():
                    total = add_counts(total, counted.traffic())
                self._counts, self._counted_at = total, time.monotonic()
            return self._counts

    async def health(self) -> Mapping[str, str]:
        """The workers' processes. Raises PlaneUnavailable when one is missing."""
        if self._watches and not all(worker.pid for worker in self._workers):
            raise PlaneUnavailable("a relay worker is not running")
        return {
            f"relay_{index}_pid": str(worker.pid) for index, worker in enumerate(self._workers) if worker.pid
        }

    async def shed(self, instance_id: InstanceId, count: int, *, listener: str = "") -> int:
        """Close up to so many connections of an instance, the longest idle first; return how many."""
        closed = 0
        async with self._turn:
            for worker in self._workers if self._watches else ():
                answer = await worker.ask(Shed(instance_id, count - closed, listener))
                closed += answer.count if isinstance(answer, Closed) else 0
        return closed

    async def drain(self, deadline_seconds: float) -> int:
        """Listen no more and wait for open connections; return how many are left at the deadline."""
        if not self._watches:
            return 0
        left = 0
        try:
            async with self._turn, asyncio.timeout(deadline_seconds + _END_SECONDS):
                for worker in self._workers:
                    await worker.ask(Drain(deadline_seconds))
                deadline = self._clock.monotonic() + deadline_seconds
                while left := sum(counted.open for counted in await self._ask_counts()):
                    if self._clock.monotonic() >= deadline:
                        break
                    await self._clock.sleep(_POLL_SECONDS)
        except (PlaneUnavailable, TimeoutError) as error:
            _log.warning("the relay could not be drained", reason=str(error))
        return left

    async def _adopt(self) -> None:
        """Go on with the workers of an NLB before us, as far as they are still wanted."""
        for file in self._folder.glob("*.pid"):
            if file.stem.isdecimal() and int(file.stem) >= len(self._workers):
                relay_worker(self._folder, int(file.stem), shared_ports=False, clock=self._clock).retire()
        addresses: set[HostPort] = set()
        for worker in self._workers:
            if await worker.adopt():
                try:
                    answer = await worker.ask(Count())
                except PlaneUnavailable as error:
                    _log.warning("relay worker replaced", reason=str(error))
                    worker.kill()
                    continue
                addresses.update(answer.addresses if isinstance(answer, Counted) else ())
        self._addresses = frozenset(addresses)
        self._adopted = any(worker.pid for worker in self._workers)
        if self._adopted:
            self._watch_all()

    async def _start(self) -> None:
        """Have all workers run, and each one watched. Raises PlaneUnavailable."""
        for worker in self._workers:
            if worker.pid is None:
                await worker.start()
        self._watch_all()

    def _watch_all(self) -> None:
        if not self._watches:
            trim = every(_TRIM_SECONDS, self._trim, clock=self._clock, name="relay logs")
            loops = [trim, *(self._watch(index) for index in range(len(self._workers)))]
            self._watches = [self._group.create_task(loop) for loop in loops]

    async def _watch(self, index: int) -> None:
        worker, attempt = self._workers[index], 0
        while True:
            await worker.ended()
            try:
                async with self._turn:
                    if worker.pid is None:
                        await worker.start()
                    if self._sent:
                        await self._tell(worker, self._sent[index])
            except (PlaneRefused, PlaneUnavailable) as error:
                _log.error("relay worker not in force again", reason=str(error))
                worker.kill()
                await self._clock.sleep(_RESTART.delay(attempt, random.random()))  # noqa: S311 - spreads load only
                attempt += 1
            else:
                attempt = 0

    async def _tell(self, worker: RelayWorker, part: Forwarding) -> None:
        told = Apply(part, self._drain_seconds)
        match await once_ports_are_free(lambda: worker.ask(told), self._clock, every=_POLL_SECONDS):
            case Done():
                return
            case Refused(reason):
                raise PlaneRefused(reason)
            case other:
                raise PlaneUnavailable(f"the relay worker answered {other.kind}")

    async def _go_back(self, before: Sequence[Forwarding]) -> None:
        for worker, part in zip(self._workers, before, strict=True):
            try:
                await self._tell(worker, part)
            except (PlaneRefused, PlaneUnavailable) as error:
                _log.error("a relay worker could not be taken back", reason=str(error))

    async def _check_new(self, forwarding: Forwarding) -> None:
        """Workers that share ports would share them with anybody; so nobody must have them before."""
        if len(self._workers) == 1:
            return
        for address in _addresses(forwarding) - self._addresses:
            try:
                await until_free(address, "relay", seconds=PORT_SECONDS, clock=self._clock)
            except BindError as error:
                raise PlaneRefused(str(error)) from error

    async def _ask_counts(self) -> list[Counted]:
        answers = [await worker.ask(Count()) for worker in self._workers]
        return [answer for answer in answers if isinstance(answer, Counted)]

    async def _trim(self) -> None:
        for worker in self._workers:
            await worker.log.trim()

    async def _end(self, *, keep: bool) -> None:
        """End the workers; `keep`: we fail with what another NLB began, which goes on, as if we had been killed."""
        for worker in self._workers:
            if keep:
                worker.let_go()
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(worker.end(_END_SECONDS))


def _addresses(forwarding: Forwarding) -> frozenset[HostPort]:
    listeners = (plan.listener for plan in forwarding.plan.listeners)
    return frozenset(HostPort(listener.host, listener.port) for listener in listeners)
