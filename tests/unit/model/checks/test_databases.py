"""Faults of routes of databases and of their pools; each is told at its path in the document, with a remedy."""

from dataclasses import replace

import pytest

from marchproxy.model.checks import check_pools, check_routes
from marchproxy.model.database import DATABASE_PROTOCOLS, DatabasePool, DatabaseRoute, Pooling, ReadTarget
from marchproxy.model.http import Cors, DirectResponse, HeaderEdits, Mirror, Rewrite, Sticky, StickyKind
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool, Endpoint, HealthCheck
from marchproxy.model.route import (
    BackendRef,
    HeaderMatch,
    PathMatch,
    QueryMatch,
    RetryPolicy,
    Route,
    RouteMatch,
)
from marchproxy.model.sql import SQL_KINDS, SqlMode, SqlRule, SqlScope, SqlTrait

SERVERS = [BackendPool(word, protocol=Protocol(word)) for word in ("postgres", "mysql", "mongodb", "redis")]
POOLS = [*SERVERS, BackendPool("web"), BackendPool("green", protocol=Protocol.POSTGRES)]
RULE = SqlRule("cards", SqlMode.BLOCK, tables=("cards",))


def route(protocol=Protocol.POSTGRES, **change):
    plain = Route("r", protocol=protocol, backends=(BackendRef(protocol.value),))
    return replace(plain, **change)


def database(protocol=Protocol.POSTGRES, **options):
    return route(protocol, database=DatabaseRoute(**options))


def rules(*given):
    return database(firewall=given)


BOTH = (BackendRef("postgres", 50), BackendRef("green", 50))


@pytest.mark.parametrize(
    "sound",
    [
        *(route(protocol) for protocol in sorted(DATABASE_PROTOCOLS, key=str)),
        database(databases=("shop", "shop_*"), users=("app_?",), applications=("[a-z]*",), rename="shop2"),
        database(target=ReadTarget.REPLICA, switch_timeout=0.0, catch_up=0.0),
        replace(database(writes="green", split_reads=True), backends=BOTH),
        database(Protocol.MYSQL, writes="mysql", firewall=(RULE,)),
        database(Protocol.MONGODB, databases=("shop",), split_reads=True),
        database(Protocol.REDIS, databases=("0", "1?", "[2-4]"), prefixes=("cart:",), needs=("watch", "databases")),
        route(Protocol.REDIS, mirrors=(Mirror("redis", 50.0),)),
        route(sources=("10.0.0.0/8",), destination_port=5432, metadata={"a": "b"}),
        rules(
            RULE,
            SqlRule("all", SqlMode.LOG),
            SqlRule("more", SqlMode.ALLOW, tuple(sorted(SQL_KINDS)), ("public.*",), ("n",), ("pg_*",), tuple(SqlTrait), SqlScope(("A",), ("B",), ("C",))),
        ),
    ],
)  # fmt: skip
def test_sound_routes(sound):
    assert list(check_routes([sound], POOLS)) == []


