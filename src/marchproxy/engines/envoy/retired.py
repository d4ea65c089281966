"""An Envoy that handed over and finishes what is open: ended when nothing is, or when its time is up."""

import re
from contextlib import suppress

from marchproxy.engines.envoy import stand_in
from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.launch import Launched, Launcher
from marchproxy.engines.envoy.restart import LastExit
from marchproxy.engines.envoy.run_directory import Role
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_LATE_SECONDS = 5.0  # after its successor should have ended it
_END_SECONDS = 5.0
_QUIET_LOOKS = 2
_EPOCH = "server.hot_restart_epoch"
_CONNECTIONS = re.compile(r"^listener\.(?!admin\.)(?!.*\.worker_\d).*\.downstream_cx_active$")
_DATAGRAMS = re.compile(r"^listener\..*\.udp\.downstream_rx_datagram_dropped$")
_ASKED = rf"^({re.escape(_EPOCH)}|listener\..*\.(downstream_cx_active|downstream_rx_datagram_dropped))$"


class Retired:
    """The predecessor of the Envoy that serves. `connections`: still open at the last look; None when nobody knows.

    Its admin API takes no connections any more, but answers on one that was open before. Datagrams are its own as long
    as its time is not up (only then its successor reads the socket), so where it has a listener for them it is not ended
    before.
    """

    def __init__(
        self, launched: Launched, admin: EnvoyAdmin | None, *, since: float, finish_seconds: float
    ) -> None:
        """`admin` has a connection open; None: nobody has. `since` in the clock's monotonic seconds."""
        self.pid = launched.record.pid
        self.connections: int | None = None
        self._launched = launched
        self._admin = admin
        self._since = since
        self._finish_seconds = finish_seconds
        self._quiet = 0

    def seconds_left(self, now: float) -> float:
        """How long it may go on."""
        return max(0.0, self._since + self._finish_seconds - now)

    async def look(self, launcher: Launcher, now: float) -> bool:
        """Whether it is gone; ends it when nothing is open any more, or when its successor has not at its deadline."""
        handle, age = self._launched.handle, now - self._since
        if handle.alive() and not await self._has_to_go(age, launcher.drain_seconds):
            return False
        ended = await self.end(_END_SECONDS)
        stand_in.place(launcher.directory.path, self._launched.record)
        launcher.directory.forget(Role.OLD)
        _log.info("the Envoy before this one ended", pid=self.pid, exit=str(ended), seconds=round(age))
        return True

    async def end(self, seconds: float) -> LastExit:
        """SIGTERM, then SIGKILL after `seconds`; returns when it is gone and reaped."""
        return await self._launched.handle.terminate(seconds)

    def kill(self) -> None:
        """SIGKILL it, without the event loop."""
        self._launched.handle.kill_now()

    async def let_go(self) -> None:
        """Forget it; it goes on if it runs."""
        self._launched.handle.close()
        if self._admin is not None:
            await self._admin.close()

    async def _has_to_go(self, age: float, drain_seconds: float) -> bool:
        if age > self._finish_seconds + _LATE_SECONDS:
            return True
        self.connections, early = await self._ask()
        quiet = self.connections == 0 and early and age > drain_seconds
        self._quiet = self._quiet + 1 if quiet else 0
        return self._quiet >= _QUIET_LOOKS

    async def _ask(self) -> tuple[int | None, bool]:
        """How many connections are open, and whether it may end before its time."""
        if self._admin is None:
            return None, False
        with suppress(AdminError):
            stats = await self._admin.stats(_ASKED)
            if stats.gauge(_EPOCH) == self._launched.record.epoch:
                found = list(stats.under(""))
                connections = sum(value for name, value in found if _CONNECTIONS.match(name))
                return connections, not any(_DATAGRAMS.match(name) for name, _ in found)
        # the connection was lost, and the next one led to the successor
        await self._admin.close()
        self._admin = None
        return None, False
