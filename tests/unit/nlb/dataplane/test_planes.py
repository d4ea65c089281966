"""Which data plane carries a listener, the kernel's weights, and how a listener moves between two planes."""

from itertools import permutations

import pytest

from marchproxy.engines.nftables import Backend, EndpointId, Policy, Protocol, find_problems
from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings.types import HostPort
from marchproxy.model import module
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.module import TrafficEndpoint
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, VersionTargets
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.sharing import share
from marchproxy.nlb.dataplane.choosing import Ground, Situation, choose_plane
from marchproxy.nlb.dataplane.frontends import build_kernel, whole_weights
from marchproxy.nlb.dataplane.lingering import LINGER_SECONDS
from marchproxy.nlb.dataplane.plane import (
    Choice,
    ConnectionCounts,
    Forwarding,
    PlaneRefused,
    PlaneUnavailable,
    TrafficCounts,
)
from marchproxy.nlb.dataplane.planes import Planes

KERNEL, ENVOY, DETECT = DataPlaneKind.KERNEL, DataPlaneKind.ENVOY, DataPlaneKind.DETECT
HERE, THERE = "10.0.0.1", "10.0.0.2"
HTTP = module.Protocol.HTTP
GROUND = Ground(
    own=frozenset({HERE}),
    forwards=frozenset({4}),
    keep_source=True,
    addresses={name: name for name in (HERE, THERE, "127.0.0.1", "fd00::2")},
)


def target(name="a", address=f"{THERE}:80", weight=100, version="v1", *, plain=True):
    proxied = TrafficEndpoint("proxied", HTTP, "10.0.0.9:81", proxy_protocol=True)
    return Target(name, version, proxied, weight, TrafficEndpoint("plain", HTTP, address) if plain else None)


def listening(*targets, name="web", host="0.0.0.0", weights=None, **more):
    listener = Listener(name, host, 8000, **({"balance": BalancePolicy.RANDOM} | more))
    by_version = {}
    for one in targets:
        by_version.setdefault(one.version, []).append(one)
    weights = weights or {version: sum(t.weight for t in ts) for version, ts in by_version.items()}
    versions = [VersionTargets(version, weights[version], tuple(ts)) for version, ts in by_version.items()]
    return ListenerPlan(listener, tuple(versions))


def ground(**changes):
    values = {name: getattr(GROUND, name) for name in GROUND.__slots__}
    return Ground(**(values | changes))


def choose(plan, on, **more):
    (port,) = share([plan.listener])
    return choose_plane(port, [plan], Situation(on), **more)


@pytest.mark.parametrize(
    ("plan", "on", "plane", "word"),
    [
        (listening(target()), GROUND, KERNEL, "random"),
        (listening(target(), balance=BalancePolicy.ROUND_ROBIN), GROUND, KERNEL, "round_robin"),
        (listening(target(), balance=BalancePolicy.SOURCE_HASH), GROUND, KERNEL, "source_hash"),
        (listening(target(), balance=BalancePolicy.LEAST_CONNECTIONS), GROUND, ENVOY, "open connections"),
        (listening(target(), idle_timeout=5.0), GROUND, ENVOY, "idle timeout"),
        (listening(target(), idle_timeout=0.0), GROUND, KERNEL, "random"),
        (listening(target(), host="127.0.0.1"), GROUND, ENVOY, "loopback"),
        (listening(target()), ground(obstacle="no CAP_NET_ADMIN"), ENVOY, "no CAP_NET_ADMIN"),
        (listening(target(), target("b", plain=False)), GROUND, ENVOY, "b offers no endpoint"),
        (listening(target(address="127.0.0.1:80")), GROUND, ENVOY, "loopback"),
        (listening(target(address="[fd00::2]:80")), GROUND, ENVOY, "IPv6"),
        (listening(target(address="gone.example:80")), GROUND, ENVOY, "no address"),
        (listening(target()), ground(forwards=frozenset()), ENVOY, "ip_forward"),
        (listening(target()), ground(keep_source=False), ENVOY, "keep_source"),
        (listening(target(address=f"{HERE}:80")), ground(keep_source=False, forwards=frozenset()), KERNEL, "random"),
        (listening(), GROUND, ENVOY, "no instance"),
        (listening(target(), data_plane=ENVOY), GROUND, ENVOY, "as configured"),
        (listening(target(), data_plane=KERNEL), ground(keep_source=False), KERNEL, "as configured"),
        (listening(data_plane=KERNEL), GROUND, KERNEL, "as configured"),
        (listening(target(), data_plane=DETECT), GROUND, DETECT, "as configured"),
        (listening(target(), protocol=module.Protocol.UDP), ground(keep_source=False), KERNEL, "random"),
        (listening(target(), protocol=module.Protocol.UDP), ground(obstacle="no nft"), ENVOY, "no nft"),
    ],
)  # fmt: skip
def test_what_carries_a_listener_and_why(plan, on, plane, word):
    choice = choose(plan, on)
    assert (choice.plane, word in choice.reason) == (plane, True), choice


