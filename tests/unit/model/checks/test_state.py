from dataclasses import replace

import pytest

from marchproxy.model.checks import check_address, check_state
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool, Endpoint, HealthCheck
from marchproxy.model.route import (
    BackendRef,
    HeaderKind,
    HeaderMatch,
    PathKind,
    PathMatch,
    RetryPolicy,
    Route,
    RouteMatch,
    VersionWeight,
)
from marchproxy.model.state import DesiredState

LISTENER = Listener("web", "0.0.0.0", 80, version_weights=(VersionWeight("v1", 95), VersionWeight("v2", 5)))
POOL = BackendPool(
    "p1", endpoints=(Endpoint("127.0.0.1:1"), Endpoint("b.internal:1", 100)), health_check=HealthCheck()
)
ROUTE = Route(
    "shop",
    RouteMatch(
        ("shop.example", "*.shop.example", "*"), PathMatch(), ("GET",), (HeaderMatch("x", value="1"),)
    ),
    (BackendRef("p1", 95), BackendRef("p2", 5)),
    listeners=("web",),
    sources=("10.0.0.0/8", "::1"),
)
LIMIT = RateLimit("limit", "shop", per_second=5, burst=10)
SOUND = DesiredState(
    (LISTENER,), (ROUTE,), (POOL, BackendPool("p2")), (LIMIT, RateLimit("all", "*", per_hour=1))
)


def listener(**change):
    return replace(SOUND, listeners=(replace(LISTENER, **change),))


def pool(**change):
    return replace(SOUND, pools=(replace(POOL, **change), SOUND.pools[1]))


def check(**change):
    return pool(health_check=replace(HealthCheck(), **change))


def route(**change):
    return replace(SOUND, routes=(replace(ROUTE, **change),))


def match(**change):
    return route(match=replace(ROUTE.match, **change))


def path(kind, value):
    return match(path=PathMatch(kind, value))


def header(*arguments):
    return match(headers=(HeaderMatch("y"), HeaderMatch(*arguments)))


def limit(**change):
    return replace(SOUND, rate_limits=(replace(LIMIT, **change),))


def weights(*pairs):
    return listener(version_weights=tuple(VersionWeight(*pair) for pair in pairs))


def backends(*pairs):
    return route(backends=tuple(BackendRef(*pair) for pair in pairs))


def another(section, item):
    return replace(SOUND, **{section: (*getattr(SOUND, section), item)})


@pytest.mark.parametrize(
    "state",
    [
        DesiredState(),
        SOUND,
        listener(host="::1", port=65535, version_weights=(), idle_timeout=0.0),
        weights(("v1", 100)),
        weights(("v1", 100), ("v2", 0)),
        another(
            "listeners", Listener("dns", "0.0.0.0", 80, Protocol.UDP)
        ),  # UDP and TCP ports are different ones
        another("listeners", Listener("web2", "0.0.0.0", 81)),
        pool(endpoints=()),
        pool(endpoints=(Endpoint("[::1]:65535"),), health_check=None),
        route(backends=(), timeout=0.0, idle_timeout=0.0, retry=RetryPolicy(0, (), 0.0)),
        route(priority=-(2**31)),
        path(PathKind.REGEX, "x" * 1000),
        header("y", HeaderKind.REGEX, "a+"),
        header("y", HeaderKind.PRESENT),
        limit(per_second=0, burst=0, per_minute=2**32 - 1),
    ],
)
def test_sound_states(state):
    assert check_state(state) == ()


