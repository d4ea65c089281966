"""The Envoy data plane: one supervised Envoy, fed by our own ADS server over a Unix socket.

Envoy outlives an NLB that crashes. The next one adopts it, with the snapshot it last acknowledged, so that nothing it
forwards is interrupted; nothing is published before the caller's first `apply`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from marchproxy.engines.envoy.admin import AdminError
from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.metrics import EnvoyMeter
from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.engines.envoy.process import EnvoyProcess, EnvoySettings, EnvoyState
from marchproxy.engines.envoy.tracing import request_tracing
from marchproxy.engines.envoy.vitals import Vitals
from marchproxy.engines.envoy.xds.publish import Publisher, PublishTimeout, SnapshotRejected, load
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from marchproxy.engines.envoy.xds.snapshot import InconsistentSnapshot, check
from marchproxy.kit.clock import Clock
from marchproxy.kit.listening import BindError, check_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort
from marchproxy.kit.telemetry import Service
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.problem import Problem
from marchproxy.model.sharing import Port, share
from marchproxy.nlb.dataplane.envoy.counts import CountsCache
from marchproxy.nlb.dataplane.envoy.files import TlsFiles
from marchproxy.nlb.dataplane.envoy.limits import refused
from marchproxy.nlb.dataplane.envoy.metrics import TABLE
from marchproxy.nlb.dataplane.envoy.shedding import shed
from marchproxy.nlb.dataplane.names import resolve
from marchproxy.nlb.dataplane.plane import (
    Choice,
    Forwarding,
    PlaneRefused,
    PlaneUnavailable,
    TrafficCounts,
)
from marchproxy.nlb.dataplane.resources import ConnectionLog, Surroundings, build_draft, keep_retired
from marchproxy.nlb.dataplane.resources.naming import port_name
from marchproxy.nlb.dataplane.resources.runtime import RUNTIME
from marchproxy.nlb.settings import NlbSettings

_log = get_logger(__name__)
_PUBLISH_SECONDS = 5.0
_ADMIN_SECONDS = 30.0
_SNAPSHOT = "snapshot.json"


class EnvoyDataPlane:
    """Forwards TCP, UDP and HTTP through one Envoy. Use it inside `running`."""

    name = "envoy"

    def __init__(self, settings: NlbSettings, *, clock: Clock) -> None:
        self._directory = settings.directory() / "envoy"
        self._workers = settings.envoy.workers()
        self._process = _process(settings, self._directory, clock)
        self._ads = AdsServer()
        self._publisher = Publisher(self._ads, settings.id, store=self._directory / _SNAPSHOT)
        self._counts = CountsCache(self._process.admin)
        self._vitals = Vitals(self._process)
        self._meter = EnvoyMeter(self._process.admin, TABLE, lambda: self._process.status().pid, clock=clock)
        self._files = TlsFiles()
        self._log = _connection_log(settings)
        self._tracing = request_tracing(settings.tracing, Service("nlb", settings.id))
        self._held: Mapping[str, HostPort] = {}
        self._forwarding = Forwarding()
        self._applied = False

    @property
    def process(self) -> EnvoyProcess:
        """The supervised Envoy."""
        return self._process

    @asynccontextmanager
    async def running(self) -> AsyncIterator["EnvoyDataPlane"]:
        """Adopt or start Envoy, supervise it, and stop it at the end. Raises EnvoyMissing, EnvoyStartError, OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        # the process first: it holds the lock of the directory, and the socket may be another NLB's
        async with self._process as process, serve_unix(self._ads, _ads_socket(self._directory)):
            adopted = process.status().adopted
            if adopted:
                await self._take_over()
            try:
                yield self
            except BaseException:
                if adopted and not self._applied:
                    await process.release()  # we could not take over: what it forwards goes on
                raise

    def check(self, listeners: Sequence[Listener]) -> tuple[Problem, ...]:
        """Certificates that cannot be used now; what it cannot forward at all is `model.planes`' to say."""
        return tuple(self._files.problems(listeners))

    async def apply(self, forwarding: Forwarding) -> None:
        """Publish the plan and return when Envoy has acknowledged all of it. Raises PlaneRefused, PlaneUnavailable."""
        ports = share(plan.listener for plan in forwarding.plan.listeners)
        self._check_new(ports)
        if reason := refused(forwarding):
            raise PlaneRefused(reason)
        try:
            draft = build_draft(forwarding, await self._surroundings(forwarding))
            snapshot = check(keep_retired(draft, self._publisher.current))
            await self._publisher.publish(snapshot, timeout=_PUBLISH_SECONDS, retry=True)
        except (SnapshotRejected, InconsistentSnapshot, UnusableFile) as error:
            raise PlaneRefused(f"Envoy refused it: {error}") from error
        except PublishTimeout as error:
            raise PlaneUnavailable(f"Envoy did not acknowledge it: {error}") from error
        self._held = {port_name(port): HostPort(port.first.host, port.first.port) for port in ports}
        self._forwarding = forwarding
        self._meter.know({"listener": frozenset(plan.listener.name for plan in forwarding.plan.listeners)})
        await self._counts.begin(forwarding)
        self._applied = True

    def addresses(self) -> frozenset[HostPort]:
        """Where it listens over TCP, from before this process too."""
        return frozenset(address for name, address in self._held.items() if not name.startswith("udp."))

    def choices(self) -> Mapping[str, Choice]:
        """Everything it was given."""
        names = [plan.listener.name for plan in self._forwarding.plan.listeners]
        return {name: Choice(DataPlaneKind.ENVOY, "") for name in names}

    async def counts(self, *, max_age: float = 1.0) -> TrafficCounts:
        """What Envoy counts; at most `max_age` seconds old. Raises PlaneUnavailable."""
        return await self._counts.read(self._forwarding, max_age)

    async def exposition(self) -> bytes:
        """What Envoy counts, under our names, and how its process is, as Prometheus reads it; see docs/metrics.md."""
        return self._vitals.render() + await self._meter.exposition()

    async def shed(self, instance_id: InstanceId, count: int, *, listener: str = "") -> int:  # noqa: ARG002 - as the others
        """Close connections to an instance, whichever listener they came through. What the kernel forbids is logged."""
        pid = self._process.status().pid
        return await shed(self._forwarding, pid, instance_id, count) if pid else 0

    async def health(self) -> Mapping[str, str]:
        """Facts about Envoy. Raises PlaneUnavailable unless it is ready and connected to us."""
        status = self._process.status()
        node = next(iter(self._ads.nodes()), None)
        facts = {"pid": str(status.pid), "state": status.state.value, "restarts": str(status.restarts)}
        facts |= {"epoch": str(status.epoch)} | ({"trouble": status.trouble} if status.trouble else {})
        try:
            ready = await self._process.admin.ready()
        except AdminError as error:
            raise PlaneUnavailable(status.trouble or str(error)) from error
        if not ready or status.state is not EnvoyState.RUNNING:
            raise PlaneUnavailable(status.trouble or f"Envoy is {status.state.value}, ready: {ready}")
        if node is None or not node.connected:
            raise PlaneUnavailable("Envoy runs without a connection to its control plane")
        return facts

    async def drain(self, deadline_seconds: float) -> int:
        """Close the listeners and wait for open connections; return how many are left at the deadline."""
        try:
            return await self._process.drain(deadline_seconds)
        except AdminError as error:
            _log.warning("Envoy could not be drained", reason=str(error))
            return 0

    async def _take_over(self) -> None:
        """Go on from what the adopted Envoy holds."""
        if (last := load(self._directory / _SNAPSHOT)) is not None:
            self._publisher.resume(last)
        await self._process.wait_admin(
            _ADMIN_SECONDS
        )  # after a hot restart that was cut short it comes with the next
        bound = await self._process.admin.listeners()
        self._held = {listener.name: listener.addresses[0] for listener in bound if listener.addresses}
        _log.info("Envoy adopted", pid=self._process.status().pid, listeners=sorted(self._held))

    async def _surroundings(self, forwarding: Forwarding) -> Surroundings:
        listeners = [plan.listener for plan in forwarding.plan.listeners]
        return Surroundings(
            await resolve(_hosts(forwarding)),
            self._files.material(listeners),
            self._log,
            self._workers,
            self._tracing,
        )

    def _check_new(self, ports: Sequence[Port]) -> None:
        # Envoy itself would share a port with another process where both ask the kernel for that
        for port in ports:
            first = port.first
            if port_name(port) not in self._held:
                try:
                    check_free(
                        HostPort(first.host, first.port), f'listener "{first.name}"', udp=first.over_udp
                    )
                except BindError as error:
                    raise PlaneRefused(str(error)) from error


