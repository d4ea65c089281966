"""The Envoys of one run directory: the one that serves, from its start or adoption to its end, and one that finishes.

Knows no restarts of the dead: the supervisor decides those.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from marchproxy.engines.envoy import handover
from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.adopt import adopt
from marchproxy.engines.envoy.consumption import Consumption, Usage
from marchproxy.engines.envoy.launch import EnvoyStartError, Launched, Launcher
from marchproxy.engines.envoy.pidfile import PidRecord
from marchproxy.engines.envoy.restart import LastExit
from marchproxy.engines.envoy.retired import Retired
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort

_log = get_logger(__name__)
_LAUNCH_SECONDS = 10.0  # from the spawn to the first admin answer; usually 50 ms
_POLL_SECONDS = 0.02
_ENDING_SECONDS = 1.0
ANSWER = "an answer of its admin API"


class EnvoyLife:
    """The running Envoys, if any, and what is asked of them directly."""

    def __init__(self, launcher: Launcher, admin: EnvoyAdmin, clock: Clock) -> None:
        self._launcher = launcher
        self._admin = admin
        self._clock = clock
        self._serving: Launched | None = None
        self._last: PidRecord | None = None
        self._consumption = Consumption()
        self._replaced = asyncio.Event()
        self._stillborn: LastExit | None = None
        self.retired: Retired | None = None
        self.adopted = False
        self.deaf = False
        self.last_words = ""

    @property
    def record(self) -> PidRecord | None:
        """What is known of the Envoy that serves, while there is one."""
        return self._serving.record if self._serving else None

    @property
    def pid(self) -> int | None:
        """The process that serves, while there is one."""
        return self._serving.handle.pid if self._serving else None

    def alive(self) -> bool:
        """Whether there is a process that serves and it runs."""
        return self._serving is not None and self._serving.handle.alive()

    async def is_ending(self) -> bool:
        """Whether none serves, or the one that does ends within a moment: its sockets close before it is gone."""
        serving = self._serving
        if serving is None:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):
                await serving.handle.exited()
                return True
        return False

    async def adopt(self) -> bool:
        """Take over the Envoy found running when one can be gone on with; False with none left that serves."""
        found = await adopt(self._launcher, self._admin)
        self._serve(found.serving)
        if found.retired is not None:
            self.retired = self._retired(found.retired, None, self._launcher.handover_seconds)
        self.adopted, self.deaf = found.serving is not None, found.deaf
        return self.adopted

    async def launch(self) -> None:
        """Start one and wait until its admin API answers. Raises EnvoyMissing, EnvoyStartError; it may run even then."""
        self.adopted = self.deaf = False
        try:
            launched = self._launcher.spawn()
        except EnvoyStartError as error:
            self._stillborn = error.exit
            self.last_words = str(error).rpartition("\n")[2]
            raise
        self._serve(launched)
        await self.until(self.admin_answers, _LAUNCH_SECONDS, ANSWER, hopeless=self._is_dead)
        self._launcher.remember(launched, self._admin.address)
        _log.info("Envoy started", pid=launched.record.pid, admin=str(self._admin.address))

    async def hand_over(self, finish_seconds: float) -> None:
        """Replace the one that serves without a cut. Raises HandOverFailed: it serves on, and may be `deaf`."""
        old = self._serving
        if old is None:
            raise handover.HandOverFailed("no Envoy runs that could hand over")
        watcher = await self._watcher()
        try:
            successor, address = await handover.hand_over(self._launcher, old, self._clock, finish_seconds)
        except BaseException as error:
            await watcher.close()
            if isinstance(error, handover.HandOverFailed):
                self.deaf = old.handle.alive() and await handover.is_deaf(old.record, self._admin.address)
            raise
        await self._succeed(old, successor, address, self._retired(old, watcher, finish_seconds))

    async def restore(self) -> None:
        """Give the one that serves its admin API back, by handing over to another like it. Raises HandOverFailed."""
        old = self._serving
        if old is None:
            raise handover.HandOverFailed("no Envoy runs that could hand over")
        successor, address = await handover.restore(self._launcher, old, self._clock)
        retired = self._retired(old, None, self._launcher.handover_seconds)
        await self._succeed(old, successor, address, retired)

    async def look_after_retired(self) -> None:
        """End the one that finishes when it is time."""
        retired = self.retired
        if retired is None or not await retired.look(self._launcher, self._clock.monotonic()):
            return
        if retired is self.retired:  # nobody else let go of it meanwhile, and nobody may find it while it is
            self.retired = None
            await retired.let_go()

    async def ended(self) -> LastExit:
        """Wait until the one that serves ends, and let go of it; at once when there is none."""
        while (watched := self._serving) is not None:
            ended = await self._exit_unless_replaced(watched)
            if ended is not None and watched is self._serving:
                self._serving = None
                watched.handle.close()
                tail = self._launcher.log.tail()
                self.last_words = tail.rpartition("\n")[2]
                _log.error("Envoy died", pid=watched.record.pid, exit=str(ended), log=tail)
                return ended
        stillborn, self._stillborn = self._stillborn, None
        return stillborn or LastExit()

    async def terminate(self, deadline_seconds: float) -> LastExit | None:
        """SIGTERM, then SIGKILL at the deadline; how the one that serves ended, None when there was none."""
        async with asyncio.TaskGroup() as group:
            if self.retired is not None:
                group.create_task(self.retired.end(deadline_seconds))
            if self._serving is None:
                return None
            return await self._serving.handle.terminate(deadline_seconds)

    def kill(self) -> None:
        """SIGKILL the one that serves, wait for that without the event loop, and reap it."""
        if self._serving is not None:
            self._serving.handle.kill_now()

    def kill_retired(self) -> None:
        """The same with the one that finishes."""
        if self.retired is not None:
            self.retired.kill()

    async def let_go(self) -> None:
        """Forget the processes, which go on if they run."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.handle.close()
        retired, self.retired = self.retired, None
        if retired is not None:
            await retired.let_go()

    def forget(self) -> None:
        """Remove what dead Envoys leave."""
        self._launcher.forget(self._last)

    def usage(self) -> Usage:
        """Return what all Envoys use, the one that finishes too."""
        pids = (self.pid, self.retired.pid if self.retired else None)
        return self._consumption.read(pid for pid in pids if pid is not None)

    async def admin_answers(self) -> bool:
        """Whether the admin API answers, at the address Envoy wrote down."""
        address = self._launcher.directory.read_admin()
        if address is None:
            return False
        self._admin.retarget(address)
        with suppress(AdminError):
            await self._admin.server_info()
            return True
        return False

    async def is_ready(self) -> bool:
        """Whether it is LIVE."""
        with suppress(AdminError):
            return await self._admin.ready()
        return False

    async def until(
        self, check: Callable[[], Awaitable[bool]], seconds: float, what: str, *, hopeless: Callable[[], bool]
    ) -> None:
        """Poll `check`. Raises EnvoyStartError, with the log's last lines, after `seconds` or once it is hopeless."""
        try:
            async with asyncio.timeout(seconds):
                while not await check():
                    if hopeless():
                        raise self._launcher.explain_failure(f"ended ({await self._exit()}) before {what}")
                    await self._clock.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise self._launcher.explain_failure(f"runs, but {seconds:g} s passed without {what}") from None

    async def _exit_unless_replaced(self, watched: Launched) -> LastExit | None:
        self._replaced.clear()
        async with asyncio.TaskGroup() as group:
            exited = group.create_task(watched.handle.exited())
            replaced = group.create_task(self._replaced.wait())
            await asyncio.wait({exited, replaced}, return_when=asyncio.FIRST_COMPLETED)
            ended = exited.result() if exited.done() else None
            exited.cancel()
            replaced.cancel()
        return ended

    async def _succeed(self, old: Launched, successor: Launched, address: HostPort, retired: Retired) -> None:
        if self._serving is old:
            self.retired = retired
        self._serve(successor)
        self._replaced.set()
        self.adopted = self.deaf = False
        self._admin.retarget(address)
        # a connection that was kept open would go on to answer for the old one
        await self._admin.close()
        pids = {"pid": successor.record.pid, "old_pid": old.record.pid}
        _log.info("Envoy restarted hot", epoch=successor.record.epoch, admin=str(address), **pids)

    async def _watcher(self) -> EnvoyAdmin:
        """A connection to the admin API of an Envoy that will soon take no more of them."""
        watcher = EnvoyAdmin(self._admin.address)
        with suppress(AdminError):
            await handover.epoch_of(watcher)
        return watcher

    def _retired(self, old: Launched, admin: EnvoyAdmin | None, finish_seconds: float) -> Retired:
        return Retired(old, admin, since=self._clock.monotonic(), finish_seconds=finish_seconds)

    def _serve(self, launched: Launched | None) -> None:
        self._serving = launched
        if launched is not None:
            self._last = launched.record

    def _is_dead(self) -> bool:
        return not self.alive()

    async def _exit(self) -> LastExit | str:
        return "not running" if self._serving is None else await self._serving.handle.exited()
