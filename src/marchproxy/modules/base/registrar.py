"""Registrar: keeps an instance registered with one NLB, for as long as it runs.

Register, then a heartbeat every interval. An NLB that does not know the registration (it was restarted) is registered
with again at once; one that does not answer is asked again with growing pauses. Traffic does not depend on it.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from marchproxy.contract.pb import nlb_pb2, nlb_pb2_grpc
from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.grpc import ChannelPool, CircuitOpen
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import comes
from marchproxy.model.route import Route

_CALL_SECONDS = 5.0
_UNREGISTER_MARGIN = 5.0
_log = get_logger(__name__)

#: What calling an NLB that is not there may raise.
CALL_ERRORS = (grpc.aio.AioRpcError, CircuitOpen)


class Reporter(Protocol):
    """What the instance says of itself."""

    def registration(self) -> nlb_pb2.RegisterModuleRequest:
        """The instance as it is now, its routes included."""
        ...

    def heartbeat(self, registration_id: str) -> nlb_pb2.HeartbeatRequest:
        """Its health and counts as they are now."""
        ...

    def announced(self) -> tuple[Route, ...]:
        """The routes that NLBs are told of, as they are now."""
        ...

    def routing(self, told: Sequence[Route] | None) -> nlb_pb2.UpdateRoutingRequest | None:
        """What an NLB has to be told that was told these routes last; None: nothing. `told` None: all of them."""
        ...


@dataclass(frozen=True, slots=True)
class Advice:
    """What an NLB answered to a heartbeat, as far as the module acts on it."""

    nlb: str
    should_reload: bool
    wanted_checksum: str


class Registrar:
    """One instance, one NLB."""

    def __init__(
        self,
        nlb: str,
        reporter: Reporter,
        pool: ChannelPool,
        *,
        clock: Clock,
        interval: float,
        on_advice: Callable[[Advice], Awaitable[None]] | None = None,
    ) -> None:
        self.nlb = nlb
        self._reporter = reporter
        self._pool = pool
        self._clock = clock
        self._interval = interval
        self._on_advice = on_advice
        self._backoff = Backoff(initial=min(0.2, interval / 2), maximum=min(interval / 2, 5.0))
        self._routes_changed = asyncio.Event()
        self._registration_id = ""
        self._told: tuple[Route, ...] | None = None  # the routes that it surely has of us; None: nobody knows
        self._reported = ""
        self._wanted = ""
        self.instances = 0
        """How many instances of our type take traffic there, as it was told last; 0: never told."""
        self.on_instances: Callable[[], None] = lambda: None
        """Called when that has changed; must not block."""

    @property
    def registered(self) -> bool:
        """Whether the NLB has acknowledged the instance, at the last contact."""
        return bool(self._registration_id)

    def hurry(self) -> None:
        """Tell the NLB of new routes, and how the instance is, now and not with the next beat."""
        self._routes_changed.set()

    async def run(self) -> None:
        """Register and keep registered, until cancelled."""
        failures = 0
        while True:
            try:
                await (self._beat() if self.registered else self._register())
                failures = 0 if self.registered else failures + 1
            except CALL_ERRORS as error:
                failures += 1
                self._report("no answer", _words(error))
            if failures:
                await self._clock.sleep(self._pause(failures))
            else:
                await self._until_due()

    def _pause(self, failures: int) -> float:
        return self._backoff.delay(failures, random.random())  # noqa: S311 - spreads load, guards nothing

    async def unregister(self, drain_seconds: float) -> None:
        """Leave; the NLB sends nothing new and waits up to `drain_seconds` for what is open. An absent NLB is logged."""
        if not self.registered:
            return
        request = nlb_pb2.UnregisterModuleRequest(
            instance_id=self._reporter.registration().instance.instance_id,
            registration_id=self._registration_id,
            graceful=drain_seconds > 0,
            drain_timeout_seconds=math.ceil(drain_seconds),
        )
        self._registration_id = ""
        try:
            answer = await self._call("UnregisterModule", request, _UNREGISTER_MARGIN + drain_seconds)
            _log.info("left the NLB", nlb=self.nlb, message=answer.message)
        except CALL_ERRORS as error:
            _log.warning("could not leave the NLB; it will notice", nlb=self.nlb, reason=_words(error))

    async def _register(self) -> None:
        announced = self._reporter.announced()
        answer = await self._call("RegisterModule", self._reporter.registration())
        if answer.success:
            self._registration_id = answer.registration_id
            self._told = announced
            self._heard_of(answer.instances_of_type)
            self._report("registered")
        else:
            self._report(f"refused: {answer.message}")

    async def _beat(self) -> None:
        if self._routes_changed.is_set():
            await self._send_routes()
        answer = await self._call("Heartbeat", self._reporter.heartbeat(self._registration_id))
        if not answer.acknowledged:
            self._registration_id = ""
            self._report(f"unknown there, registering again: {answer.message}")
            await self._register()
            return
        self._heard_of(answer.instances_of_type)
        self._note_scaling(answer)
        if self._on_advice is not None and answer.should_reload:
            wanted = answer.instructions.get("config_checksum", "")
            await self._on_advice(Advice(self.nlb, should_reload=True, wanted_checksum=wanted))

    def _heard_of(self, instances: int) -> None:
        """An older NLB tells nothing, and what one said that is gone still holds."""
        if instances > 0 and instances != self.instances:
            self.instances = instances
            self.on_instances()

    def _note_scaling(self, answer: nlb_pb2.HeartbeatResponse) -> None:
        """Every instance is told how many are wanted, but one launcher is asked for them: to act here as well would be twice."""
        wanted = answer.instructions.get("instances", "") if answer.should_scale else ""
        if wanted and wanted != self._wanted:
            _log.info("the NLB wants another number of instances", nlb=self.nlb, instances=wanted)
        self._wanted = wanted

    async def _send_routes(self) -> None:
        self._routes_changed.clear()
        announced, request = self._reporter.announced(), self._reporter.routing(self._told)
        if request is None:
            return
        self._told = None
        try:
            answer = await self._call("UpdateRouting", request)
        except CALL_ERRORS:
            self._routes_changed.set()  # the next beat sends them
            raise
        if answer.success:
            self._told = announced
        else:
            _log.warning("the NLB refused the routes", nlb=self.nlb, reason=answer.message)

    async def _until_due(self) -> None:
        """Until the next beat is due, or routes have changed."""
        await comes(self._routes_changed, within=self._interval)

    async def _call(self, method: str, request: Any, timeout: float = _CALL_SECONDS) -> Any:
        return await self._pool.call(
            self.nlb,
            nlb_pb2_grpc.NLBServiceStub,
            lambda stub, left: getattr(stub, method)(request, timeout=left),
            timeout=timeout,
        )

    def _report(self, state: str, reason: str = "") -> None:
        """Log a change once, not every beat; why nobody answers is told in words that take turns."""
        if state != self._reported:
            self._reported = state
            _log.info("NLB registration", nlb=self.nlb, state=state, reason=reason)


def _words(error: BaseException) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error)