def _process(settings: NlbSettings, directory: Path, clock: Clock) -> EnvoyProcess:
    socket = _ads_socket(directory)
    spec = BootstrapSpec(settings.id, "marchproxy-nlb", settings.envoy.admin, socket, runtime=RUNTIME)
    envoy = EnvoySettings(
        node_id=settings.id,
        cluster="marchproxy-nlb",
        admin=settings.envoy.admin,
        run_dir=directory,
        binary=settings.envoy.binary,
        concurrency=settings.envoy.workers(),
        log_level=settings.envoy.log_level,
        drain_seconds=int(settings.drain_seconds),
        handover_seconds=settings.envoy.handover_seconds,
    )
    return EnvoyProcess(envoy, bootstrap=render(spec), clock=clock)


def _ads_socket(directory: Path) -> Path:
    # an adopted Envoy comes back to the same path
    return directory / "ads.sock"


def _hosts(forwarding: Forwarding) -> set[str]:
    targets = [target for plan in forwarding.plan.listeners for v in plan.versions for target in v.targets]
    targets += [target for parked in forwarding.parked.values() for target in parked]
    return {HostPort.parse(target.endpoint.address).host for target in targets}


def _connection_log(settings: NlbSettings) -> ConnectionLog | None:
    log = settings.connection_log
    return None if log is None else ConnectionLog(log.path, log.sample_percent)
