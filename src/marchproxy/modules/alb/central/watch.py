"""Watch: what an Envoy says of its central xDS server: whether it is connected, and which document it has from there."""

import asyncio
import re
from contextlib import suppress
from dataclasses import replace

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.bootstrap import XDS_CLUSTER
from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.module import HealthStatus
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.resources.build import ROUTE_CONFIGURATION
from marchproxy.modules.http.resources.connection_manager import STAT_PREFIX

_log = get_logger(__name__)
# the first says only that a stream was asked for, which may still wait for a connection
_CONNECTED = ("control_plane.connected_state", f"cluster.{XDS_CLUSTER}.upstream_rq_active")
_VERSION = f"http.{STAT_PREFIX}.rds.{ROUTE_CONFIGURATION}.version_text"
_PATTERN = f"^({'|'.join(map(re.escape, (*_CONNECTED, _VERSION)))})$"
# Envoy looks through all its statistics for these, so it is asked often only while something is awaited
_OFTEN_SECONDS = 0.25
_SELDOM_SECONDS = 2.0
_AWAITED_SECONDS = 30.0
_CHECK = "xds_server"


class CentralWatch:
    """`connected` and `checksum` are as at the last look. A server that is away leaves Envoy with what it has."""

    def __init__(self, admin: EnvoyAdmin, server: str, *, clock: Clock) -> None:
        self._admin = admin
        self._clock = clock
        self._awaited_until = clock.monotonic() + _AWAITED_SECONDS
        self._soon = asyncio.Event()
        self.server = server
        self.connected = False
        self.checksum = ""
        self.has_routes = False

    def hurry(self) -> None:
        """Something new is on its way: look often for a while."""
        self._awaited_until = self._clock.monotonic() + _AWAITED_SECONDS
        self._soon.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            self._soon.clear()
            if not self.has_routes or self._clock.monotonic() < self._awaited_until:
                await self._clock.sleep(_OFTEN_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_SELDOM_SECONDS):
                    await self._soon.wait()

    async def look(self) -> None:
        """Ask Envoy once. One that does not answer changes nothing: its supervisor knows better why."""
        try:
            stats = await self._admin.stats(_PATTERN)
        except AdminError:
            return
        connected, version = all(map(stats.gauge, _CONNECTED)), stats.texts.get(_VERSION, "")
        if connected != self.connected:
            words = "connected to the central xDS server" if connected else "the central xDS server is away"
            _log.info(words, server=self.server)
        self.connected, self.has_routes = connected, bool(version)
        self.checksum = version.partition(".")[2]

    @property
    def words(self) -> str:
        """The server, as it is called in messages."""
        return f"the central xDS server {self.server}"

    def judge(self, found: EngineHealth) -> EngineHealth:
        """The health of an Envoy as that of one which is served: starting before it was given something, degraded while
        nobody would give it more."""
        if not self.has_routes and found.status in {HealthStatus.HEALTHY, HealthStatus.DEGRADED}:
            words = f"waits for routes from {self.words}"
            return EngineHealth(HealthStatus.STARTING, words, {**found.checks, _CHECK: words})
        if not self.connected:
            return found.but(_CHECK, f"{self.words} is away; what it gave last is served")
        return replace(found, checks={**found.checks, _CHECK: "ok"})
