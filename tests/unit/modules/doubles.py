"""A module without an engine behind it: what the shared parts are tested with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from marchproxy.contract.document import checksum, decode, encode
from marchproxy.kit.clock import VirtualClock
from marchproxy.model.choice import EndpointChoice, PoolChoice
from marchproxy.model.module import HealthStatus, ModuleType, Protocol, TrafficEndpoint
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.core import Identity, ModuleCore
from marchproxy.modules.base.engine import EngineHealth, Isolate
from marchproxy.modules.base.observation import Observation, PoolSeen, Traffic
from marchproxy.modules.http import rules
from marchproxy.modules.http.resources import own_routes

DOCUMENT = b"""
routes:
  - {id: shop, hosts: [shop.example.com], path: /, backends: [{pool: blue, weight: 100}, {pool: green, weight: 0}]}
  - {id: api, hosts: [api.example.com], path: /v1, methods: [GET], backends: [blue]}
pools:
  - {name: blue, version: v1, endpoints: ["127.0.0.1:81", "127.0.0.1:82"]}
  - {name: green, version: v2, endpoints: ["127.0.0.1:83"]}
rate_limits:
  - {id: calm, target: shop, requests_per_second: 10}
"""
STATE = decode(DOCUMENT)
CHECKSUM = checksum(encode(STATE))


@dataclass
class EngineDouble:
    """Runs what it is given; refuses when `refusal` is set; counts what the test says was counted."""

    applied: list[DesiredState] = field(default_factory=list)
    refusal: Refused | None = None
    objections: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()
    isolated: tuple[Problem, ...] = ()
    isolate: Isolate = Isolate.NOTHING
    seen: Observation = field(default_factory=Observation)
    silent: bool = False
    looks: int = 0
    instances: int = 1
    renewed: list[float | None] = field(default_factory=list)
    parting: list[bool] = field(default_factory=list)
    state: HealthStatus = HealthStatus.HEALTHY

    @property
    def module_type(self) -> ModuleType:
        return ModuleType.ALB

    def endpoints(self) -> tuple[TrafficEndpoint, ...]:
        return (TrafficEndpoint("http", Protocol.HTTP, "127.0.0.1:10000"),)

    def divide(self, instances: int) -> None:
        self.instances = instances

    def faults(self, state: DesiredState) -> Iterable[Problem]:
        return rules.faults(state, ModuleType.ALB)

    def warnings(self, state: DesiredState) -> Iterable[Problem]:
        return self.doubts

    async def rehearse(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> tuple[Problem, ...]:
        return self.objections

    async def apply(self, state: DesiredState, isolate: Isolate = Isolate.NOTHING) -> tuple[Problem, ...]:
        if self.refusal is not None:
            raise self.refusal
        self.applied.append(state)
        self.isolate = isolate
        return self.isolated

    def can_handle(self, state: DesiredState, route: Route, context: Mapping[str, str]) -> Verdict:
        own = {one.route_id: one for one in own_routes(state.routes, ModuleType.ALB)}
        return rules.answer(state, own, route, context, module=ModuleType.ALB)

    async def choices(
        self, state: DesiredState, route_id: RouteId, request: Route, context: Mapping[str, str]
    ) -> Sequence[PoolChoice]:
        if self.silent:
            raise Refused(RefusalCode.UNAVAILABLE, "does not answer")
        return [PoolChoice("blue", "v1", 1.0, f"for {route_id}", (EndpointChoice("127.0.0.1:81", 1.0),))]

    def health(self) -> EngineHealth:
        return EngineHealth(self.state, "as known", {"engine": "ok"})

    async def check(self) -> EngineHealth:
        return EngineHealth(self.state, "as asked", {"engine": "ok", "pool:blue": "2 of 2"})

    async def observe(self) -> Observation:
        self.looks += 1
        if self.silent:
            raise Refused(RefusalCode.UNAVAILABLE, "does not answer")
        return self.seen

    async def exposition(self) -> bytes:
        return b""

    async def renew(self, finish_seconds: float | None) -> str:
        if self.silent:
            raise Refused(RefusalCode.UNAVAILABLE, "the old one serves on")
        self.renewed.append(finish_seconds)
        return "a new process serves"

    async def part(self, *, on: bool) -> None:
        if self.silent:
            raise Refused(RefusalCode.UNAVAILABLE, "does not answer")
        self.parting.append(on)

    async def drain(self, deadline: float) -> int:
        return 0

    def count(self, *, requests: int = 0, failures: int = 0, **pools: Traffic) -> None:
        """Set the cumulative counts."""
        looks = {name: PoolSeen(traffic) for name, traffic in pools.items()}
        self.seen = replace(self.seen, traffic=Traffic(requests, failures), pools=looks)


def make_core(engine: EngineDouble, clock: VirtualClock) -> ModuleCore:
    identity = Identity("alb-1", "v1", "127.0.0.1:50051", clock.now(), 1000)
    return ModuleCore(identity, engine, clock=clock)


async def running_core(engine: EngineDouble, clock: VirtualClock) -> ModuleCore:
    """A core that runs STATE, loaded from its document."""
    core = make_core(engine, clock)
    await core.load(STATE, CHECKSUM)
    return core