@pytest.mark.parametrize(
    ("plan", "on"),
    [
        (listening(target(), data_plane=KERNEL), ground(obstacle="no nft")),
        (listening(data_plane=KERNEL, balance=BalancePolicy.LEAST_CONNECTIONS), GROUND),
    ],
)
def test_what_only_the_kernel_may_carry_is_refused_where_it_cannot(plan, on):
    with pytest.raises(PlaneRefused, match='listener "web" needs the kernel'):
        choose(plan, on)


def port_of(*listeners, limits=()):
    (port,) = share(listeners)
    return choose_plane(port, [ListenerPlan(one, ()) for one in listeners], Situation(GROUND, limits))


@pytest.mark.parametrize(
    ("listeners", "limits", "plane", "word"),
    [
        (("http", "redis"), (), DETECT, "first bytes"),
        (("http", "tcp"), (), DETECT, "first bytes"),
        (("http", "grpc"), (), ENVOY, "each HTTP request"),
        (("https:a.example", "https:b.example"), (), ENVOY, "TLS hello"),
        (("https:a.example", "tcp"), (), ENVOY, "TLS hello"),
        (("https:a.example", "https:b.example"), (RateLimit("r", "client:0.0.0.0/0", 1),), DETECT, "each client"),
        (("tcp",), (RateLimit("r", "client:0.0.0.0/0", 1),), DETECT, "each client"),
        (("tcp",), (RateLimit("r", "source:0.0.0.0/0", 1),), ENVOY, "open connections"),
    ],
)  # fmt: skip
def test_what_carries_a_port_and_why(listeners, limits, plane, word):
    made = []
    for text in listeners:
        protocol, _, name = text.partition(":")
        names = (name,) if name else ()
        made.append(Listener(text, "0.0.0.0", 8000, module.Protocol(protocol), server_names=names))
    choice = port_of(*made, limits=limits)
    assert (choice.plane, word in choice.reason) == (plane, True), choice


@pytest.mark.parametrize(
    ("listeners", "word"),
    [
        ((Listener("a", "0.0.0.0", 1, module.Protocol.UDP, data_plane=DETECT),), "UDP"),
        ((Listener("a", "0.0.0.0", 1, data_plane=DETECT, tls=TlsTermination("c", "k")),), "TLS"),
        (
            (
                Listener("a", "0.0.0.0", 1, data_plane=KERNEL),
                Listener("b", "0.0.0.0", 1, module.Protocol.REDIS),
            ),
            "first bytes",
        ),
    ],
)
def test_what_nothing_can_carry(listeners, word):
    with pytest.raises(PlaneRefused, match=word):
        port_of(*listeners)


def test_a_listener_whose_instances_are_all_away_stays_where_it_is():
    assert choose(listening(), GROUND, before=KERNEL).plane is KERNEL


@pytest.mark.parametrize(
    ("plan", "weights"),
    [
        (listening(target("a"), target("b")), {"a": 1, "b": 1}),
        (listening(target("a", weight=50), target("b", weight=100)), {"a": 1, "b": 2}),
        # v1 gets 75 % for two instances, v2 25 % for one
        (
            listening(target("a"), target("b"), target("c", version="v2"), weights={"v1": 75, "v2": 25}),
            {"a": 3, "b": 3, "c": 2},
        ),
        (
            listening(target("a", weight=1), target("b", weight=2), target("c", version="v2"), weights={"v1": 99, "v2": 1}),
            {"a": 33, "b": 66, "c": 1},
        ),
        (listening(target("a", weight=1), target("b", weight=1_000_000)), {"a": 1, "b": 65_535}),
        (listening(), {}),
    ],
)  # fmt: skip
def test_weights_of_versions_and_instances_become_one(plan, weights):
    assert whole_weights(plan) == weights


