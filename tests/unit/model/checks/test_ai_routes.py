"""Faults of routes to language models; each is told at its path in the document, and nothing else is."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import AiPool, AiRoute, Model, ModelTarget, Prefer, Queue
from marchproxy.model.checks import check_change, check_routes, check_state
from marchproxy.model.http import Cors, HeaderEdits, Mirror, Redirect, Sticky, StickyKind
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import BackendRef, RetryPolicy, Route, RouteMatch
from marchproxy.model.state import DesiredState

POOLS = [
    BackendPool("p", ai=AiPool()),
    BackendPool("q", ai=AiPool()),
    BackendPool("plain"),
    BackendPool("s", ai=AiPool(models={"fast": "Q/Q3", "slow": "Z"}, serves=("Q/*", "llama"))),
]
MODEL = Model("fast", (ModelTarget("p"),))
AI = AiRoute((MODEL,))
PLAIN = Route("r", ai=AI)


def route(**change):
    return replace(PLAIN, **change)


def ai(**change):
    return replace(PLAIN, ai=replace(AI, **change))


def named(*models):
    return ai(models=models)


def asks(*targets, prefer=Prefer.WEIGHT):
    return named(Model("fast", targets, prefer=prefer))


def told(faulty, pools=POOLS):
    return [(problem.path.removeprefix("routes[0]."), problem.message) for problem in check_routes([faulty], pools)]  # fmt: skip


@pytest.mark.parametrize(
    "sound",
    [
        PLAIN,
        route(module_type=ModuleType.AILB, idle_timeout=60.0, priority=3, protocol=Protocol.HTTP3),
        route(match=RouteMatch(hosts=("llm.example",)), cors=Cors(("https://a.example",)), allow=("10.0.0.0/8",)),
        route(authentication=("machines",), request_headers=HeaderEdits(set=(("x-a", "b"),))),
        asks(ModelTarget("p", 90), ModelTarget("q", 10), ModelTarget("p", model="slow", tier=1)),
        asks(ModelTarget("p"), ModelTarget("q"), prefer=Prefer.COST),
        named(Model("gpt-4o", (ModelTarget("p"),), ("small",)), Model("gpt-*", (ModelTarget("q"),)), Model("*", (ModelTarget("p"),))),
        named(Model("claude[1m]", (ModelTarget("p"),)), Model("Qwen/Qwen3:8b", (ModelTarget("q"),))),
        asks(ModelTarget("s")),  # which knows it as Q/Q3
        asks(ModelTarget("s", model="llama")),
        named(Model("*", (ModelTarget("s"),))),
        ai(attempts=10, cache=86400.0, max_body_bytes=64 * 2**20, affinity_header="x-session"),
        ai(queue=Queue(0, 0.0), first_byte_timeout=0.1),
        ai(queue=Queue(priority_header="x-priority")),
    ],
)  # fmt: skip
def test_sound_routes(sound):
    assert told(sound) == []


@pytest.mark.parametrize(
    ("faulty", "paths", "message"),
    [
        (route(backends=(BackendRef("p"),)), ["backends"], "means nothing with ai: ai.models says which pools answer; remove it"),
        (route(redirect=Redirect("https")), ["redirect"], "means nothing with ai"),
        (route(mirrors=(Mirror("p"),), sticky=Sticky(StickyKind.SOURCE)), ["mirrors", "sticky"], "means nothing with ai"),
        (route(retry=RetryPolicy(1), timeout=60.0), ["retry", "timeout"], "means nothing with ai: ai.attempts"),
        (route(max_request_bytes=1, compression=True, upgrades=()), ["max_request_bytes", "compression", "upgrades"], "means nothing"),
        (route(protocol=Protocol.GRPC), ["protocol"], "language models are asked over http, not over grpc"),
        (route(protocol=Protocol.TCP), ["ai", "protocol"], "is for HTTP; tcp has no such thing"),
        (route(protocol=Protocol.REDIS), ["ai"], "is for HTTP; redis has no such thing: remove it"),
        (route(module_type=ModuleType.ALB), ["module"], "ai is for ailb, not for alb; remove it"),
        (ai(models=()), ["ai.models"], 'names no model; {name: "*", targets: [POOL]} takes any'),
        (named(Model("a b", (ModelTarget("p"),))), ["ai.models[0].name"], '"a b" is not a model'),
        (named(Model("", (ModelTarget("p"),), ("*a",))), ["ai.models[0].name", "ai.models[0].aliases[0]"], '"" is not a model'),
        (named(Model("a*b", (ModelTarget("p"),))), ["ai.models[0].name"], '"a*b": a * stands for what follows, so only at the end'),
        (named(MODEL, MODEL), ["ai.models[1].name"], '"fast" is taken by routes[0].ai.models[0].name, which stands before it; put it first'),
        (named(MODEL, Model("slow", (ModelTarget("p"),), ("fast",))), ["ai.models[1].aliases[0]"], '"fast" is taken by'),
        (named(Model("f*", (ModelTarget("p"),)), MODEL), ["ai.models[1].name"], '"fast" is taken by'),
        (named(Model("fast", (ModelTarget("p"),), ("fast",))), ["ai.models[0].aliases[0]"], '"fast" is taken by routes[0].ai.models[0].name'),
        (asks(), ["ai.models[0].targets"], "names no pool, so nobody could answer"),
        (asks(ModelTarget("no")), ["ai.models[0].targets[0].pool"], 'no pool "no"; known: p, q, s'),
        (asks(ModelTarget("plain")), ["ai.models[0].targets[0].pool"], 'pool "plain" has no ai, which says what it speaks'),
        (asks(ModelTarget("s", model="gpt")), ["ai.models[0].targets[0].pool"], 'pool "s" does not serve "gpt"; its ai.serves: Q/*, llama'),
        (named(Model("slow", (ModelTarget("s"),))), ["ai.models[0].targets[0].pool"], 'pool "s" does not serve "Z"'),
        (named(Model("g*", (ModelTarget("s", model="gpt"),))), ["ai.models[0].targets[0].pool"], 'pool "s" does not serve "gpt"'),
        (asks(ModelTarget("p", 50), ModelTarget("p", 50)), ["ai.models[0].targets[1].pool"], "the same as routes[0].ai.models[0].targets[0].pool"),
        (asks(ModelTarget("p", 90), ModelTarget("q", 5)), ["ai.models[0].targets"], "tier 0: the weights add up to 95, they must add up to 100"),
        (asks(ModelTarget("p"), ModelTarget("q", 99, tier=1)), ["ai.models[0].targets"], "tier 1: the weights add up to 99"),
        (asks(ModelTarget("p", 101), ModelTarget("q", -1)), ["ai.models[0].targets[0].weight", "ai.models[0].targets[1].weight"], "101 is not between 0 and 100"),
        (asks(ModelTarget("p"), ModelTarget("q", 10), prefer=Prefer.LATENCY), ["ai.models[0].targets[1].weight"], "means nothing with prefer: latency"),
        (asks(ModelTarget("p", tier=10)), ["ai.models[0].targets[0].tier"], "10 is not between 0 and 9"),
        (asks(ModelTarget("p", model="x*")), ["ai.models[0].targets[0].model"], '"x*" is a pattern; a single name is needed here'),
        (ai(attempts=0), ["ai.attempts"], "0 is not between 1 and 10"),
        (ai(attempts=11, default_output=0, max_body_bytes=64 * 2**20 + 1), ["ai.attempts", "ai.default_output", "ai.max_body_bytes"], "11 is not"),
        (ai(cache=86401.0), ["ai.cache"], "86401 s is not between 0 and a day"),
        (ai(cache=float("nan")), ["ai.cache"], "nan s is not"),
        (ai(first_byte_timeout=0.0), ["ai.first_byte_timeout"], "0.0 s is not more than 0"),
        (ai(queue=Queue(-1)), ["ai.queue.size"], "-1 is not between 0 and 100,000"),
        (ai(queue=Queue(1, 0.0)), ["ai.queue.wait"], "is 0, so nobody could wait; say so with size: 0"),
        (ai(queue=Queue(1, 3601.0)), ["ai.queue.wait"], "3601 s is not between 0 and an hour"),
        (ai(queue=Queue(priority_header="a b"), affinity_header="te"), ["ai.queue.priority_header", "ai.affinity_header"], '"a b" is not a header name'),
    ],
)  # fmt: skip
def test_faults(faulty, paths, message):
    found = told(faulty)
    assert sorted(path for path, _ in found) == sorted(paths)
    assert any(text.startswith(message) for _, text in found), found


def test_where_pools_are_not_known_every_name_will_do():
    assert told(asks(ModelTarget("anything")), None) == []


def test_a_pool_that_loses_its_ai_is_missed_by_routes_that_were_sound():
    before = DesiredState(routes=(PLAIN,), pools=(POOLS[0],))
    assert check_state(before) == ()
    (problem,) = check_change(before, replace(before, pools=(BackendPool("p"),)))
    assert problem.path == "routes[0].ai.models[0].targets[0].pool"


def test_all_pools_that_a_route_names():
    assert asks(ModelTarget("p", 50), ModelTarget("q", 50)).pools == {"p", "q"}
    assert Route("r", backends=(BackendRef("p"),), mirrors=(Mirror("q"),)).pools == {"p", "q"}
