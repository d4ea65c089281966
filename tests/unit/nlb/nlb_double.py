"""An NLB whose data plane is a double that remembers; everything else is real, over gRPC on an ephemeral port."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
from prometheus_client import CollectorRegistry

from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceStub, add_ModuleServiceServicer_to_server
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub, add_NLBServiceServicer_to_server
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import ChannelPool, GrpcServer, Registration
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.listener import Listener
from marchproxy.model.module import Version
from marchproxy.model.route import Route, RouteId, RouteMatch, VersionWeight
from marchproxy.model.state import DesiredState
from marchproxy.nlb.api import Desk, NlbApi, VersionsApi
from marchproxy.nlb.dataplane.plane import (
    Choice,
    ConnectionCounts,
    Forwarding,
    PlaneRefused,
    PlaneUnavailable,
    TrafficCounts,
)
from marchproxy.nlb.service.autoscaler import Autoscaler, Means
from marchproxy.nlb.service.core import Core, Surroundings
from marchproxy.nlb.service.failings import marker
from marchproxy.nlb.service.gauges import NlbGauges
from marchproxy.nlb.service.leaving import Doorkeeper
from marchproxy.nlb.service.memory import Saved, Saver
from marchproxy.nlb.service.modules import GrpcModules
from marchproxy.nlb.service.observer import Observer
from marchproxy.nlb.service.rollouts import Rollouts
from marchproxy.nlb.settings import NlbSettings
from marchproxy.nlb.state.member import Moment
from marchproxy.nlb.state.registry import Patience

WEB = Listener(
    "web",
    "127.0.0.1",
    8000,
    version_weights=(VersionWeight(Version("v1"), 50), VersionWeight(Version("v2"), 50)),
)
SHOP = Route(RouteId("shop"), RouteMatch(("shop.example",)))
DESIRED = DesiredState(listeners=(WEB,), routes=(SHOP,))


class PlaneDouble:
    """Takes what it is given, unless told to refuse."""

    name = "double"

    def __init__(self) -> None:
        self.applied: list[Forwarding] = []
        self.refusal = ""
        self.away = False
        self.connections: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self.chosen: dict[str, Choice] = {}
        self.closable = 1000  # at once
        self.counted = 0

    def check(self, listeners):
        return ()

    def choices(self):
        return self.chosen

    async def apply(self, forwarding):
        if self.away:
            raise PlaneUnavailable("the double is away")
        if self.refusal:
            raise PlaneRefused(self.refusal)
        self.applied.append(forwarding)

    async def counts(self, *, max_age=1.0):
        self.counted += 1
        endpoints = {
            ("web", key): ConnectionCounts(count, count, self.failures.get(key, 0))
            for key, count in self.connections.items()
        }
        total = sum(self.connections.values())
        return TrafficCounts({"web": ConnectionCounts(total, total)}, endpoints)

    async def health(self):
        if self.away:
            raise PlaneUnavailable("the double is away")
        return {"state": "running"}

    async def shed(self, instance_id, count, *, listener=""):
        closed = min(count, self.closable)
        self.connections[instance_id] -= closed
        return closed

    def takers(self) -> list[str]:
        (plan,) = self.applied[-1].plan.listeners
        return [target.instance_id for version in plan.versions for target in version.targets]


class SkippingClock(SystemClock):
    """The machine's clock, moved ahead on demand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self):
        return super().monotonic() + self.ahead

    def now(self):
        return super().now() + timedelta(seconds=self.ahead)


class Nlb:
    """The parts a test looks into."""

    def __init__(self, path, plane: PlaneDouble, clock: SkippingClock, pool: ChannelPool) -> None:
        settings = NlbSettings(grpc=HostPort("127.0.0.1", 0), drain_seconds=1)
        modules, gauges = GrpcModules(pool), NlbGauges(CollectorRegistry())
        saver = Saver(path)
        around = Surroundings(plane, modules, saver, gauges, clock, Patience())
        self.core = Core(around, Saved(), DESIRED)
        saver.take = self.core.saved
        modules.failings.tell = marker(self.core)
        self.plane, self.clock = plane, clock
        observer = Observer(plane, self.core, clock)
        self.observer = observer
        self.desk = Desk(
            settings=settings,
            core=self.core,
            plane=plane,
            modules=modules,
            observer=observer,
            doorkeeper=Doorkeeper(self.core, observer, clock, gauges),
            autoscaler=Autoscaler(self.core, Means(modules, gauges), window=settings.scaling_window),
            rollouts=Rollouts(self.core, plane, observer, lag=1.0),
            gauges=gauges,
            started_at=Moment(clock.monotonic(), clock.now()).wall,
            failings=modules.failings,
        )
        self.stub: NLBServiceStub
        self.versions: ModuleServiceStub

    async def takes(self, *wanted: str) -> None:
        """Wait until exactly these instances take connections."""
        async with asyncio.timeout(5):
            while sorted(self.plane.takers()) != sorted(wanted):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running_nlb(tmp_path):
    """A served NLB with its loops."""
    clock = SkippingClock()
    pool = ChannelPool(clock=clock)
    nlb = Nlb(tmp_path, PlaneDouble(), clock, pool)
    server = GrpcServer(
        address=nlb.desk.settings.grpc,
        services=[
            Registration(add_NLBServiceServicer_to_server, NlbApi(nlb.desk)),
            Registration(add_ModuleServiceServicer_to_server, VersionsApi(nlb.desk)),
        ],
    )
    port = await server.start()
    try:
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            asyncio.TaskGroup() as group,
        ):
            nlb.stub = NLBServiceStub(channel)
            nlb.versions = ModuleServiceStub(channel)
            loops = [group.create_task(nlb.core.applier.run()), group.create_task(nlb.core.questions.run())]
            await nlb.core.applier.apply_wanted()
            try:
                yield nlb
            finally:
                for loop in loops:
                    loop.cancel()
    finally:
        await pool.close()
        await server.stop(0)
