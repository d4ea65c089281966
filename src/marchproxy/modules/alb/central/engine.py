"""The engine of an ALB whose Envoy is programmed by a central xDS server."""

from marchproxy.engines.envoy.process import EnvoyProcess
from marchproxy.kit.clock import Clock
from marchproxy.modules.alb.central.told import Told
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.certificates import Certificates
from marchproxy.modules.http.engine import HttpEngine, HttpInstance


class CentralEngine(HttpEngine):
    """Serves what its Envoy is given, and says which document that is."""

    def __init__(
        self,
        instance: HttpInstance,
        envoy: EnvoyProcess,
        told: Told,
        *,
        certificates: Certificates,
        clock: Clock,
    ) -> None:
        super().__init__(instance, envoy, told, certificates=certificates, clock=clock)
        self._watch = told.watch
        self._judged: tuple[EngineHealth, bool, bool, EngineHealth] | None = None

    @property
    def governor(self) -> str:
        """The central server."""
        return self._watch.words

    @property
    def checksum(self) -> str:
        """Of the document whose routes Envoy has, as the central server said with them."""
        return self._watch.checksum

    def health(self) -> EngineHealth:
        """As that of any ALB; starting until Envoy has been given something, degraded while nobody gives it more."""
        found, watch = super().health(), self._watch
        known = self._judged
        # of the same health the same object, because others compare them by identity
        if known is None or known[0] is not found or known[1:3] != (watch.connected, watch.has_routes):
            known = self._judged = (found, watch.connected, watch.has_routes, watch.judge(found))
        return known[3]

    async def check(self) -> EngineHealth:
        """Ask Envoy, about the central server too."""
        await self._watch.look()
        return self._watch.judge(await super().check())
