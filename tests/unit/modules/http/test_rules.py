"""What the ALB takes, and which route it is."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from marchproxy.contract.document import decode
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.route import HeaderMatch, PathKind, PathMatch, Route, RouteId, RouteMatch
from marchproxy.modules.http.rules import OwnRoutes, answer, faults

STATE = decode(b"""
routes:
  - {id: shop, hosts: [shop.example.com], priority: 5, backends: [{pool: blue, weight: 90}, {pool: green, weight: 10}]}
  - {id: form, hosts: [shop.example.com], path: /form, methods: [POST], priority: 5, backends: [blue]}
  - {id: beta, hosts: [shop.example.com], path: /beta, headers: [{name: X-Beta, exact: "1"}], priority: 9, backends: [green]}
  - {id: second, hosts: [shop.example.com], path: /form, query: [{name: v, exact: "2"}], priority: 6, backends: [blue]}
  - {id: inside, hosts: [shop.example.com], path: /form, sources: [10.0.0.0/8], priority: 7, backends: [blue]}
  - {id: inference, path: /v1, module: ailb}
pools:
  - {name: blue, version: v1, endpoints: ["127.0.0.1:81"]}
  - {name: green, version: v2, endpoints: ["127.0.0.1:82"]}
rate_limits:
  - {id: calm, target: shop, requests_per_second: 10}
  - {id: all, target: "*", requests_per_second: 100}
  - {id: off, target: form, requests_per_second: 100, enabled: false}
""")
OWN = OwnRoutes(ModuleType.ALB).of(STATE)


def test_own_routes_are_those_of_the_state_that_is_asked_about() -> None:
    own = OwnRoutes(ModuleType.ALB)
    assert set(own.of(STATE)) == {"shop", "form", "beta", "second", "inside"}
    assert own.of(STATE) is own.of(STATE)
    assert set(own.of(replace(STATE, routes=STATE.routes[:1]))) == {"shop"}


def ask(
    path: str = "/",
    *,
    host: str = "shop.example.com",
    name: str = "",
    headers: Mapping[str, str] | None = None,
) -> Route:
    matches = tuple(HeaderMatch(key, value=value) for key, value in (headers or {}).items())
    return Route(RouteId(name), RouteMatch((host,), PathMatch(PathKind.EXACT, path), headers=matches))


@pytest.mark.parametrize(
    ("route", "context", "found", "words"),
    [
        (
            ask("/"),
            {},
            "shop",
            'route "shop", hosts shop.example.com, prefix / matches GET shop.example.com/',
        ),
        (ask("/form"), {}, "shop", "matches GET"),
        (ask("/form"), {"method": "POST"}, "form", "methods POST matches POST shop.example.com/form"),
        (ask("/form"), {"query": "a&v=2"}, "second", "query v matches"),
        (ask("/form"), {"query": "v=2", "client": "10.0.0.1"}, "inside", "clients of 10.0.0.0/8 matches"),
        (ask("/form"), {"client": "11.0.0.1"}, "shop", "matches GET"),
        (ask("/beta"), {}, "shop", "matches"),
        (ask("/beta", headers={"x-BETA": "1"}), {}, "beta", "headers X-Beta matches"),
        (ask("/x", host="other.example.com"), {}, "", "no route for GET other.example.com/x"),
        (Route(RouteId("form")), {}, "form", "its route of that id"),
        (Route(RouteId("")), {}, "", "serves HTTP"),
        (Route(RouteId(""), protocol=Protocol.GRPC), {}, "", "serves HTTP"),
        (Route(RouteId(""), protocol=Protocol.POSTGRES), {}, "", "an ALB serves HTTP, not postgres"),
        (Route(RouteId("inference"), module_type=ModuleType.AILB), {}, "", "the route is meant for ailb"),
    ],
)
def test_answer(route: Route, context: dict[str, str], found: str, words: str) -> None:
    verdict = answer(STATE, OWN, route, context, module=ModuleType.ALB)
    assert words in verdict.reason
    assert verdict.details.get("route_id", "") == found
    assert verdict.can_handle == (bool(found) or verdict.reason == "serves HTTP")


def test_an_answer_explains_itself() -> None:
    verdict = answer(STATE, OWN, ask("/"), {}, module=ModuleType.ALB)
    assert verdict.priority == 5
    assert verdict.details == {
        "route_id": "shop",
        "match": 'route "shop", hosts shop.example.com, prefix /',
        "pools": "blue (v1) 90 %, green (v2) 10 %",
        "rate_limits": "calm, all",
    }


def test_another_modules_route_is_not_counted() -> None:
    assert answer(STATE, OWN, Route(RouteId("")), {}, module=ModuleType.ALB).details == {"routes": "5"}


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        (b"routes: [{id: a}]", "routes[0].backends", "needs a backend pool"),
        (
            (b"routes: [{id: a, backends: [p], authentication: [x, y]}]\npools: [{name: p}]\n"
            b"authentication: [{name: x, kind: basic, file: /f}, {name: y, kind: basic, file: /f}]"),
            "routes[0].authentication[1]",
            "are both basic",
        ),
        (b"pools: [{name: p, protocol: udp}]", "pools[0].protocol", "cannot speak udp"),
    ],
)  # fmt: skip
def test_faults(document: bytes, path: str, words: str) -> None:
    ((problem,),) = [list(faults(decode(document), ModuleType.ALB))]
    assert problem.path == path
    assert words in problem.message


LLM = decode(b"""
routes:
  - id: llm
    path: /v1
    ai:
      models:
        - {name: fast, targets: [vllm, {pool: public, tier: 1}]}
        - {name: "*", targets: [public]}
pools:
  - {name: vllm, version: v2, ai: {provider: vllm}}
  - {name: public, ai: {}}
""")


def test_a_route_of_language_models_needs_no_backends_and_names_its_models() -> None:
    assert list(faults(LLM, ModuleType.AILB)) == []
    own = OwnRoutes(ModuleType.AILB).of(LLM)
    verdict = answer(LLM, own, ask("/v1/models"), {}, module=ModuleType.AILB)
    assert verdict.details == {
        "route_id": "llm",
        "match": 'route "llm", hosts *, prefix /v1',
        "pools": "vllm (v2), public (v1)",
        "models": "fast, *",
    }
    assert OwnRoutes(ModuleType.ALB).of(LLM) == {}


def test_what_belongs_to_others_has_no_faults() -> None:
    assert (
        list(faults(decode(b"routes: [{id: a, module: ailb}, {id: b, protocol: tcp}]"), ModuleType.ALB)) == []
    )


def test_databases_are_no_fault() -> None:
    document = b"""
pools: [{name: p, protocol: postgres, endpoints: ["a:1"], discovery: {file: /f}, tls: {}, database: {users: /u, monitor: m}}]
routes: [{id: a, protocol: postgres, backends: [p], authentication: [u]}]
authentication: [{name: u, kind: userlist, file: /f}]
"""
    assert list(faults(decode(document), ModuleType.ALB)) == []
