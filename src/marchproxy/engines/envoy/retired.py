"""An Envoy that handed over and finishes what is open: ended when nothing is, or when its time is up."""

from contextlib import suppress

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.handover import open_connections
from marchproxy.engines.envoy.launch import Launched
from marchproxy.engines.envoy.restart import LastExit
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)
_LATE_SECONDS = 5.0  # after its successor should have ended it
_END_SECONDS = 5.0
_QUIET_LOOKS = 2


class Retired:
    """The predecessor of the Envoy that serves."""

    def __init__(
        self, launched: Launched, *, since: float, finish_seconds: float, settle_seconds: float
    ) -> None:
        """`since` in the clock's monotonic seconds; in the first `settle_seconds` its connections are not known yet."""
        self.pid = launched.record.pid
        self.connections: int | None = None
        self._handle = launched.handle
        self._since = since
        self._finish_seconds = finish_seconds
        self._settle_seconds = settle_seconds
        self._quiet = 0

    def seconds_left(self, now: float) -> float:
        """How long it may go on."""
        return max(0.0, self._since + self._finish_seconds - now)

    async def look(self, successor: EnvoyAdmin, now: float) -> bool:
        """Whether it is gone; ends it when its successor's admin API says that nothing is open, or at its deadline."""
        if self._handle.alive() and not await self._has_to_go(successor, now - self._since):
            return False
        ended = await self.end(_END_SECONDS)
        _log.info("the Envoy before this one ended", pid=self.pid, exit=str(ended))
        return True

    async def end(self, seconds: float) -> LastExit:
        """SIGTERM, then SIGKILL after `seconds`; returns when it is gone and reaped."""
        return await self._handle.terminate(seconds)

    def kill(self) -> None:
        """SIGKILL it, without the event loop."""
        self._handle.kill_now()

    def let_go(self) -> None:
        """Forget it; it goes on if it runs."""
        self._handle.close()

    async def _has_to_go(self, successor: EnvoyAdmin, age: float) -> bool:
        if age > self._finish_seconds + _LATE_SECONDS:
            return True
        with suppress(AdminError):
            self.connections = await open_connections(successor)
            quiet = self.connections == 0 and age > self._settle_seconds
            self._quiet = self._quiet + 1 if quiet else 0
        return self._quiet >= _QUIET_LOOKS
