"""The engine of a module with an HTTP Envoy, which is programmed over xDS and asked over its admin API."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin, ServerState
from marchproxy.engines.envoy.clusters import ClusterStatus
from marchproxy.engines.envoy.metrics import EnvoyMeter
from marchproxy.engines.envoy.process import EnvoyProcess, EnvoyState, HandOverFailed
from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.engines.envoy.vitals import Vitals
from marchproxy.kit.clock import Clock
from marchproxy.kit.metrics import process_usage
from marchproxy.model.choice import PoolChoice
from marchproxy.model.module import HealthStatus, ModuleType, TrafficEndpoint
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import EngineHealth, Isolate
from marchproxy.modules.base.observation import Observation, PoolSeen
from marchproxy.modules.http import rules
from marchproxy.modules.http.certificates import Certificates
from marchproxy.modules.http.choices import Asked, pool_choices
from marchproxy.modules.http.counts import ACTIVE, POOLS, WANTED, active, observation
from marchproxy.modules.http.fetches import KeyFetches
from marchproxy.modules.http.handshakes import Handshakes, TlsTrouble, handshakes, troubles
from marchproxy.modules.http.metrics import TABLE
from marchproxy.modules.http.pool_rules import pool_faults
from marchproxy.modules.http.programming import Programs
from marchproxy.modules.http.resources.build import own_routes
from marchproxy.modules.http.resources.clusters import cluster_name

_CHOICE_SECONDS = 2.0
_WARM_SECONDS = 4.0
_WARM_POLL = 0.005
_MOST_FAULTS = 5  # in one message; the checks have them all
_ENVOY_OK = {"envoy": "ok"}


@dataclass(frozen=True, slots=True)
class HttpInstance:
    """Of which kind an instance is, where it listens, and for how many seconds a draining Envoy asks clients to go."""

    module: ModuleType
    endpoints: tuple[TrafficEndpoint, ...]
    goodbye_seconds: float


class HttpEngine:
    """One Envoy as the data path of an instance."""

    def __init__(
        self,
        instance: HttpInstance,
        envoy: EnvoyProcess,
        programmer: Programs,
        *,
        certificates: Certificates,
        clock: Clock,
    ) -> None:
        self._module = instance.module
        self._clock = clock
        self._goodbye_seconds = instance.goodbye_seconds
        self._envoy = envoy
        self._programmer = programmer
        self._endpoints = instance.endpoints
        self._meter = EnvoyMeter(envoy.admin, TABLE, lambda: envoy.status().pid, clock=clock, others=WANTED)
        self._vitals = Vitals(envoy)
        self._certificates = certificates
        self._handshakes: dict[str, Handshakes] = {}
        self._fetches = KeyFetches()
        self._tls_troubles: dict[str, TlsTrouble] = {}
        self._last = Observation()
        # worked out once per look, not per question
        self._serving = self._certificates.judge(_with_pools(self._last, _ENVOY_OK))
        self._draining = False
        self._own = rules.OwnRoutes(instance.module)

    @property
    def module_type(self) -> ModuleType:
        """The kind of module that it belongs to."""
        return self._module

    def endpoints(self) -> tuple[TrafficEndpoint, ...]:
        """The plain endpoint and the one behind PROXY protocol v2, as far as they are open."""
        return self._endpoints

    def faults(self, state: DesiredState) -> Iterable[Problem]:
        """What the module cannot do of a sound state, its files of credentials and of certificates included."""
        yield from rules.faults(state, self._module)
        yield from pool_faults(state.pools, own_routes(state.routes, self._module))
        yield from self._programmer.faults(state)

    async def rehearse(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> Sequence[Problem]:
        """Ask an Envoy of its own what it would refuse."""
        return await self._programmer.rehearse(state, isolate)

    async def apply(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> Sequence[Problem]:
        """Program Envoy; returns when it acknowledged everything. Raises Refused with Envoy's own words."""
        isolated = await self._programmer.apply(state, isolate)
        self._fetches = self._fetches.of(state.authentication)
        self._meter.know(
            {
                "route": frozenset(str(route.route_id) for route in self._own.of(state).values()),
                "pool": frozenset(str(pool.name) for pool in state.pools),
            }
        )
        return isolated

    def served(self, state: DesiredState) -> DesiredState:
        """A state that was applied, as Envoy was given it: without what is set aside."""
        return self._programmer.quarantine.applied(state)

    @property
    def instances(self) -> int:
        """As an NLB said last, or before a restart; 1 when none ever did."""
        return self._programmer.instances

    def divide(self, instances: int) -> None:
        """Grant one of so many shares of each shared limit."""
        self._programmer.divide(instances)

    def can_handle(self, state: DesiredState, route: Route, context: Mapping[str, str]) -> Verdict:
        """Whether one of the module's routes takes this traffic, and which."""
        verdict = rules.answer(state, self._own.of(state), route, context, module=self._module)
        return self._programmer.quarantine.explain(verdict, state)

    async def choices(
        self, state: DesiredState, route_id: RouteId, request: Route, context: Mapping[str, str]
    ) -> Sequence[PoolChoice]:
        """The pools of the route with the endpoints that Envoy has now, found ones included."""
        own = self._own.of(state)
        route = own.get(route_id)
        if route is None or not route.backends:
            return ()
        names = "|".join(re.escape(cluster_name(backend.pool)) for backend in route.backends)
        try:
            async with asyncio.timeout(_CHOICE_SECONDS):
                clusters = await self._envoy.admin.clusters(f"^({names})$")
        except (AdminError, TimeoutError) as error:
            raise Refused(RefusalCode.UNAVAILABLE, str(error) or "Envoy does not answer") from error
        headers = {header.name.lower(): header.value for header in request.match.headers}
        asked = Asked(headers, context.get("client", ""))
        # the table of hashes may take a tenth of a second
        return await asyncio.to_thread(pool_choices, state, route, asked, clusters, own=list(own.values()))

    def health(self) -> EngineHealth:
        """The state of the Envoy process, and how many endpoints were healthy at the last look."""
        state = self._envoy.state
        if self._draining or state is EnvoyState.DRAINING:
            return EngineHealth(HealthStatus.STOPPING, "draining", {"envoy": "draining"})
        if state is not EnvoyState.RUNNING:
            words = self._envoy.status().trouble or f"Envoy is {state.value}"
            starting = state is EnvoyState.STARTING and self._envoy.status().restarts == 0
            return EngineHealth(
                HealthStatus.STARTING if starting else HealthStatus.UNHEALTHY, words, {"envoy": words}
            )
        return self._judge(self._fetches.judge(self._programmer.quarantine.judge(self._serving)))

    async def check(self) -> EngineHealth:
        """Ask Envoy whether it is live, and look at every endpoint."""
        checks: dict[str, str] = {}
        try:
            info = await self._envoy.admin.server_info()
            clusters = await self._envoy.admin.clusters(POOLS)
        except AdminError as error:
            return EngineHealth(HealthStatus.UNHEALTHY, "Envoy does not answer", {"envoy": str(error)})
        live = info.state is ServerState.LIVE
        checks["envoy"] = "ok" if live else info.state.value.lower()
        pools = self._with_troubles(observation_of_pools(clusters).pools)
        seen = self._certificates.judge(_with_pools(replace(self._last, pools=pools), checks))
        seen = self._judge(self._fetches.judge(self._programmer.quarantine.judge(seen)))
        return (
            seen if live else EngineHealth(HealthStatus.UNHEALTHY, f"Envoy is {checks['envoy']}", seen.checks)
        )

    async def observe(self) -> Observation:
        """Scrape Envoy. Raises Refused (UNAVAILABLE) when it does not answer."""
        admin: EnvoyAdmin = self._envoy.admin
        try:
            stats = await self._meter.look()
            clusters = await admin.clusters(POOLS)
        except AdminError as error:
            raise Refused(RefusalCode.UNAVAILABLE, str(error)) from error
        used = self._envoy.usage()
        own_cpu, own_memory = process_usage()
        now = handshakes(stats)
        self._tls_troubles = troubles(self._handshakes, now, self._tls_troubles)
        self._handshakes = now
        self._fetches = self._fetches.step(stats)
        seen = observation(stats, clusters)
        self._last = replace(
            seen,
            pools=self._with_troubles(seen.pools),
            points=(*seen.points, *self._certificates.points(), *self._programmer.quarantine.points()),
            cpu_percent=used.cpu_percent + own_cpu,
            memory_mb=used.memory_bytes / 1e6 + own_memory,
        )
        self._serving = self._certificates.judge(_with_pools(self._last, _ENVOY_OK))
        return self._last

    async def exposition(self) -> bytes:
        """What Envoy counts, under our names, and how its process is; see docs/metrics.md."""
        return self._vitals.render() + await self._meter.exposition()

    async def renew(self, finish_seconds: float | None) -> str:
        """Restart Envoy hot."""
        await self._meter.exposition()  # the successor counts from 0: what this one counted is kept
        try:
            await self._envoy.hand_over(finish_seconds)
        except HandOverFailed as failed:
            words = f"Envoy was not restarted, the one that runs serves on: {failed}"
            raise Refused(RefusalCode.UNAVAILABLE, words) from failed
        status = self._envoy.status()
        return f"Envoy was restarted without a cut (pid {status.pid}, epoch {status.epoch})"

    async def part(self, *, on: bool) -> None:
        """Have Envoy close each connection after its next response, or keep them again. Raises Refused (UNAVAILABLE)."""
        admin = self._envoy.admin
        try:
            await (admin.fail_healthcheck() if on else admin.ok_healthcheck())
        except AdminError as error:
            raise Refused(RefusalCode.UNAVAILABLE, str(error)) from error

    async def drain(self, deadline: float) -> int:
        """Fail health checks, ask clients to go, wait for the last connection. Raises nothing: a dead Envoy has none.

        Envoy tells a client to go with its next response. A connection that stays idle never hears it, so after the
        time that Envoy takes to say goodbye only requests (streams and WebSockets included) are waited for.
        """
        self._draining = True
        goodbye = self._clock.monotonic() + self._goodbye_seconds

        async def busy(admin: EnvoyAdmin) -> int:
            stats = await admin.stats(ACTIVE)
            requests, connections = active(stats)
            return connections if self._clock.monotonic() < goodbye else requests

        try:
            return await self._envoy.drain(deadline, busy=busy)
        except AdminError:
            return self._last.active_connections

    def _judge(self, health: EngineHealth) -> EngineHealth:
        trouble = self._envoy.status().trouble
        return health.but("envoy", trouble) if trouble else health

    def _with_troubles(self, pools: Mapping[str, PoolSeen]) -> dict[str, PoolSeen]:
        words: dict[str, list[str]] = {name: [] for name in pools}
        for pool, trouble in self._programmer.troubles().items():
            words.setdefault(pool, []).append(trouble)
        for name, tls in self._tls_troubles.items():
            words.setdefault(name, []).append(tls.words)
        return {name: replace(seen, trouble="; ".join(words[name])) for name, seen in pools.items()}