FAULTS = [
    (
        route(match=RouteMatch(("a",), PathMatch(value="/a"), ("GET",), (HeaderMatch("x"),), (QueryMatch("q"),))),
        ["hosts", "path", "methods", "headers", "query"],
        "is for HTTP; postgres has no such thing: remove it",
    ),
    (
        route(timeout=1.0, idle_timeout=1.0, retry=RetryPolicy(1), source_port=1, upgrades=()),
        ["timeout", "idle_timeout", "retry", "source_port", "upgrades"],
        "is for HTTP",
    ),
    (
        route(Protocol.REDIS, rewrite=Rewrite("h"), request_headers=HeaderEdits(remove=("x",)), response=DirectResponse(200),
              cors=Cors(("*",)), sticky=Sticky(StickyKind.SOURCE), allow=("::1",), deny=("::1",), max_request_bytes=1, compression=True),
        ["response", "rewrite", "request_headers", "cors", "sticky", "allow", "deny", "max_request_bytes", "compression"],
        "is for HTTP; redis has no such thing",
    ),
    (route(mirrors=(Mirror("postgres"),)), ["mirrors"], "is for HTTP and Redis; postgres has no such thing"),
    (route(Protocol.REDIS, mirrors=(Mirror("no"),)), ["mirrors[0].pool"], 'no pool "no"'),
    (route(backends=(BackendRef("web"),)), ["backends[0].pool"], "web speaks http, the route postgres; give both the same protocol"),
    (route(backends=(BackendRef("mysql"),)), ["backends[0].pool"], "mysql speaks mysql, the route postgres"),
    (Route("r", backends=(BackendRef("redis"),)), ["backends[0].pool"], "redis speaks redis, the route http"),
    (Route("r", database=DatabaseRoute()), ["database"], "is for mongodb, mysql, postgres and redis, not for http"),
    (Route("r", protocol=Protocol.TCP, database=DatabaseRoute()), ["database"], "not for tcp"),
    (database(databases=("", "a\n", "x" * 257)), ["database.databases[0]", "database.databases[1]", "database.databases[2]"], "1 to 256 characters"),
    (database(users=("a", "b", "a")), ["database.users[2]"], '"a" stands there twice'),
    (database(applications=("",)), ["database.applications[0]"], "1 to 256 characters"),
    (database(prefixes=("a",), needs=("watch",)), ["database.prefixes", "database.needs"], "is for redis; postgres has no such thing: remove it"),
    (database(Protocol.REDIS, needs=("watch", "lua")), ["database.needs[1]"], '"lua" is nothing that is known; known: blocking, databases, subscribe, watch'),
    (database(Protocol.REDIS, databases=("shop",), rename="x"), ["database.databases[0]", "database.rename"], "is not a number; Redis has 0, 1, 2"),
    (database(Protocol.REDIS, writes="redis", firewall=(RULE,)), ["database.writes", "database.firewall"], "is for mysql and postgres; redis has no such thing"),
    (database(Protocol.MONGODB, firewall=(RULE,)), ["database.firewall"], "mongodb has no such thing"),
    (database(writes="green"), ["database.writes"], '"green" is not one of the route\'s backends; known: postgres'),
    (database(writes="postgres", target=ReadTarget.REPLICA), ["database.writes"], "nothing is written with target: replica"),
    (database(split_reads=True, target=ReadTarget.PRIMARY), ["database.split_reads"], "all reads go to one kind of server with target: primary"),
    (database(switch_timeout=-1.0, catch_up=float("inf")), ["database.switch_timeout", "database.catch_up"], "is not"),
    (rules(RULE, RULE), ["database.firewall[1].id"], "the same as"),
    (rules(replace(RULE, id="a b")), ["database.firewall[0].id"], "is not a name"),
    (rules(replace(RULE, kinds=("select", "slect"))), ["database.firewall[0].kinds[1]"], '"slect" is no kind of statement; known: alter'),
    (rules(replace(RULE, kinds=("DROP",))), ["database.firewall[0].kinds[0]"], 'did you mean "drop"?'),
    (rules(replace(RULE, tables=("Cards",), columns=("a", "a"), functions=("",))),
     ["database.firewall[0].tables[0]", "database.firewall[0].columns[1]", "database.firewall[0].functions[0]"], 'write it in lower case: "cards"'),
    (rules(replace(RULE, scope=SqlScope(("",), ("",), ("",)))),
     ["database.firewall[0].users[0]", "database.firewall[0].databases[0]", "database.firewall[0].applications[0]"], "1 to 256 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("faulty", "paths", "message"), FAULTS)
def test_each_fault_is_told_at_its_path(faulty, paths, message):
    problems = list(check_routes([faulty], POOLS))
    assert sorted(problem.path for problem in problems) == sorted(f"routes[0].{path}" for path in paths)
    assert any(message in problem.message for problem in problems), problems


ONE = BackendPool("p", protocol=Protocol.POSTGRES, endpoints=(Endpoint("a:1"),))
TWO = replace(ONE, endpoints=(Endpoint("a:1"), Endpoint("b:1")))


def pool(plain=ONE, **options):
    return replace(plain, database=DatabasePool(**options))


@pytest.mark.parametrize(
    "sound",
    [
        ONE,
        pool(TWO, users="/users", monitor="m"),
        pool(pooling=Pooling.SESSION, size=100_000, idle=0.0, lifetime=0.0, max_lag=0.0, reset=""),
        replace(TWO, protocol=Protocol.MONGODB),
        pool(replace(TWO, protocol=Protocol.REDIS), cluster=True),
        replace(ONE, health_check=HealthCheck()),
    ],
)
def test_sound_pools(sound):
    assert list(check_pools([sound])) == []


@pytest.mark.parametrize(
    ("faulty", "paths", "message"),
    [
        (pool(BackendPool("p")), ["database"], "is for mongodb, mysql, postgres and redis, not for http; set protocol"),
        (TWO, ["database.monitor"], "is needed of several servers"),
        (replace(TWO, protocol=Protocol.MYSQL), ["database.monitor"], "is needed of several servers"),
        (pool(TWO, monitor="m"), ["database.monitor"], "goes with users"),
        (pool(users="users"), ["database.users"], "is not the absolute path of a file"),
        (pool(size=0), ["database.size"], "0 is not between 1 and 100,000"),
        (pool(size=100_001), ["database.size"], "is not between"),
        (pool(wait=0.0, probe_interval=0.0), ["database.wait", "database.probe_interval"], ""),
        (pool(idle=-1.0, lifetime=-1.0, max_lag=-1.0), ["database.idle", "database.lifetime", "database.max_lag"], ""),
        (pool(monitor_database=""), ["database.monitor_database"], "is needed"),
        (pool(cluster=True), ["database.cluster"], "is for redis; postgres has no such thing: remove it"),
        (pool(replace(ONE, protocol=Protocol.REDIS), reset="x"), ["database.reset"], "is for mysql and postgres"),
        (replace(ONE, health_check=HealthCheck(path="/")), ["health_check.path"], "is for HTTP; postgres has no such thing"),
    ],
)  # fmt: skip
def test_each_fault_of_a_pool_is_told_at_its_path(faulty, paths, message):
    problems = list(check_pools([faulty]))
    assert [problem.path for problem in problems] == [f"pools[0].{path}" for path in paths]
    assert message in problems[0].message


OVERLAPS = [
    ({}, {}, True),
    ({"databases": ("shop",)}, {}, False),  # the one that says more goes first
    ({"databases": ("shop",)}, {"users": ("app",)}, True),
    ({"databases": ("shop", "crm")}, {"databases": ("crm",)}, True),
    ({"databases": ("shop",)}, {"databases": ("crm",)}, False),
    ({"databases": ("shop_*",)}, {"databases": ("*_eu",)}, True),
    ({"databases": ("shop_*",)}, {"databases": ("crm_*",)}, False),
    ({"databases": ("a",), "users": ("x",)}, {"databases": ("a",), "users": ("y*",)}, False),
    ({"databases": ("a",), "users": ("x",)}, {"databases": ("a",), "applications": ("y",)}, True),
]


@pytest.mark.parametrize(("first", "second", "ambiguous"), OVERLAPS)
def test_routes_that_one_session_could_take(first, second, ambiguous):
    routes = [
        replace(database(**options), route_id=f"r{number}") for number, options in enumerate((first, second))
    ]
    problems = list(check_routes(routes, POOLS))
    assert [problem.path for problem in problems] == ["routes[1].priority"] * ambiguous
    assert not list(check_routes([routes[0], replace(routes[1], priority=1)], POOLS))


@pytest.mark.parametrize(
    ("change", "ambiguous"),
    [
        ([{"destination_port": 5432}, {"destination_port": 5432}], True),
        ([{"destination_port": 5432}, {"destination_port": 5433}], False),
        ([{"destination_port": 5432}, {"sources": ("10.0.0.0/8",)}], True),
        ([{"sources": ("10.0.0.0/8",)}, {"sources": ("10.1.0.0/16",)}], True),
        ([{"sources": ("10.0.0.0/8",)}, {"sources": ("11.0.0.0/8",)}], False),
        ([{"protocol": Protocol.MYSQL, "backends": ()}, {}], False),
        (
            [{"listeners": ("a",)}, {"listeners": ("b",)}],
            True,
        ),  # a DBLB does not know by which one a client came
    ],
)
def test_routes_by_where_a_client_is_from_and_where_it_came(change, ambiguous):
    routes = [route(route_id=f"r{number}", **options) for number, options in enumerate(change)]
    problems = list(check_routes(routes, POOLS))
    assert [problem.path for problem in problems] == ["routes[1].priority"] * ambiguous


@pytest.mark.parametrize(
    ("first", "second", "ambiguous"),
    [(("a",), ("a",), True), (("a", "b"), ("c", "b"), True), (("a",), ("ab",), False), ((), ("a",), False)],
)
def test_routes_of_redis_by_the_prefix_of_keys(first, second, ambiguous):
    routes = [
        replace(database(Protocol.REDIS, prefixes=prefixes), route_id=f"r{number}")
        for number, prefixes in enumerate((first, second))
    ]
    assert bool(list(check_routes(routes, POOLS))) == ambiguous


def test_thousands_of_routes_are_compared_by_what_tells_them_apart():
    routes = [
        replace(database(databases=(f"shop{number}",)), route_id=f"r{number}") for number in range(3000)
    ]
    assert list(check_routes([*routes, replace(database(), route_id="rest")], POOLS)) == []
    twin = replace(routes[7], route_id="twin")
    (problem,) = check_routes([*routes, twin], POOLS, sound=routes)
    assert (problem.path, '"twin" overlaps "r7"' in problem.message) == ("routes[3000].priority", True)
