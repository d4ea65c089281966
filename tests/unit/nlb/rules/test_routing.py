"""Routing decisions and the words that explain them."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import AiRoute, Model, ModelTarget
from marchproxy.model.balance import Draw
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.matching import Request
from marchproxy.model.module import (
    HealthStatus,
    InstanceId,
    ModuleInstance,
    ModuleType,
    PoolName,
    Protocol,
    TrafficEndpoint,
    Version,
)
from marchproxy.model.plan import Verdict, compile_plan
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.problem import RefusalCode
from marchproxy.model.route import PathMatch, Route, RouteId, RouteMatch, VersionWeight
from marchproxy.model.sharing import share
from marchproxy.nlb.rules.question import Question
from marchproxy.nlb.rules.routing import Knowledge, decide, serves

WEB = Listener(
    "web",
    "0.0.0.0",
    8000,
    version_weights=(VersionWeight(Version("v1"), 75), VersionWeight(Version("v2"), 25)),
)
PLAIN = Listener("plain", "0.0.0.0", 9000, Protocol.TCP)
DATABASE = Listener("db", "0.0.0.0", 5432, Protocol.POSTGRES, ModuleType.DBLB)


def instance(name: str, version: str, health: HealthStatus = HealthStatus.HEALTHY) -> ModuleInstance:
    endpoint = TrafficEndpoint("http", Protocol.HTTP, f"10.0.0.{name[-1]}:80", proxy_protocol=True)
    return ModuleInstance(
        InstanceId(name), ModuleType.ALB, "h:1", Version(version), health, traffic_endpoints=(endpoint,)
    )


ALBS = [instance("a1", "v1"), instance("a2", "v1"), instance("b3", "v2")]


def known(*instances: ModuleInstance, listeners=(WEB, PLAIN, DATABASE), **more) -> Knowledge:
    verdicts = {(i.instance_id, listener.name): Verdict(True) for i in instances for listener in listeners}
    return Knowledge(compile_plan(listeners, instances, verdicts), **more)


@pytest.mark.parametrize(
    ("roll", "connections", "chosen"),
    [
        (0.0, {"a1": 3, "a2": 1}, "a2"),
        (0.74, {"a1": 0, "a2": 1}, "a1"),
        (0.75, {"b3": 99}, "b3"),
        (0.99, {}, "b3"),
    ],
)
def test_version_by_weight_then_instance_by_connections(roll, connections, chosen):
    decision = decide(Question(port=8000), known(*ALBS, connections=connections), Draw(rolls=(roll, 0.0)))
    assert decision.target
    assert decision.target.instance_id == chosen


def test_the_drawn_shares_are_the_weights():
    draws = [Draw(rolls=(number / 100, 0.0)) for number in range(100)]
    versions = [decide(Question("web"), known(*ALBS), draw).version for draw in draws]
    assert (versions.count("v1"), versions.count("v2")) == (75, 25)


def test_source_hash_keeps_a_client_at_its_instance():
    sticky = Listener("web", "0.0.0.0", 8000, balance=BalancePolicy.SOURCE_HASH)
    what = known(*ALBS, listeners=(sticky,))
    for client in ("192.0.2.1", "192.0.2.7"):
        chosen = {
            decide(Question("web", source=client), what, Draw(turn, (turn / 10, 0.5), client)).target
            for turn in range(10)
        }
        assert len(chosen) == 1


@pytest.mark.parametrize(
    ("question", "listener"),
    [
        (Question(listener="plain"), "plain"),
        (Question(port=5432), "db"),
        (Question(protocol=Protocol.HTTP2), "web"),  # HTTP in any version is one family
        (Question(module_type=ModuleType.DBLB), "db"),
    ],
)
def test_the_listener_is_found(question, listener):
    assert decide(question, known(*ALBS), Draw()).listener == listener


@pytest.mark.parametrize(
    ("question", "code", "words"),
    [
        (Question(port=1), RefusalCode.NOT_FOUND, "no listener accepts a connection to port 1"),
        (Question(), RefusalCode.INVALID_ARGUMENT, "several listeners (web, plain, db)"),
        (Question("db"), RefusalCode.UNAVAILABLE, "none is registered"),
    ],
)
def test_what_goes_nowhere_says_why(question, code, words):
    decision = decide(question, known(*ALBS), Draw())
    assert (decision.target, decision.code) == (None, code)
    assert words in decision.reason
    assert decision.trace[-1] == decision.reason


def test_the_reasons_of_instances_that_were_skipped_are_given():
    sick = known(instance("a1", "v1", HealthStatus.UNHEALTHY), listeners=(WEB,))
    decision = decide(Question("web"), sick, Draw())
    assert decision.reason == "no alb instance takes connections: a1 is unhealthy"


SHOP = Route(RouteId("shop"), RouteMatch(("shop.example",)), priority=1)
CART = Route(RouteId("cart"), RouteMatch(("shop.example",), PathMatch(value="/cart")), priority=1)
INTERNAL = Route(RouteId("internal"), RouteMatch(("shop.example",)), priority=9, sources=("10.0.0.0/8",))
ELSEWHERE = Route(RouteId("elsewhere"), RouteMatch(("shop.example",)), priority=99, listeners=("other",))
TABLE = (SHOP, CART, INTERNAL, ELSEWHERE)


@pytest.mark.parametrize(
    ("host", "path", "source", "route"),
    [
        ("shop.example", "/", "", "shop"),
        ("shop.example", "/cart/7", "", "cart"),
        ("shop.example", "/cart", "10.1.2.3", "internal"),
        ("shop.example", "/cart", "192.0.2.1", "cart"),
        ("other.example", "/", "", None),
    ],
)
def test_the_route_of_the_table(host, path, source, route):
    question = Question("web", source=source, request=Request(host, path))
    decision = decide(question, known(*ALBS, routes=TABLE), Draw())
    assert (decision.route.route_id if decision.route else None) == route
    assert decision.target is not None  # at this layer the module decides about routes


LLM = Listener("llm", "0.0.0.0", 8000, module_type=ModuleType.AILB)
GUARDED = Listener("guarded", "0.0.0.0", 9100, deny=("10.0.0.0/8",))
AILB = replace(instance("c4", "v1"), instance_id=InstanceId("c4"), module_type=ModuleType.AILB)
COMPLETIONS = Route(RouteId("v1"), RouteMatch((), PathMatch(value="/v1")), module_type=ModuleType.AILB)


@pytest.mark.parametrize(
    ("path", "taken_by", "step"),
    [
        (
            "/v1/chat",
            "c4",
            'it is told from others at the same address: route "v1" sends the request to ailb',
        ),
        (
            "/",
            "a1",
            "it is told from others at the same address: no route that names a module type matches; ",
        ),
    ],
)
def test_a_request_chooses_among_module_types(path, taken_by, step):
    what = known(instance("a1", "v1"), AILB, listeners=(WEB, LLM), routes=(SHOP, COMPLETIONS))
    decision = decide(Question(port=8000, request=Request("shop.example", path)), what, Draw())
    assert decision.target
    assert decision.target.instance_id == taken_by
    assert decision.trace[1].startswith(step)


@pytest.mark.parametrize(("source", "code"), [("10.1.2.3", RefusalCode.PERMISSION_DENIED), ("::1", None)])
def test_a_client_that_may_not_connect_is_told_so(source, code):
    decision = decide(Question("guarded", source=source), known(*ALBS, listeners=(GUARDED,)), Draw())
    assert decision.code is code
    if code:
        assert decision.reason == 'listener "guarded" denies 10.1.2.3: it is in 10.0.0.0/8'
        assert (decision.listener, decision.target) == ("guarded", None)


def test_limits_that_count_it_are_told():
    limits = (
        RateLimit(LimitId("calm"), "listener:web", per_second=5, per_hour=100, burst=9),
        RateLimit(LimitId("elsewhere"), "listener:plain", per_second=5),
    )
    trace = decide(Question("web"), known(*ALBS, limits=limits), Draw()).trace
    assert [step for step in trace if step.startswith("limit")] == [
        'limit "calm" on listener:web: 5 a second, 100 an hour, 9 at once; connections beyond it are closed'
    ]


@pytest.mark.parametrize(
    ("route", "served"),
    [
        (SHOP, ["web"]),  # without a module type it is the first listener's
        (COMPLETIONS, ["llm"]),
        (replace(SHOP, module_type=ModuleType.DBLB), []),
        (replace(SHOP, listeners=("llm",), module_type=ModuleType.AILB), ["llm"]),
        (replace(SHOP, destination_port=1), []),
    ],
)
def test_which_listeners_a_route_concerns(route, served):
    (port,) = share((WEB, LLM))
    assert [listener.name for listener in (WEB, LLM) if serves(route, listener, port)] == served


def test_the_pools_of_a_route_of_language_models_are_told():
    targets = (ModelTarget(PoolName("own")), ModelTarget(PoolName("bought"), tier=1))
    route = replace(CART, ai=AiRoute((Model("fast", targets),)))
    gateway = replace(ALBS[0], module_type=ModuleType.AILB)
    what = known(
        gateway, listeners=(replace(WEB, module_type=ModuleType.AILB, version_weights=()),), routes=(route,)
    )
    question = Question(port=8000, request=Request("shop.example", "/cart"))
    assert decide(question, what, Draw()).trace[1] == (
        'route "cart" (priority 1) matches GET shop.example/cart; its pools: own, bought, as the model asks'
    )
    assert not serves(route, WEB, share([WEB])[0])  # which is an ALB's


CHOSEN = (
    "least_connections chose a1 (open connections: a1 0, a2 0); "
    "its endpoint is 10.0.0.1:80 with PROXY protocol v2"
)


def test_the_trace_tells_every_step():
    verdicts = {(InstanceId("a1"), "cart"): Verdict(False, reason="no pool")}
    what = known(*ALBS, routes=TABLE, verdicts=verdicts)
    question = Question(port=8000, source="192.0.2.1", request=Request("shop.example", "/cart"))
    assert decide(question, what, Draw()).trace == (
        'listener "web" at 0.0.0.0:8000 (http) accepts a connection to port 8000 from 192.0.2.1; behind it: alb',
        'route "cart" (priority 1) matches GET shop.example/cart; its pools: none',
        'version "v1" was drawn from v1 75 %, v2 25 %',
        CHOSEN,
        'a1 says it can not handle route "cart": no pool',
    )