FAULTS = [
    (listener(name=""), ["listeners[0].name", "routes[0].listeners[0]"], "is not a name"),
    (listener(port=0), ["listeners[0].address"], "port 0 is not between 1 and 65535"),
    (listener(port=65536), ["listeners[0].address"], "port 65536"),
    (listener(host="localhost"), ["listeners[0].address"], "use 0.0.0.0 for every IPv4 one"),
    (listener(idle_timeout=-1.0), ["listeners[0].idle_timeout"], "-1.0 s is not between 0 and 31622400"),
    (listener(idle_timeout=float("nan")), ["listeners[0].idle_timeout"], "nan s"),
    (weights(("v1", 95), ("v2", 6)), ["listeners[0].version_weights"], "add up to 101, they must add up to 100"),
    (weights(("v1", 101), ("v2", -1)), ["listeners[0].version_weights.v1", "listeners[0].version_weights.v2"], "101"),
    (weights(("v1", 50), ("v1", 50)), ["listeners[0].version_weights[1].version"], "the same as"),
    (weights(("v 1", 100)), ["listeners[0].version_weights.v 1"], "is not a name"),
    (another("listeners", replace(LISTENER, port=81)), ["listeners[1].name"], "the same as listeners[0].name"),
    (another("listeners", replace(LISTENER, name="two")), ["listeners[1].module"], "the same as listeners[0].module"),
    (pool(name="p 1"), ["pools[0].name", "routes[0].backends[0].pool"], '"p 1" is not a name'),
    (pool(name="p" * 101), ["pools[0].name", "routes[0].backends[0].pool"], "1 to 100 of them"),
    (pool(version=""), ["pools[0].version"], "is not a name"),
    (pool(connect_timeout=0.0), ["pools[0].connect_timeout"], "0.0 s is not more than 0"),
    (pool(connect_timeout=1e9), ["pools[0].connect_timeout"], "at most 31622400"),
    (pool(endpoints=(Endpoint("a"),)), ["pools[0].endpoints[0].address"], '"a" is not host:port'),
    (pool(endpoints=(Endpoint("a:1", 0),)), ["pools[0].endpoints[0].weight"], "0 is not between 1 and 100"),
    (pool(endpoints=(Endpoint("a:1", 101),)), ["pools[0].endpoints[0].weight"], "101 is not between 1 and 100"),
    (pool(endpoints=(Endpoint("a:1"),) * 2), ["pools[0].endpoints[1].address"], "the same as pools[0].endpoints[0]"),
    (check(interval=0.0), ["pools[0].health_check.interval"], "more than 0"),
    (check(timeout=-1.0), ["pools[0].health_check.timeout"], "more than 0"),
    (check(unhealthy_threshold=0), ["pools[0].health_check.unhealthy_threshold"], "0 is not between 1 and 1000"),
    (check(healthy_threshold=1001), ["pools[0].health_check.healthy_threshold"], "1001 is not between 1 and 1000"),
    (check(path="up"), ["pools[0].health_check.path"], '"up" does not begin with /'),
    (check(port=-1), ["pools[0].health_check.port"], "-1 is not between 0 and 65535"),
    (another("pools", POOL), ["pools[2].name"], "the same as pools[0].name"),
    (route(route_id="a/b"), ["routes[0].id", "rate_limits[0].target"], "is not a name"),
    (route(timeout=-0.1), ["routes[0].timeout"], "-0.1 s"),
    (route(idle_timeout=float("inf")), ["routes[0].idle_timeout"], "inf s"),
    (route(priority=2**31), ["routes[0].priority"], "2147483648 is not between"),
    (route(source_port=-1), ["routes[0].source_port"], "-1 is not between 0 and 65535"),
    (route(destination_port=65536), ["routes[0].destination_port"], "65536 is not between 0 and 65535"),
    (route(sources=("10.0.0.0/8", "10.0.0.0/33")), ["routes[0].sources[1]"], "is not an IP network such as"),
    (route(listeners=("web", "wbe")), ["routes[0].listeners[1]"], 'no listener "wbe"; known: web'),
    (route(retry=RetryPolicy(11)), ["routes[0].retry.attempts"], "11 is not between 0 and 10"),
    (route(retry=RetryPolicy(-1)), ["routes[0].retry.attempts"], "-1 is not between 0 and 10"),
    (route(retry=RetryPolicy(1, ("reset", "5x"))), ["routes[0].retry.on[1]"], 'unknown condition "5x"; known: 5xx, conn'),
    (route(retry=RetryPolicy(1, per_try_timeout=-1.0)), ["routes[0].retry.per_try_timeout"], "-1.0 s"),
    (backends(("p1", 90), ("p2", 5)), ["routes[0].backends"], "the weights add up to 95, they must add up to 100"),
    (backends(("p1", 101), ("p2", -1)), ["routes[0].backends[0].weight", "routes[0].backends[1].weight"], "101"),
    (backends(("p1", 50), ("p3", 50)), ["routes[0].backends[1].pool"], 'no pool "p3"; known: p1, p2'),
    (backends(("p1", 50), ("p1", 50)), ["routes[0].backends[1].pool"], "the same as routes[0].backends[0].pool"),
    (replace(route(), pools=()), ["routes[0].backends[0].pool", "routes[0].backends[1].pool"], "there are none"),
    (match(hosts=("a.example", "a b")), ["routes[0].hosts[1]"], '"a b" is neither a host name nor *.a.host.name'),
    (match(hosts=("*.",)), ["routes[0].hosts[0]"], "neither"),
    (match(hosts=("a.*.example",)), ["routes[0].hosts[0]"], "neither"),
    (match(hosts=("a.example:80",)), ["routes[0].hosts[0]"], "neither"),
    (match(methods=("GET", "get")), ["routes[0].methods[1]"], '"get" is not a method in upper case'),
    (header("x y", HeaderKind.PRESENT), ["routes[0].headers[1].name"], '"x y" is not a header name'),
    (header("x", HeaderKind.REGEX, "("), ["routes[0].headers[1].regex"], '"(" is not a regular expression: missing )'),
    (header("x", HeaderKind.PRESENT, "1"), ["routes[0].headers[1].present"], "compares no value"),
    (path(PathKind.PREFIX, "a"), ["routes[0].path"], '"a" does not begin with /'),
    (path(PathKind.EXACT, ""), ["routes[0].path"], "does not begin with /"),
    (path(PathKind.PREFIX, "/a?b=1"), ["routes[0].path"], "a path ends before its query string"),
    (path(PathKind.REGEX, "[z-a]"), ["routes[0].path"], "is not a regular expression: bad character range"),
    (path(PathKind.REGEX, ""), ["routes[0].path"], "1 to 1000 characters"),
    (path(PathKind.REGEX, "x" * 1001), ["routes[0].path"], "1 to 1000 characters"),
    (path(PathKind.REGEX, "(" * 500 + ")" * 500), ["routes[0].path"], "is not a regular expression"),
    (path(PathKind.REGEX, "a{99999999999}"), ["routes[0].path"], "is not a regular expression"),
    (another("routes", replace(ROUTE, priority=1)), ["routes[1].id"], "the same as routes[0].id"),
    (another("routes", replace(ROUTE, route_id="b")), ["routes[1].priority"], '"b" overlaps "shop" and both have priority 0'),
    (limit(limit_id=""), ["rate_limits[0].id"], "is not a name"),
    (limit(target="shp"), ["rate_limits[0].target"], 'no route "shp"; name a route id, "*" for'),
    (limit(per_second=0, burst=0), ["rate_limits[0]"], "gives no rate"),
    (limit(per_minute=-1), ["rate_limits[0].requests_per_minute"], "-1 is not between 0 and 4294967295"),
    (limit(per_hour=2**32), ["rate_limits[0].requests_per_hour"], "4294967296 is not between"),
    (limit(burst=-1), ["rate_limits[0].burst_size"], "-1 is not between"),
    (limit(per_second=0, per_minute=1), ["rate_limits[0].burst_size"], "goes with requests_per_second"),
    (another("rate_limits", replace(LIMIT, limit_id="2")), ["rate_limits[2].target"], "the same as rate_limits[0].target"),
    (another("rate_limits", RateLimit("limit", "shop2", 1)), ["rate_limits[2].id", "rate_limits[2].target"], "the same as"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "paths", "message"), FAULTS)
