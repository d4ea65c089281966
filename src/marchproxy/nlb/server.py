"""Server: starts an NLB in order, keeps its loops running, and stops it in reverse.

Start: what was remembered, data plane, gRPC, ready. Stop: not ready, no new calls, drained listeners, Envoy stopped.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from marchproxy.contract.pb.module_pb2_grpc import add_ModuleServiceServicer_to_server
from marchproxy.contract.pb.nlb_pb2_grpc import add_NLBServiceServicer_to_server
from marchproxy.engines.envoy.process import EnvoyState
from marchproxy.kit.clock import Clock, SystemClock
from marchproxy.kit.grpc import (
    CallMetrics,
    ChannelOptions,
    ChannelPool,
    GrpcServer,
    Registration,
    ServerOptions,
)
from marchproxy.kit.http import HttpEndpoint
from marchproxy.kit.listening import check_free
from marchproxy.kit.logs import get_logger
from marchproxy.kit.metrics import new_registry
from marchproxy.kit.tasks import every
from marchproxy.model.state import DesiredState
from marchproxy.nlb.api import Desk, NlbApi, VersionsApi
from marchproxy.nlb.dataplane.host import HostPlanes
from marchproxy.nlb.service.autoscaler import Autoscaler, Means
from marchproxy.nlb.service.core import Core, Surroundings
from marchproxy.nlb.service.failings import Failings, marker
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.journal import Journal
from marchproxy.nlb.service.leaving import Doorkeeper
from marchproxy.nlb.service.memory import Saver, load
from marchproxy.nlb.service.modules import GrpcModules
from marchproxy.nlb.service.observer import SAMPLE_SECONDS, Observer
from marchproxy.nlb.service.rollouts import BEAT_SECONDS, Rollouts
from marchproxy.nlb.service.traffic import render_traffic
from marchproxy.nlb.settings import NlbSettings
from marchproxy.nlb.state.member import Moment
from marchproxy.nlb.state.registry import MAX_MEMBERS, Patience

_log = get_logger(__name__)
_READY_SECONDS = 10.0
_GRPC_GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports a running NLB is bound to; they differ from the settings where those say 0."""

    grpc: int
    metrics: int


class Nlb:
    """A running NLB, as its process sees it."""

    def __init__(self, desk: Desk, ports: Ports) -> None:
        self.desk = desk
        self.ports = ports

    async def reload(self, desired: DesiredState) -> None:
        """Put another configuration in force. Raises InvalidValue and Refused; then everything is as before."""
        await self.desk.core.reload(desired)


async def serve(
    settings: NlbSettings,
    desired: DesiredState,
    stop: asyncio.Event,
    *,
    started: Callable[[Nlb], None] = lambda _: None,
) -> None:
    """Run an NLB until `stop` is set; `started` is called once it is ready.

    A configuration that was changed over gRPC since the file was last changed is kept over restarts. Raises what
    keeps it from starting: PortInUse, BindError, SettingsError, EnvoyMissing, EnvoyStartError, OSError, InvalidValue,
    PlaneRefused, PlaneUnavailable; ValueError for a state directory whose path is too long for a Unix socket.
    """
    async with running(settings, desired, SystemClock()) as nlb:
        started(nlb)
        _log.info("NLB ready", id=settings.id, grpc=nlb.ports.grpc, metrics=nlb.ports.metrics)
        await stop.wait()
        _log.info("NLB stopping", id=settings.id)


@asynccontextmanager
async def running(settings: NlbSettings, desired: DesiredState, clock: Clock) -> AsyncIterator[Nlb]:
    """An NLB for the length of the block; raises as `serve`."""
    # before anything is touched: an Envoy that is adopted must not suffer from a port that is taken
    check_free(settings.grpc, "nlb.grpc")
    check_free(settings.metrics, "nlb.metrics")
    settings.directory().mkdir(parents=True, exist_ok=True)
    prometheus = new_registry()
    pool = ChannelPool(clock=clock, tls=settings.module_tls, options=ChannelOptions(max_channels=MAX_MEMBERS))
    plane = HostPlanes(settings, clock=clock)
    await plane.probe()
    gauges = NlbGauges(prometheus)
    modules = GrpcModules(pool, Failings(count=gauges.call_failed))
    tools = _Tools(settings, plane, modules, gauges, clock)
    desk, saver = _furnish(tools, desired)
    desk.core.check(desk.core.world.desired)
    readiness = _Readiness(desk, plane)
    try:
        async with (
            _operations(desk, prometheus, readiness) as metrics_port,
            plane.running(),
            _working(desk, saver, clock),
        ):
            await desk.core.applier.apply_wanted()
            await plane.envoy.process.wait_ready(_READY_SECONDS)
            async with _answering(desk, prometheus) as grpc_port:
                readiness.announced = True
                yield Nlb(desk, Ports(grpc_port, metrics_port))
                readiness.announced = False
            left = await plane.drain(settings.drain_seconds)
            _log.info("listeners drained", still_open=left)
    finally:
        await pool.close()


