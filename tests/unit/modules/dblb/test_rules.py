"""What a DBLB cannot do, what it takes, and which route it is."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from marchproxy.contract.document import decode
from marchproxy.model.database import DatabaseRoute
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.dblb.rules import Plans, answer, faults

DOCUMENT = b"""
authentication:
  - {name: people, kind: userlist, file: /people}
pools:
  - {name: blue, protocol: postgres, version: v1, endpoints: ["a:1"]}
  - {name: green, protocol: postgres, version: v2, endpoints: ["b:1"]}
  - {name: cache, protocol: redis, endpoints: ["c:1"]}
  - {name: web}
routes:
  - id: shop
    protocol: postgres
    priority: 5
    backends: [{pool: blue, weight: 90}, {pool: green, weight: 10}]
    authentication: [people]
    database: {databases: [shop], writes: blue, split_reads: true, firewall: [{id: no-ddl, mode: block, kinds: [ddl]}]}
  - {id: reports, protocol: postgres, priority: 6, backends: [green], database: {databases: [shop], users: ["report*"], target: replica}}
  - {id: inside, protocol: postgres, backends: [blue], sources: [10.0.0.0/8], destination_port: 5433}
  - {id: keys, protocol: redis, backends: [cache]}
  - {id: page, backends: [web]}
rate_limits:
  - {id: calm, target: shop, max_concurrent: 10}
  - {id: off, target: shop, per: user, max_concurrent: 10, enabled: false}
  - {id: all, target: "*", requests_per_second: 100}
"""
STATE = decode(DOCUMENT)
PLAN = Plans().of(STATE)
SERVED = frozenset({Protocol.POSTGRES, Protocol.MYSQL})


def ask(protocol: Protocol = Protocol.POSTGRES, *, name: str = "", **options: tuple[str, ...]) -> Route:
    return Route(RouteId(name), protocol=protocol, database=DatabaseRoute(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("route", "context", "found", "words"),
    [
        (ask(), {"database": "shop", "user": "app"}, "shop", "takes database shop, user app"),
        (ask(databases=("shop",)), {}, "shop", 'route "shop", databases shop takes database shop'),
        (ask(databases=("*", "shop"), users=("reporter",)), {}, "reports", "users report* takes"),
        (ask(databases=("shop",)), {"user": "report_1"}, "reports", "takes database shop, user report_1"),
        (ask(), {"client": "10.1.2.3", "port": "5433"}, "inside", "clients of 10.0.0.0/8, port 5433 takes client 10.1.2.3"),
        (ask(), {"client": "10.1.2.3", "port": "5432"}, "", "no route for client 10.1.2.3, port 5432"),
        (ask(databases=("crm",)), {}, "", "no route for database crm"),
        (ask(), {"application": "psql"}, "", "no route for application psql"),
        (ask(name="reports", databases=("crm",)), {}, "reports", "its route of that id"),
        (ask(Protocol.HTTP), {}, "", "a DBLB serves databases, not http"),
        (ask(Protocol.REDIS), {}, "", "no port for redis is open here"),
        (replace(ask(), module_type=ModuleType.ALB), {}, "", "the route is meant for alb"),
    ],
)  # fmt: skip
def test_which_route_takes_a_session(
    route: Route, context: Mapping[str, str], found: str, words: str
) -> None:
    verdict = answer(PLAN, SERVED, route, context)
    assert (verdict.can_handle, verdict.details.get("route_id", "")) == (bool(found), found)
    assert words in verdict.reason


def test_a_listener_as_a_whole() -> None:
    verdict = answer(PLAN, SERVED, ask(), {})
    assert (verdict.can_handle, verdict.reason, verdict.details) == (True, "serves postgres", {"routes": "3"})
    assert answer(PLAN, SERVED, replace(ask(), destination_port=6543), {"explain": "true"}) == verdict
    assert answer(PLAN, SERVED, Route(RouteId(""), protocol=Protocol.MYSQL), {}).details == {"routes": "0"}


def test_what_is_told_of_the_route() -> None:
    verdict = answer(PLAN, SERVED, ask(databases=("shop",)), {})
    assert verdict.priority == 5
    assert verdict.details == {
        "route_id": "shop",
        "match": 'route "shop", databases shop',
        "pools": "blue (v1) 90 %, green (v2) 10 %",
        "reads": "from replicas where that is safe",
        "writes": "blue",
        "authentication": "people",
        "rate_limits": "calm, all",
        "firewall": "no-ddl",
    }
    reports = answer(PLAN, SERVED, ask(name="reports"), {})
    assert reports.details["reads"] == "from replicas; writes are refused"
    assert answer(PLAN, SERVED, ask(name="inside"), {}).details["reads"] == "from the primary"


def test_the_plan_of_a_state_is_made_once() -> None:
    plans = Plans()
    assert plans.of(STATE) is plans.of(STATE)
    assert not plans.of(replace(STATE, routes=())).routes


def test_nothing_is_wrong_with_what_a_dblb_can_do() -> None:
    assert list(faults(STATE)) == []


@pytest.mark.parametrize(
    ("pool", "route", "paths", "message"),
    [
        ("", "backends: []", ["routes[0].backends"], "needs a pool of its servers"),
        ("endpoints: []", "", ["pools[0].endpoints"], "needs the addresses of its servers"),
        ("discovery: {srv: _a._tcp.b}", "", ["pools[0].discovery.srv"], "does not look for servers; list them"),
        ("breakers: {max_requests: 5}, slow_start: 1s, hash_table: ring", "",
         ["pools[0].breakers", "pools[0].slow_start", "pools[0].hash_table"], "is for HTTP; mongodb has no such thing"),
        ("", "database: {rename: b}", ["routes[0].database.rename"], "name the database in each command; remove it"),
    ],
)  # fmt: skip
def test_what_a_dblb_cannot_do(pool: str, route: str, paths: list[str], message: str) -> None:
    pools = f"pools: [{{name: p, protocol: mongodb, {pool or 'metadata: {}'}, {'' if 'endpoints' in pool else 'endpoints: [a:1]'}}}]"
    routes = f"routes: [{{id: r, protocol: mongodb, {route or 'metadata: {}'}, {'' if 'backends' in route else 'backends: [p]'}}}]"
    problems = list(faults(decode(f"{pools}\n{routes}".encode())))
    assert [problem.path for problem in problems] == paths
    assert message in problems[0].message


def test_what_is_another_modules_is_left_alone() -> None:
    other = decode(
        b"pools: [{name: p, protocol: postgres}]\nroutes: [{id: r, protocol: postgres, module: alb, backends: [p]}]"
    )
    assert list(faults(other)) == []