def test_each_fault_is_told_once_at_its_path(state, paths, message):
    problems = check_state(state)
    assert sorted(problem.path for problem in problems) == sorted(paths)
    assert any(message in problem.message for problem in problems), problems


def test_every_fault_of_a_state_is_told():
    state = replace(
        SOUND,
        listeners=FAULTS[1][0].listeners,
        pools=FAULTS[14][0].pools,
        rate_limits=FAULTS[-2][0].rate_limits,
    )
    assert len(check_state(state)) == len(FAULTS[1][1]) + len(FAULTS[14][1]) + len(FAULTS[-2][1])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:80", None),
        ("[::1]:80", None),
        ("a_b.internal:65535", None),
        ("", "is not host:port"),
        (":80", "is not host:port"),
        ("a:", 'port ""'),
        ("a:http", 'port "http"'),
        ("a:0", 'port "0" is not between 1 and 65535'),
        ("a:65536", 'port "65536" is not between 1 and 65535'),
        ("a:" + "9" * 5000, 'port "9999999999" is not between 1 and 65535'),
        ("a:８０", 'port "８０"'),
        ("http://a:80", "is a URL; write host:port"),
        ("::1:80", "write an IPv6 address in brackets, [::1]:80"),
        ("[a]:80", "[a] is not an IPv6 address in brackets"),
        ("*.a:80", "neither an IP address nor a host name"),
        ("a b:80", "neither an IP address nor a host name"),
    ],
)
def test_check_address(address, message):
    problems = list(check_address(address, "here"))
    assert [problem.path for problem in problems] == ["here"] * (message is not None)
    assert all(message in problem.message for problem in problems)
