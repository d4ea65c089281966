"""Applier: brings the data plane to what the world asks for, one plan at a time; of several changes the last counts."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import comes
from marchproxy.model.plan import VersionTargets
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.nlb.dataplane.plane import DataPlane, Forwarding, PlaneRefused, PlaneUnavailable
from marchproxy.nlb.service.gauges import NlbGauges

_log = get_logger(__name__)
_MOST_NAMES = 8  # in a line of the log
_RETRY = Backoff(initial=0.2, maximum=10.0)


class Applier:
    """The only caller of the data plane's `apply`."""

    def __init__(
        self,
        plane: DataPlane,
        wanted: Callable[[], Forwarding],
        *,
        remember: Callable[[], Awaitable[None]],
        clock: Clock,
        gauges: NlbGauges,
    ) -> None:
        """`remember` is awaited before a new plan is applied: an NLB that crashes must know whom it forwarded to."""
        self.forwarding = Forwarding()
        self.fault = ""
        self._plane = plane
        self._wanted = wanted
        self._remember = remember
        self._clock = clock
        self._gauges = gauges
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._progress = asyncio.Condition()
        self._asked = self._reached = 0
        self._fresh = True

    def wake(self) -> None:
        """Something changed: look again at what is wanted."""
        self._asked += 1
        self._changed.set()

    async def settled(self, timeout: float) -> bool:
        """Wait until everything that was wanted at the call is in force; False after `timeout` seconds."""
        goal = self._asked
        try:
            async with asyncio.timeout(timeout), self._progress:
                await self._progress.wait_for(lambda: self._reached >= goal)
        except TimeoutError:
            return False
        return True

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[Callable[[Forwarding], Awaitable[None]]]:
        """Hold the data plane and get a function that applies a forwarding of one's own.

        The function raises PlaneRefused and PlaneUnavailable; commit what the forwarding came from inside the block.
        Even the same forwarding is applied again: files that it names, such as certificates, may be others now.
        """
        async with self._turn:
            self._fresh = True
            yield self._apply

    async def apply_wanted(self) -> None:
        """Apply what is wanted now. Raises PlaneRefused, PlaneUnavailable."""
        async with self._turn:
            goal = self._asked
            wanted = self._wanted()
            if wanted != self.forwarding:
                await self._remember()
            await self._apply(wanted)
            self._reached = goal
        async with self._progress:
            self._progress.notify_all()

    async def run(self) -> None:
        """Follow changes until cancelled; what fails is tried again, less and less often."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            attempt = 0
            while not await self._attempt():
                await self._pause(_RETRY.delay(attempt, random.random()))  # noqa: S311 - spreads load only
                attempt += 1

    async def _attempt(self) -> bool:
        try:
            await self.apply_wanted()
        except (PlaneRefused, PlaneUnavailable) as error:
            if self.fault != str(error):
                _log.error("plan not in force; the last good one stays", reason=str(error))
            self.fault = str(error)
            return False
        self.fault = ""
        return True

    async def _pause(self, seconds: float) -> None:
        await comes(self._changed, within=seconds)

    async def _apply(self, forwarding: Forwarding) -> None:
        if forwarding == self.forwarding and not self._fresh:
            return
        started = self._clock.monotonic()
        try:
            await self._plane.apply(forwarding)
        except PlaneRefused:
            self._gauges.applied("refused", self._clock.monotonic() - started)
            raise
        except PlaneUnavailable:
            self._gauges.applied("unavailable", self._clock.monotonic() - started)
            raise
        self._gauges.applied("ok", self._clock.monotonic() - started)
        self.forwarding, self._fresh = forwarding, False
        _log.info("plan in force", **_in_words(forwarding))


async def carry(apply: Callable[[Forwarding], Awaitable[None]], forwarding: Forwarding) -> None:
    """Apply it on behalf of a caller. Raises Refused where the data plane refuses it or cannot be reached."""
    try:
        await apply(forwarding)
    except PlaneRefused as error:
        raise Refused(RefusalCode.INVALID_ARGUMENT, str(error)) from error
    except PlaneUnavailable as error:
        raise Refused(RefusalCode.UNAVAILABLE, str(error)) from error


def _in_words(forwarding: Forwarding) -> dict[str, str]:
    return {
        plan.listener.name: ", ".join(
            f"{version.version} {version.weight}: {_names(version)}" for version in plan.versions
        )
        or "nobody"
        for plan in forwarding.plan.listeners
    }


def _names(version: VersionTargets) -> str:
    first = "+".join(target.instance_id for target in version.targets[:_MOST_NAMES])
    others = len(version.targets) - _MOST_NAMES
    return f"{first} and {others} more" if others > 0 else first