def observation_of_pools(clusters: Iterable[ClusterStatus]) -> Observation:
    """Only the endpoints of the pools."""
    return observation(EnvoyStats(), clusters)


def _with_pools(seen: Observation, checks: Mapping[str, str]) -> EngineHealth:
    """Degraded when a pool has a trouble, or endpoints but no healthy one; every pool is named in the checks."""
    all_checks, faults = dict(checks), []
    for name, pool in sorted(seen.pools.items()):
        healthy = sum(endpoint.healthy for endpoint in pool.endpoints)
        words = f"{healthy} of {len(pool.endpoints)} endpoints are healthy"
        all_checks[f"pool:{name}"] = f"{words}; {pool.trouble}" if pool.trouble else words
        if pool.trouble:
            faults.append(f"pool {name}: {pool.trouble}")
        elif pool.endpoints and not healthy:
            faults.append(f"no healthy endpoint in pool {name}")
    if faults:
        return EngineHealth(HealthStatus.DEGRADED, "; ".join(faults[:_MOST_FAULTS]), all_checks)
    return EngineHealth(HealthStatus.HEALTHY, "serving", all_checks)


async def until_warm(admin: EnvoyAdmin, clock: Clock) -> None:
    """Wait until Envoy has no cluster that is still warming; gives up after a few seconds, as Envoy itself would not.

    A cluster that never gets warm (a health check that never answers) must not hold up everything else.
    """
    deadline = clock.monotonic() + _WARM_SECONDS
    while clock.monotonic() < deadline:
        try:
            if await admin.warming() == 0:
                return
        except AdminError:
            return
        await clock.sleep(_WARM_POLL)