def test_a_plan_becomes_frontends():
    plan = listening(
        target("a"), target("b", f"{HERE}:80"), target("twin", f"{HERE}:80"), target("lo", "127.0.0.1:1")
    )
    parked = {"web": (target("old", f"{THERE}:99", 0), target("none", plain=False))}
    kernel = build_kernel(Forwarding(ForwardingPlan((plan,)), parked), GROUND)
    (frontend,) = kernel.plan.frontends
    assert find_problems(kernel.plan) == ()
    assert frontend.backends == (
        Backend(THERE, 80, 1, keep_source=True),
        Backend(HERE, 80, 1, local=True),
        Backend(THERE, 99, 0, keep_source=True),
    )
    assert (frontend.protocol, frontend.policy, frontend.port) == (Protocol.TCP, Policy.RANDOM, 8000)
    assert kernel.instances[EndpointId("web", THERE, 99)] == "old"
    assert kernel.left_out == ("web: lo", "web: none")


CLOCK = VirtualClock()


class PlaneDouble:
    """Remembers the listeners it was given, in a log shared with others."""

    def __init__(self, name, log):
        self.name, self.log = name, log
        self.refuses = 0
        self.ground = GROUND
        self.claimed = ""
        self.held = []

    async def apply(self, forwarding, ground=None):
        names = [plan.listener.name for plan in forwarding.plan.listeners]
        if self.refuses:
            self.refuses -= 1
            raise PlaneRefused(f"{self.name} will not")
        if names != self.held:
            self.log.append((self.name, names))
        self.held = names

    def addresses(self):
        return frozenset(HostPort("0.0.0.0", 8000) for _ in self.held)

    async def shed(self, instance_id, count, *, listener=""):
        return min(count, 2)

    def claim(self):
        return self.claimed

    async def survey(self, forwarding):
        return self.ground

    def check(self, listeners):
        return ()

    def choices(self):
        return {}

    async def counts(self, *, max_age=1.0):
        return TrafficCounts({"web": ConnectionCounts(1, 2, 3)}, {("web", self.name): ConnectionCounts(1)})

    async def health(self):
        return {self.name: "fine"}


@pytest.fixture
def rig():
    log = []
    envoy, kernel, detect = (PlaneDouble(name, log) for name in ("envoy", "kernel", "detect"))
    planes = Planes(envoy, kernel, detect, check_port=lambda _: None, clock=CLOCK)
    return planes, {"envoy": envoy, "kernel": kernel, "detect": detect}, log


def forwarding(plane):
    return Forwarding(ForwardingPlan((listening(target(), data_plane=plane),)))


@pytest.mark.parametrize(
    ("start", "end", "steps"),
    [
        (ENVOY, KERNEL, [("kernel", ["web"]), ("envoy", [])]),
        (KERNEL, ENVOY, [("envoy", ["web"]), ("kernel", [])]),
        (DETECT, KERNEL, [("kernel", ["web"]), ("detect", [])]),
        (KERNEL, DETECT, [("detect", ["web"]), ("kernel", [])]),
        # these two cannot both have the socket
        (ENVOY, DETECT, [("envoy", []), ("detect", ["web"])]),
        (DETECT, ENVOY, [("detect", []), ("envoy", ["web"])]),
        (KERNEL, KERNEL, []),
        (ENVOY, ENVOY, []),
    ],
)
async def test_a_port_that_moves(rig, start, end, steps):
    planes, _, log = rig
    await planes.apply(forwarding(start))
    log.clear()
    await planes.apply(forwarding(end))
    CLOCK.advance(LINGER_SECONDS)
    await planes.retire()
    assert log == steps
    assert planes.choices() == {"web": Choice(end, "as configured")}


