"""The engine of an ALB whose Envoy is programmed by a central xDS server."""

from marchproxy.engines.envoy.process import EnvoyProcess
from marchproxy.kit.clock import Clock
from marchproxy.model.module import HealthStatus
from marchproxy.modules.alb.central.told import Told
from marchproxy.modules.alb.central.watch import CentralWatch
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.certificates import Certificates
from marchproxy.modules.http.engine import HttpEngine, HttpInstance

_CHECK = "xds_server"


class CentralEngine(HttpEngine):
    """Serves what its Envoy is given, and says which document that is."""

    def __init__(
        self,
        instance: HttpInstance,
        envoy: EnvoyProcess,
        told: Told,
        watch: CentralWatch,
        *,
        certificates: Certificates,
        clock: Clock,
    ) -> None:
        super().__init__(instance, envoy, told, certificates=certificates, clock=clock)
        self._watch = watch
        self._judged: tuple[EngineHealth, bool, bool, EngineHealth] | None = None

    @property
    def governor(self) -> str:
        """The central server."""
        return f"the central xDS server {self._watch.server}"

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
            known = self._judged = (found, watch.connected, watch.has_routes, self._with_server(found))
        return known[3]

    async def check(self) -> EngineHealth:
        """Ask Envoy, about the central server too."""
        await self._watch.look()
        return self._with_server(await super().check())

    def _with_server(self, found: EngineHealth) -> EngineHealth:
        server = self._watch.server
        if not self._watch.has_routes and found.status in {HealthStatus.HEALTHY, HealthStatus.DEGRADED}:
            words = f"waits for routes from {self.governor}"
            return EngineHealth(HealthStatus.STARTING, words, {**found.checks, _CHECK: words})
        if not self._watch.connected:
            return found.but(_CHECK, f"{server} is away; what it gave last is served")
        return EngineHealth(found.status, found.message, {**found.checks, _CHECK: "ok"})
