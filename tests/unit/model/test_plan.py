from dataclasses import replace

import pytest

from marchproxy.model.listener import Listener
from marchproxy.model.module import HealthStatus, ModuleInstance, ModuleType, Protocol, TrafficEndpoint
from marchproxy.model.plan import Planner, Skipped, Target, Verdict, compile_plan, endpoint_for
from marchproxy.model.route import VersionWeight

HTTP = TrafficEndpoint("http", Protocol.HTTP, "127.0.0.1:10000")
PROXY = TrafficEndpoint("proxy", Protocol.HTTP, "127.0.0.1:10001", proxy_protocol=True)
TCP = TrafficEndpoint("tcp", Protocol.TCP, "127.0.0.1:10002")
WEB = Listener("web", "0.0.0.0", 80)
YES = Verdict(can_handle=True)


def instance(instance_id="a", version="v1", **more):
    values = {"health": HealthStatus.HEALTHY, "traffic_endpoints": (HTTP, PROXY)} | more
    return ModuleInstance(instance_id, ModuleType.ALB, "127.0.0.1:50051", version, **values)


def compiled(*instances, verdicts=None, weights=(), **listener):
    web = Listener(
        "web", "0.0.0.0", 80, version_weights=tuple(VersionWeight(*pair) for pair in weights), **listener
    )
    answers = {(item.instance_id, "web"): YES for item in instances} if verdicts is None else verdicts
    (plan,) = compile_plan([web], instances, answers).listeners
    return plan


def shares(plan):
    return {
        item.version: (item.weight, [target.instance_id for target in item.targets]) for item in plan.versions
    }


@pytest.mark.parametrize(
    ("endpoints", "protocol", "expected"),
    [
        ((HTTP, PROXY), Protocol.HTTP, PROXY),  # the one that carries the client's address
        ((PROXY, HTTP), Protocol.HTTP, PROXY),
        ((HTTP, TCP), Protocol.HTTP, HTTP),
        ((HTTP, TCP), Protocol.GRPC, HTTP),  # travels over HTTP
        ((HTTP, TCP), Protocol.WEBSOCKET, HTTP),
        ((HTTP, TCP), Protocol.TCP, TCP),
        ((HTTP, TCP), Protocol.POSTGRES, None),
        ((), Protocol.HTTP, None),
    ],
)
def test_endpoint_for(endpoints, protocol, expected):
    assert endpoint_for(instance(traffic_endpoints=endpoints), protocol) == expected


@pytest.mark.parametrize(
    ("candidate", "verdict", "reason"),
    [
        (instance(health=HealthStatus.UNHEALTHY), YES, "is unhealthy"),
        (instance(health=HealthStatus.STARTING), YES, "is starting"),
        (instance(health=HealthStatus.STOPPING), YES, "is stopping"),
        (instance(), None, "has not answered CanHandle yet"),
        (instance(), Verdict(can_handle=False, reason="no route"), "cannot handle it: no route"),
        (instance(), Verdict(can_handle=False), "cannot handle it: no reason given"),
        (instance(traffic_weight=0), YES, "has traffic weight 0"),
        (instance(traffic_endpoints=(TCP,)), YES, "offers no http endpoint"),
    ],
)
def test_who_takes_no_traffic_and_why(candidate, verdict, reason):
    plan = compiled(candidate, verdicts={} if verdict is None else {("a", "web"): verdict})
    assert plan.versions == ()
    assert plan.skipped == (Skipped("a", reason),)


@pytest.mark.parametrize("health", [HealthStatus.HEALTHY, HealthStatus.DEGRADED])
def test_who_takes_traffic_and_where(health):
    plan = compiled(instance(health=health, traffic_weight=40))
    assert plan.versions[0].targets == (Target("a", "v1", PROXY, 40, HTTP),)
    assert plan.skipped == ()


def test_without_version_weights_every_instance_has_its_share():
    plan = compiled(instance("c", "v2"), instance("b"), instance("a", traffic_weight=50))
    assert shares(plan) == {"v1": (150, ["a", "b"]), "v2": (100, ["c"])}


@pytest.mark.parametrize(
    ("weights", "expected", "skipped"),
    [
        ([("v1", 95), ("v2", 5)], {"v1": (95, ["a", "b"]), "v2": (5, ["c"])}, []),
        ([("v1", 100), ("v2", 0)], {"v1": (100, ["a", "b"])}, [Skipped("c", 'version "v2" has weight 0')]),
        ([("v2", 100)], {"v2": (100, ["c"])}, [Skipped(name, 'version "v1" has weight 0') for name in "ab"]),
        ([("v3", 100)], {}, [Skipped(name, f'version "{v}" has weight 0') for name, v in [("a", "v1"), ("b", "v1"), ("c", "v2")]]),
        # nobody runs v3: the others keep their proportion
        ([("v1", 50), ("v3", 50)], {"v1": (50, ["a", "b"])}, [Skipped("c", 'version "v2" has weight 0')]),
    ],
)  # fmt: skip
def test_version_weights(weights, expected, skipped):
    plan = compiled(instance("a"), instance("b"), instance("c", "v2"), weights=weights)
    assert shares(plan) == expected
    assert list(plan.skipped) == skipped


def test_other_types_of_module_are_not_even_skipped():
    plan = compiled(instance("a"), module_type=ModuleType.DBLB)
    assert (plan.versions, plan.skipped) == ((), ())


def test_listeners_are_judged_by_themselves_and_instances_in_order():
    two = Listener("two", "0.0.0.0", 81)
    verdicts = {("a", "web"): YES, ("b", "web"): YES, ("b", "two"): YES}
    members = [instance("b"), instance("a")]
    plan = compile_plan([WEB, two], members, verdicts)
    assert [shares(item) for item in plan.listeners] == [{"v1": (200, ["a", "b"])}, {"v1": (100, ["b"])}]
    assert plan == compile_plan([WEB, two], members[::-1], verdicts)


def test_a_listener_keeps_its_plan_while_what_it_rests_on_is_the_same():
    planner, two = Planner(), replace(WEB, name="two", module_type=ModuleType.DBLB)
    alb, other = instance("a"), replace(instance("d"), module_type=ModuleType.DBLB)
    verdicts = {("a", "web"): YES, ("d", "two"): YES}
    first = planner.compile([WEB, two], [alb, other], verdicts)
    ill = replace(other, health=HealthStatus.UNHEALTHY)
    second = planner.compile([WEB, two], [alb, ill], verdicts)
    assert second == compile_plan([WEB, two], [alb, ill], verdicts)
    assert second.listeners[0] is first.listeners[0]
    no = {**verdicts, ("a", "web"): Verdict(can_handle=False)}
    for listeners, instances, said in (
        ([WEB, two], [alb, ill], no),
        ([replace(WEB, port=81)], [alb], no),
        ([WEB], [], no),
        ([WEB, two], [other, alb], verdicts),
    ):
        assert planner.compile(listeners, instances, said) == compile_plan(listeners, instances, said)