@pytest.mark.parametrize("start", [ENVOY, DETECT])
async def test_a_socket_outlives_the_move_to_the_kernel_for_a_while(rig, start):
    planes, doubles, _ = rig
    await planes.apply(forwarding(start))
    await planes.apply(forwarding(KERNEL))
    CLOCK.advance(LINGER_SECONDS / 2)
    await planes.retire()
    await planes.apply(forwarding(KERNEL))
    assert doubles[start.value].held == ["web"]
    CLOCK.advance(LINGER_SECONDS / 2)
    await planes.retire()
    assert doubles[start.value].held == []


async def test_nothing_lingers_that_is_gone_or_moves_on_or_is_not_wanted_any_more(rig):
    planes, doubles, log = rig
    await planes.apply(forwarding(ENVOY))
    await planes.apply(forwarding(KERNEL))
    await planes.apply(forwarding(DETECT))
    assert [doubles[name].held for name in ("envoy", "kernel", "detect")] == [[], [], ["web"]]
    await planes.apply(forwarding(KERNEL))
    assert doubles["detect"].held == ["web"]
    await planes.apply(Forwarding())
    assert doubles["detect"].held == []
    log.clear()
    CLOCK.advance(LINGER_SECONDS)
    await planes.retire()
    assert log == []


async def test_a_plane_that_will_not_keep_a_socket_closes_it(rig):
    planes, doubles, _ = rig
    await planes.apply(forwarding(ENVOY))
    doubles["envoy"].refuses = 1
    await planes.apply(forwarding(KERNEL))
    assert doubles["envoy"].held == []


@pytest.mark.parametrize(("start", "end"), list(permutations((ENVOY, KERNEL, DETECT), 2)))
@pytest.mark.parametrize("refusing", ["start", "end"])
async def test_a_refusal_leaves_all_as_they_were(rig, start, end, refusing):
    planes, doubles, _ = rig
    await planes.apply(forwarding(start))
    before = planes.choices()
    refusing = {"start": start, "end": end}[refusing].value
    # what may linger is asked a second time, without that
    doubles[refusing].refuses = 2 if end is KERNEL and refusing == start.value else 1
    with pytest.raises(PlaneRefused, match=refusing):
        await planes.apply(forwarding(end))
    held = {name: double.held for name, double in doubles.items()}
    assert held == {"envoy": [], "kernel": [], "detect": []} | {start.value: ["web"]}
    assert planes.choices() == before


async def test_a_first_plan_that_fails_takes_nothing_from_an_adopted_envoy(rig):
    planes, doubles, log = rig
    doubles["envoy"].refuses = 1
    with pytest.raises(PlaneRefused):
        await planes.apply(forwarding(KERNEL))
    assert log == [("kernel", ["web"])]


async def test_auto_is_envoy_where_another_nlb_has_the_kernel(rig):
    planes, doubles, _ = rig
    doubles["kernel"].claimed = "another has it"
    await planes.apply(forwarding(DataPlaneKind.AUTO))
    assert planes.choices() == {"web": Choice(ENVOY, "another has it")}
    with pytest.raises(PlaneRefused, match="another has it"):
        await planes.apply(forwarding(KERNEL))


async def test_counts_and_health_are_those_of_all(rig):
    planes, _, _ = rig
    counts = await planes.counts()
    assert counts.listeners == {"web": ConnectionCounts(3, 6, 9)}
    assert set(counts.endpoints) == {("web", "envoy"), ("web", "kernel"), ("web", "detect")}
    assert await planes.health() == {"envoy": "fine", "kernel": "fine", "detect": "fine"}
    assert await planes.shed("a", 5) == 5


async def test_a_survey_that_fails_changes_nothing(rig):
    planes, doubles, log = rig

    async def away(_):
        raise PlaneUnavailable("ip does not answer")

    doubles["kernel"].survey = away
    with pytest.raises(PlaneUnavailable):
        await planes.apply(forwarding(KERNEL))
    assert log == []


@pytest.mark.parametrize(
    ("listener", "paths"),
    [
        (Listener("dns", "0.0.0.0", 53, data_plane=KERNEL), ["listeners[0].balance"]),
        (Listener("dns", "0.0.0.0", 53, module.Protocol.UDP), []),
        (Listener("web", "0.0.0.0", 80), []),
    ],
)
def test_what_neither_can_carry(rig, listener, paths):
    assert [problem.path for problem in rig[0].check([listener])] == paths
