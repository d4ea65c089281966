"""Supervises one Envoy: adopts or starts it, starts it again when it dies, drains it, stops it.

Envoy runs in its own session and outlives a supervisor that crashes; the next one adopts it by its pid file. A clean
stop ends it.
"""

import asyncio
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.engines.envoy.drain import Busy, drain_connections
from marchproxy.engines.envoy.launch import EnvoyStartError, Launcher
from marchproxy.engines.envoy.life import ANSWER, EnvoyLife
from marchproxy.engines.envoy.restart import (
    AdminAnswered,
    DrainStarted,
    EnvoyState,
    Event,
    Exited,
    LastExit,
    RestartAfter,
    RestartPolicy,
    Spawned,
    StopRequested,
    Supervision,
    step,
)
from marchproxy.engines.envoy.settings import EnvoySettings
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import every

__all__ = [
    "EnvoyProcess",
    "EnvoySettings",
    "EnvoyStartError",
    "EnvoyState",
    "EnvoyStatus",
    "LastExit",
    "RestartPolicy",
]

_log = get_logger(__name__)
_TRIM_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class EnvoyStatus:
    """A supervised Envoy at one moment. `since` is when `state` was entered; `restarts` counts from our start."""

    pid: int | None
    state: EnvoyState
    restarts: int
    adopted: bool
    since: datetime
    last_exit: LastExit | None


class EnvoyProcess:
    """One supervised Envoy.

    `async with EnvoyProcess(...) as envoy:` starts it, supervises it in a task group of its own, and stops it at the
    end of the block, so that no task escapes; exceptions of the block pass through unwrapped. Inside a service's task
    group, `group.create_task(envoy.run(stop))` does the same until the event `stop` is set. Call `start` before, when
    its errors shall be raised in your own task. After `release` the end of the block leaves Envoy running.
    """

    def __init__(
        self, settings: EnvoySettings, *, bootstrap: bytes, clock: Clock, policy: RestartPolicy | None = None
    ) -> None:
        self._launcher = Launcher(settings, bootstrap)
        self._directory = self._launcher.directory
        self._clock = clock
        self._policy = policy or RestartPolicy()
        self._admin = EnvoyAdmin(settings.admin)
        self._life = EnvoyLife(self._launcher, self._admin, clock)
        self._known = Supervision(since=clock.monotonic())
        self._group = asyncio.TaskGroup()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._ending = asyncio.Lock()

    @property
    def admin(self) -> EnvoyAdmin:
        """Its admin API; the same object over restarts."""
        return self._admin

    @property
    def state(self) -> EnvoyState:
        """What it is doing now; `status` tells more."""
        return self._known.state

    def status(self) -> EnvoyStatus:
        """Return what is known now."""
        age = timedelta(seconds=self._clock.monotonic() - self._known.since)
        return EnvoyStatus(
            pid=self._life.pid,
            state=self._known.state,
            restarts=self._known.restarts,
            adopted=self._life.adopted,
            since=self._clock.now() - age,
            last_exit=self._known.last_exit,
        )

    def usage(self) -> tuple[float, float]:
        """Return (CPU in percent of one core since the last call, resident memory in MB); zeros when not running."""
        return self._life.usage()

    async def start(self) -> None:
        """Adopt the Envoy of the run directory, or start one and wait for its admin API; started already: nothing.

        Raises EnvoyMissing and EnvoyStartError; then nothing of it is left running.
        """
        if self._directory.held:
            return
        self._directory.acquire()
        try:
            if await self._life.adopt():
                self._apply(Spawned(adopted=True))
            else:
                await self._launch()
        except BaseException:
            self._abandon()
            await self._admin.close()
            raise

    async def wait_admin(self, timeout: float) -> None:
        """Wait until the admin API answers, over restarts. Raises EnvoyStartError after `timeout` seconds."""
        await self._life.until(self._life.admin_answers, timeout, ANSWER, hopeless=self._hopeless)

    async def wait_ready(self, timeout: float) -> None:
        """Wait until Envoy is LIVE, over restarts; with xDS that takes the first CDS and LDS answers.

        Raises EnvoyStartError after `timeout` seconds.
        """
        await self._life.until(self._life.is_ready, timeout, "becoming ready", hopeless=self._hopeless)

    async def drain(self, deadline_seconds: float, *, busy: Busy = EnvoyAdmin.connections) -> int:
        """Fail health checks, ask clients to go, wait for the last connection; return how many are left at the deadline.

        `busy` counts something else than connections where those need not all end.
        New connections are accepted until `drain_seconds` of the settings have passed, since balancers in front need
        time to notice. An Envoy that dies meanwhile is not started again. Raises AdminError when it cannot be asked.
        """
        self._apply(DrainStarted())
        try:
            return await drain_connections(self._admin, self._clock, deadline_seconds, busy=busy)
        except AdminError:
            if self._life.alive():
                raise
            return 0  # its connections went with it

    async def stop(self, deadline_seconds: float = 5.0) -> None:
        """SIGTERM, then SIGKILL at the deadline; return when it is gone and reaped. May be called again, and cancelled."""
        async with self._ending:
            if not self._directory.held:
                return
            self._end_watch()
            try:
                ended = await self._life.terminate(deadline_seconds)
                if ended is not None:
                    self._apply(Exited(ended))
            finally:
                self._abandon()
                await self._admin.close()

    async def release(self) -> None:
        """Stop supervising and leave Envoy running, to be adopted by the next supervisor of its run directory."""
        async with self._ending:
            self._end_watch()
            self._life.let_go()
            self._directory.release()
            await self._admin.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Start, supervise until `stop` is set, and stop. Raises what `start` raises."""
        async with self:
            await stop.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        trim = every(_TRIM_SECONDS, self._launcher.log.trim, clock=self._clock, name="envoy-log")
        self._tasks = (
            self._group.create_task(self._watch(), name="envoy-watch"),
            self._group.create_task(trim, name="envoy-log"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            # the group sees only cancellation, which it must tell from its own; anything else would come out wrapped
            if isinstance(error, asyncio.CancelledError):
                await self._group.__aexit__(kind, error, trace)
            else:
                await self._group.__aexit__(None, None, None)

    async def _watch(self) -> None:
        ended = await self._life.ended()
        while commands := self._apply(Exited(ended, roll=random.random())):  # noqa: S311 - spreads restarts
            ended = await self._relaunch(*commands)

    async def _relaunch(self, after: RestartAfter) -> LastExit:
        await self._clock.sleep(after.seconds)
        if self._known.state is not EnvoyState.BACKOFF:
            return LastExit()  # a drain began meanwhile
        try:
            await self._launch()
        except (EnvoyMissing, EnvoyStartError) as error:
            _log.error("Envoy did not start again", reason=str(error))
            self._life.kill()  # one that runs but does not answer
        return await self._life.ended()

    async def _launch(self) -> None:
        self._apply(Spawned())  # before the attempt: one that fails is a quick death too
        await self._life.launch()
        self._apply(AdminAnswered())

    def _hopeless(self) -> bool:
        # nobody starts it again: it was never supervised, or no longer is
        return not self._life.alive() and (not self._tasks or self._known.state is EnvoyState.STOPPED)

    def _apply(self, event: Event) -> tuple[RestartAfter, ...]:
        self._known, commands = step(self._known, event, self._clock.monotonic(), self._policy)
        return commands

    def _end_watch(self) -> None:
        self._apply(StopRequested())
        for task in self._tasks:
            task.cancel()
        self._tasks = ()

    def _abandon(self) -> None:
        self._apply(StopRequested())
        self._life.kill()
        self._life.let_go()
        self._directory.forget()
        self._directory.release()
