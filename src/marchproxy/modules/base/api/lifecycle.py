"""GetStatus, Reload, Shutdown."""

import asyncio

from marchproxy.contract.convert import HEALTH, instance_to_pb, moment_to_pb
from marchproxy.contract.pb import module_pb2
from marchproxy.kit.grpc.calls import Context
from marchproxy.kit.logs import get_logger
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.modules.base.api import reports
from marchproxy.modules.base.api.parts import Api
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.base.running import Running

_RELOAD_SECONDS = 10.0
_log = get_logger(__name__)


class LifecycleApi(Api):
    """The life of the instance."""

    async def GetStatus(
        self, request: module_pb2.GetStatusRequest, _: Context
    ) -> module_pb2.GetStatusResponse:
        """Health from what is known already: nothing is asked, so this always answers at once."""
        parts = self._parts
        parts.expect(request.instance_id)
        health = reports.health(parts)
        running, seen, checksum = parts.core.running, parts.sampler.last, parts.core.checksum
        answer = parts.status.recall(health, running, seen, checksum)
        if answer is None:
            answer = self._status(health, running)
            parts.status.answer, parts.status.rests_on = answer, (health, running, seen, checksum)
        return answer

    def _status(self, health: EngineHealth, running: Running) -> module_pb2.GetStatusResponse:
        parts = self._parts
        details = {
            **health.checks,
            "routes": str(len(running.desired.routes)),
            "pools": str(len(running.desired.pools)),
            "rate_limits": str(len(running.desired.rate_limits)),
            "config_modified": "true" if running.modified else "false",
        }
        return module_pb2.GetStatusResponse(
            instance=instance_to_pb(reports.instance(parts, health)),
            status=HEALTH.to_pb(health.status),
            message=health.message,
            last_updated=moment_to_pb(parts.status.held_since(health.status, parts.clock.now())),
            details=details,
        )

    async def Reload(self, request: module_pb2.ReloadRequest, _: Context) -> module_pb2.ReloadResponse:
        """Read the configuration again and run it; no connection is touched.

        Graceful: then a new process of the engine takes over, and the old one may finish what is open until the timeout.
        """
        self._parts.expect(request.instance_id)
        seconds = float(request.timeout_seconds) if request.timeout_seconds > 0 else None
        work = self._renew(seconds) if request.graceful else self._reload(seconds or _RELOAD_SECONDS)
        return await self._parts.answer(module_pb2.ReloadResponse, work)

    async def _reload(self, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                return await self._parts.control.reload()
        except TimeoutError:
            raise Refused(RefusalCode.UNAVAILABLE, f"not reloaded within {seconds:g} s") from None

    async def _renew(self, finish_seconds: float | None) -> str:
        reloaded = await self._reload(_RELOAD_SECONDS)
        return f"{reloaded}; {await self._parts.core.engine.renew(finish_seconds)}"

    async def Shutdown(self, request: module_pb2.ShutdownRequest, _: Context) -> module_pb2.ShutdownResponse:
        """Leave the NLBs, drain (graceful) up to the deadline, stop. Answers at once; the process ends by itself."""
        control = self._parts.control
        self._parts.expect(request.instance_id)
        if request.timeout_seconds > 0:
            control.drain_seconds = float(request.timeout_seconds)
        if not request.graceful:
            control.drain_seconds = 0.0
        _log.info("shutdown asked for", graceful=request.graceful, drain_seconds=control.drain_seconds)
        control.stop.set()
        message = f"draining for up to {control.drain_seconds:g} s, then stopping"
        return module_pb2.ShutdownResponse(success=True, message=message if request.graceful else "stopping")
