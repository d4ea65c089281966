"""Supervises one Envoy: adopts or starts it, starts it again when it dies, replaces it hot, drains it, stops it.

Envoy runs in its own session and outlives a supervisor that crashes; the next one adopts it by its pid file. When its
binary, bootstrap or arguments are not those wanted any more, a successor takes over without a cut. A clean stop ends it.
"""

import asyncio
import random
from datetime import timedelta
from types import TracebackType
from typing import Self

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.engines.envoy.consumption import Usage
from marchproxy.engines.envoy.drain import Busy, drain_connections
from marchproxy.engines.envoy.handover import HandOverFailed
from marchproxy.engines.envoy.launch import EnvoyStartError, Launcher
from marchproxy.engines.envoy.life import ANSWER, EnvoyLife
from marchproxy.engines.envoy.renewer import Renewer
from marchproxy.engines.envoy.restart import (
    AdminAnswered,
    DrainStarted,
    EnvoyState,
    Event,
    Exited,
    HandedOver,
    LastExit,
    RestartAfter,
    RestartPolicy,
    Spawned,
    StopRequested,
    Supervision,
    is_crash_looping,
    step,
)
from marchproxy.engines.envoy.settings import EnvoySettings
from marchproxy.engines.envoy.status import EnvoyStatus, crash_loop_words
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.tasks import every

__all__ = [
    "EnvoyProcess",
    "EnvoySettings",
    "EnvoyStartError",
    "EnvoyState",
    "EnvoyStatus",
    "HandOverFailed",
    "LastExit",
    "RestartPolicy",
    "Usage",
]

_log = get_logger(__name__)
_TRIM_SECONDS = 5.0
_LOOK_SECONDS = 2.0
_POLL_SECONDS = 0.1


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
        self._renewer = Renewer(
            self._life,
            self._launcher,
            clock,
            state=lambda: self._known.state,
            handed_over=self._note_hand_over,
        )
        self._turn = self._renewer.turn

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
        now, life = self._clock.monotonic(), self._life
        return EnvoyStatus(
            pid=life.pid,
            state=self._known.state,
            restarts=self._known.restarts,
            adopted=life.adopted,
            since=self._clock.now() - timedelta(seconds=now - self._known.since),
            last_exit=self._known.last_exit,
            epoch=life.record.epoch if life.record else 0,
            hand_overs=self._known.hand_overs,
            retired_pid=life.retired.pid if life.retired else None,
            crash_loop=is_crash_looping(self._known, now, self._policy),
            trouble=self._trouble(now),
        )

    def usage(self) -> Usage:
        """Return what Envoy uses, and the one before it as long as it finishes what is open."""
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
            await self._abandon()
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
        async with self._turn:
            self._apply(DrainStarted())
        deadline = self._clock.monotonic() + deadline_seconds
        try:
            left = await drain_connections(self._admin, self._clock, deadline_seconds, busy=busy)
        except AdminError:
            if not await self._life.is_ending():
                raise
            left = 0  # its connections went with it
        return left + await self._drain_retired(deadline)

    async def hand_over(self, finish_seconds: float | None = None) -> None:
        """Replace Envoy by a successor without dropping a connection; returns once that serves.

        The old one may finish what is open for `finish_seconds` (None: as the settings say). Raises HandOverFailed: then
        the old one serves on. One at a time: Envoy would end the first of three.
        """
        await self._renewer.hand_over(finish_seconds)

    async def stop(self, deadline_seconds: float = 5.0) -> None:
        """SIGTERM, then SIGKILL at the deadline; return when it is gone and reaped. May be called again, and cancelled."""
        async with self._ending:
            if not self._directory.held:
                return
            await self._end_watch()
            try:
                async with self._turn:
                    ended = await self._life.terminate(deadline_seconds)
                if ended is not None:
                    self._apply(Exited(ended))
            finally:
                await self._abandon()
                await self._admin.close()

    async def release(self) -> None:
        """Stop supervising and leave Envoy running, to be adopted by the next supervisor of its run directory."""
        async with self._ending, self._turn:  # a hot restart is finished first
            await self._end_watch()
            await self._life.let_go()
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
        tend = every(_LOOK_SECONDS, self._renewer.tend, clock=self._clock, name="envoy-tend")
        self._tasks = (
            self._group.create_task(self._watch(), name="envoy-watch"),
            self._group.create_task(tend, name="envoy-tend"),
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
        while True:
            ended = await self._life.ended()
            async with self._turn:  # a hot restart under way is the cure, or soon over
                if self._life.alive():
                    continue
                commands = self._apply(Exited(ended, roll=random.random()))  # noqa: S311 - spreads restarts
            if not commands:
                return
            await self._relaunch(*commands)

    async def _relaunch(self, after: RestartAfter) -> None:
        await self._clock.sleep(after.seconds)
        async with self._turn:
            if self._known.state is not EnvoyState.BACKOFF:
                return  # a drain began meanwhile
            try:
                await self._launch()
            except (EnvoyMissing, EnvoyStartError) as error:
                _log.error("Envoy did not start again", reason=str(error))
                self._life.kill()  # one that runs but does not answer

    def _trouble(self, now: float) -> str:
        if is_crash_looping(self._known, now, self._policy):
            log = str(self._launcher.log.path)
            return crash_loop_words(self._known, self._policy, self._life.last_words, log)
        return self._renewer.trouble

    async def _launch(self) -> None:
        self._apply(Spawned())  # before the attempt: one that fails is a quick death too
        await self._life.launch()
        self._apply(AdminAnswered())

    def _note_hand_over(self) -> None:
        self._apply(HandedOver())

    async def _drain_retired(self, deadline: float) -> int:
        while (retired := self._life.retired) is not None and retired.connections != 0:
            if self._clock.monotonic() >= deadline:
                return retired.connections or 0
            await self._clock.sleep(_POLL_SECONDS)
        return 0

    def _hopeless(self) -> bool:
        # nobody starts it again: it was never supervised, or no longer is
        return not self._life.alive() and (not self._tasks or self._known.state is EnvoyState.STOPPED)

    def _apply(self, event: Event) -> tuple[RestartAfter, ...]:
        self._known, commands = step(self._known, event, self._clock.monotonic(), self._policy)
        return commands

    async def _end_watch(self) -> None:
        self._apply(StopRequested())
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)  # they use the handles that are closed next

    async def _abandon(self) -> None:
        self._apply(StopRequested())
        self._life.kill()
        self._life.kill_retired()
        self._life.forget()
        self._directory.release()
        await self._life.let_go()