@dataclass(frozen=True, slots=True)
class _Tools:
    settings: NlbSettings
    plane: HostPlanes
    modules: GrpcModules
    gauges: NlbGauges
    clock: Clock


@dataclass(slots=True)
class _Readiness:
    desk: Desk
    plane: HostPlanes
    announced: bool = False

    def __call__(self) -> tuple[bool, Mapping[str, object]]:
        state = self.plane.envoy.process.status().state
        checks = {
            "serving": self.announced,
            "envoy": state.value,
            "plan": self.desk.core.applier.fault or "in force",
        }
        return self.announced and state is EnvoyState.RUNNING, checks


def _furnish(tools: _Tools, desired: DesiredState) -> tuple[Desk, Saver]:
    settings, clock = tools.settings, tools.clock
    saver = Saver(settings.directory())
    patience = Patience(settings.heartbeat_interval, settings.missed_unhealthy, settings.missed_removed)
    around = Surroundings(tools.plane, tools.modules, saver, tools.gauges, clock, patience)
    core = Core(around, load(settings.directory(), Moment(clock.monotonic(), clock.now())), desired)
    saver.take = core.saved
    tools.modules.failings.tell = marker(core)
    observer = Observer(tools.plane, core, clock)
    tools.gauges.watch(lambda: core.world)
    desk = Desk(
        settings=settings,
        core=core,
        plane=tools.plane,
        modules=tools.modules,
        observer=observer,
        doorkeeper=Doorkeeper(core, observer, clock, tools.gauges),
        autoscaler=_autoscaler(tools, core, observer),
        rollouts=Rollouts(core, tools.plane, observer, lag=settings.heartbeat_interval),
        gauges=tools.gauges,
        started_at=clock.now(),
        failings=tools.modules.failings,
    )
    return desk, saver


def _autoscaler(tools: _Tools, core: Core, observer: Observer) -> Autoscaler:
    settings = tools.settings
    means = Means(
        tools.modules, tools.gauges, Journal(settings.directory() / "scaling.json"), lambda: observer.last
    )
    return Autoscaler(core, means, window=settings.scaling_window)


@asynccontextmanager
async def _operations(desk: Desk, prometheus: CollectorRegistry, readiness: _Readiness) -> AsyncIterator[int]:
    async def traffic() -> bytes:
        return render_traffic(await desk.observer.counts(), desk.plane.choices())

    endpoint = HttpEndpoint(
        desk.settings.metrics,
        registry=prometheus,
        ready=readiness,
        suppliers=(traffic, readiness.plane.envoy.exposition),
        setting="nlb.metrics",
    )
    port = await endpoint.start()
    try:
        yield port
    finally:
        await endpoint.stop()


@asynccontextmanager
async def _working(desk: Desk, saver: Saver, clock: Clock) -> AsyncIterator[None]:
    """Keep the loops running; what the block raises comes out bare, what a loop raises ends the block."""
    core = desk.core
    tick = min(1.0, desk.settings.heartbeat_interval / 4)
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        loops = [
            group.create_task(core.applier.run(), name="apply"),
            group.create_task(core.questions.run(), name="ask"),
            group.create_task(saver.run(), name="save"),
            group.create_task(every(tick, core.tick, clock=clock, name="tick"), name="tick"),
            group.create_task(
                every(desk.settings.scaling_interval, desk.autoscaler.look, clock=clock, name="scale")
            ),
            group.create_task(every(BEAT_SECONDS, desk.rollouts.advance, clock=clock, name="rollouts")),
            group.create_task(every(SAMPLE_SECONDS, desk.observer.sample, clock=clock, name="sample")),
        ]
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group, so that it is not wrapped
            failure = error
        finally:
            for loop in loops:
                loop.cancel()
    await saver.save()
    if failure is not None:
        raise failure


@asynccontextmanager
async def _answering(desk: Desk, prometheus: CollectorRegistry) -> AsyncIterator[int]:
    settings = desk.settings
    server = GrpcServer(
        address=settings.grpc,
        services=[
            Registration(add_NLBServiceServicer_to_server, NlbApi(desk)),
            Registration(add_ModuleServiceServicer_to_server, VersionsApi(desk)),
        ],
        tls=settings.tls,
        options=ServerOptions(default_deadline=settings.longest_call),
        metrics=CallMetrics(prometheus),
        setting="nlb.grpc",
    )
    port = await server.start()
    await server.set_serving(True)  # for the service by name as well
    try:
        yield port
    finally:
        await server.stop(_GRPC_GRACE_SECONDS)
