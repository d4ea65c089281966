"""One Envoy at a time, from its spawn or adoption to its end. Knows no restarts: the supervisor decides those."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psutil

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.adopt import adopt
from marchproxy.engines.envoy.handle import ProcessHandle
from marchproxy.engines.envoy.launch import Launcher
from marchproxy.engines.envoy.restart import LastExit
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_LAUNCH_SECONDS = 10.0  # from the spawn to the first admin answer; usually 50 ms
_POLL_SECONDS = 0.02
ANSWER = "an answer of its admin API"


class EnvoyLife:
    """The running Envoy, if any, and what is asked of it directly."""

    def __init__(self, launcher: Launcher, admin: EnvoyAdmin, clock: Clock) -> None:
        self._launcher = launcher
        self._admin = admin
        self._clock = clock
        self._handle: ProcessHandle | None = None
        self._usage: psutil.Process | None = None
        self.adopted = False

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._handle.pid if self._handle else None

    def alive(self) -> bool:
        """Whether there is a process and it runs."""
        return self._handle is not None and self._handle.alive()

    async def adopt(self) -> bool:
        """Take over the Envoy found running when it is the wanted one; False with none left running."""
        self._handle = await adopt(self._launcher, self._admin)
        self.adopted = self._handle is not None
        return self.adopted

    async def launch(self) -> None:
        """Start one and wait until its admin API answers. Raises EnvoyMissing, EnvoyStartError; it may run even then."""
        self.adopted = False
        self._handle = handle = self._launcher.spawn()
        await self.until(self.admin_answers, _LAUNCH_SECONDS, ANSWER, hopeless=self._is_dead)
        self._launcher.remember(handle, self._admin.address)
        _log.info("Envoy started", pid=handle.pid, admin=str(self._admin.address))

    async def ended(self) -> LastExit:
        """Wait for its end and let go of it; at once when there is none."""
        if self._handle is None:
            return LastExit()
        ended, pid = await self._handle.exited(), self._handle.pid
        self.let_go()
        _log.error("Envoy died", pid=pid, exit=str(ended), log=self._launcher.log.tail())
        return ended

    async def terminate(self, deadline_seconds: float) -> LastExit | None:
        """SIGTERM, then SIGKILL at the deadline; how it ended, None when there was none."""
        return None if self._handle is None else await self._handle.terminate(deadline_seconds)

    def kill(self) -> None:
        """SIGKILL it, wait for that without the event loop, and reap it."""
        if self._handle is not None:
            self._handle.kill_now()

    def let_go(self) -> None:
        """Forget the process, which goes on if it runs."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def usage(self) -> tuple[float, float]:
        """Return (CPU in percent of one core since the last call, resident memory in MB); zeros when not running."""
        if self._handle is None:
            return 0.0, 0.0
        try:
            if self._usage is None or self._usage.pid != self._handle.pid:
                self._usage = psutil.Process(self._handle.pid)
            with self._usage.oneshot():
                return self._usage.cpu_percent(), self._usage.memory_info().rss / 1e6
        except psutil.NoSuchProcess:
            return 0.0, 0.0

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

    def _is_dead(self) -> bool:
        return not self.alive()

    async def _exit(self) -> LastExit | str:
        return "not running" if self._handle is None else await self._handle.exited()
