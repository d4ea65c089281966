"""What a rate limit may count."""

from dataclasses import replace

import pytest

from marchproxy.model.checks import check_limits
from marchproxy.model.limit import LimitScope, LimitUnit, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.route import Route

ROUTES = (Route("shop"),)
RAW = Listener("raw", "0.0.0.0", 1, Protocol.TCP)
ENVOY = Listener("web", "0.0.0.0", 80, data_plane=DataPlaneKind.ENVOY)
HTTP = (Listener("a", "::", 81), Listener("b", "::", 81, module_type=ModuleType.AILB))
DNS = Listener("dns", "0.0.0.0", 53, Protocol.UDP, data_plane=DataPlaneKind.ENVOY)
BOUNDED = replace(ENVOY, name="bounded", host="2001:db8::1", max_connections=9)
MORE = (DNS, BOUNDED, *HTTP)


def limits(*targets, **more):
    return [
        RateLimit(f"l{number}", target, **{"per_second": 1, **more}) for number, target in enumerate(targets)
    ]


@pytest.mark.parametrize(
    ("target", "scope", "subject", "network"),
    [
        ("*", LimitScope.EVERYTHING, "*", None),
        ("shop", LimitScope.ROUTE, "shop", None),
        ("other:shop", LimitScope.ROUTE, "other:shop", None),
        ("listener:web", LimitScope.LISTENER, "web", None),
        ("module:alb", LimitScope.MODULE, "alb", None),
        ("source:10.1.2.3/8", LimitScope.SOURCE, "10.1.2.3/8", "10.0.0.0/8"),
        ("client:2001:db8::/32", LimitScope.CLIENT, "2001:db8::/32", "2001:db8::/32"),
        ("client:192.0.2.1", LimitScope.CLIENT, "192.0.2.1", "192.0.2.1/32"),
        ("client:here", LimitScope.CLIENT, "here", None),
    ],
)
def test_a_target_says_what_is_counted(target, scope, subject, network):
    (limit,) = limits(target)
    assert (limit.scope, limit.subject) == (scope, subject)
    assert (limit.network and str(limit.network)) == network


@pytest.mark.parametrize(
    ("targets", "listeners"),
    [
        (("*", "shop", "listener:web", "module:alb", "source:::/0", "source:10.0.0.1"), (ENVOY, RAW)),
        (("listener:a", "source:::/0"), HTTP),
        (("client:0.0.0.0/0", "client:10.0.0.0/8"), (RAW,)),
        (("source:10.0.0.0/8", "client:10.0.0.0/8"), ()),
    ],
)
def test_sound_limits(targets, listeners):
    assert list(check_limits(limits(*targets), ROUTES, listeners)) == []


@pytest.mark.parametrize(
    ("targets", "path", "message"),
    [
        (("shp",), "[0].target", 'no route "shp"; name a route id, "*" for every route, listener:NAME, module:'),
        (("other:shop",), "[0].target", 'no route "other:shop"'),
        (("listener:wbe",), "[0].target", 'no listener "wbe"; known: raw, web'),
        (("module:albs",), "[0].target", 'no module type "albs"; known: ailb, alb, dblb, nlb, rtmp'),
        (("source:10.0.0.0/33",), "[0].target", '"10.0.0.0/33" is not an IP network such as 10.0.0.0/8'),
        (("source:",), "[0].target", '"" is not an IP network'),
        (("source:10.1.0.0/8", "source:10.2.0.0/8"), "[1].target", "the same as rate_limits[0].target"),
        (("source:::1", "source:0::1/128"), "[1].target", "the same as rate_limits[0].target"),
    ],
)  # fmt: skip
def test_each_fault_is_told_once_at_its_path(targets, path, message):
    (problem,) = check_limits(limits(*targets), ROUTES, (ENVOY, RAW))
    assert problem.path == f"rate_limits{path}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("listener:dns", "Envoy does not limit UDP; use data_plane kernel"),
        ("listener:b", 'limit listener "a", or requests in the module'),
        ("module:ailb", "connections to [::]:81 are not one module's alone"),
        ("client:10.0.0.0/8", 'rate limit "l0" at listener "web": Envoy does not count each client; use'),
    ],
)  # fmt: skip
def test_a_limit_that_no_data_plane_keeps_is_told_once(target, message):
    (problem,) = check_limits(limits(target), ROUTES, (ENVOY, RAW, *MORE))
    assert problem.path == "rate_limits[0].target"
    assert message in problem.message


def test_a_limit_that_is_off_asks_nothing_of_a_data_plane():
    assert list(check_limits(limits("client:10.0.0.0/8", enabled=False), ROUTES, (ENVOY,))) == []


def test_a_port_that_nobody_can_carry_is_told_where_it_stands():
    assert list(check_limits(limits("client:::/0"), ROUTES, HTTP)) != []  # by request: Envoy's
    assert list(check_limits(limits("client:0.0.0.0/0"), ROUTES, HTTP)) == []  # who does not come there
    nobody = [Listener(name, "0.0.0.0", 81, data_plane=DataPlaneKind.KERNEL) for name in "ab"]
    assert list(check_limits(limits("client:10.0.0.0/8"), ROUTES, nobody)) == []


@pytest.mark.parametrize(
    ("target", "per", "message"),
    [
        ("*", "client", None),
        ("shop", "header:x-tenant", None),
        ("shop", "header:", '"header:" is neither client nor header:NAME'),
        ("shop", "header:a b", "is neither client nor header:NAME"),
        ("shop", "Client", '"Client" is neither'),
        ("shop", "client:10.0.0.0/8", "is neither"),
        ("module:alb", "client", 'is for limits on routes and on "*"'),
        ("source:10.0.0.0/8", "client", 'is for limits on routes and on "*"'),
    ],
)
def test_what_has_a_count_of_its_own(target, per, message):
    problems = list(check_limits(limits(target, per=per), ROUTES, ()))
    assert [problem.path for problem in problems] == ["rate_limits[0].per"] * (message is not None)
    assert all(message in problem.message for problem in problems)


def test_a_target_has_one_limit_for_each_per():
    same = [
        replace(limit, per=per)
        for limit, per in zip(
            limits(*["shop"] * 5), ["", "client", "header:x", "header:X", "client"], strict=True
        )
    ]
    assert [str(problem) for problem in check_limits(same, ROUTES, ())] == [
        "rate_limits[3].target: the same as rate_limits[2].target",
        "rate_limits[4].target: the same as rate_limits[1].target",
    ]


DATABASE = Route("orders", protocol=Protocol.POSTGRES)


@pytest.mark.parametrize(
    ("target", "more", "routes", "fault"),
    [
        ("orders", {"per": "user"}, (DATABASE,), None),
        ("orders", {"per": "application", "counts": LimitUnit.CONNECTIONS}, (DATABASE,), None),
        ("orders", {"per_second": 0, "max_concurrent": 5}, (DATABASE,), None),
        ("*", {"per": "database", "max_concurrent": 5}, (*ROUTES, DATABASE), None),
        ("*", {"per": "header:x"}, (*ROUTES, DATABASE), None),
        ("shop", {"per": "user"}, (*ROUTES, DATABASE), "per"),
        ("shop", {"counts": LimitUnit.CONNECTIONS}, (*ROUTES, DATABASE), "counts"),
        ("shop", {"max_concurrent": 1}, (*ROUTES, DATABASE), "max_concurrent"),
        ("*", {"max_concurrent": 1}, ROUTES, "max_concurrent"),
        ("listener:raw", {"max_concurrent": 1}, (DATABASE,), "max_concurrent"),
        ("orders", {"per": "header:x"}, (DATABASE,), "per"),
        ("orders", {"max_concurrent": -1}, (DATABASE,), "max_concurrent"),
    ],
)
def test_what_is_counted_of_databases_only(target, more, routes, fault):
    problems = list(check_limits(limits(target, **more), routes, (RAW,)))
    assert [problem.path for problem in problems] == [f"rate_limits[0].{fault}"] * (fault is not None)


def test_requests_and_connections_of_a_target_are_limited_apart():
    one, two = limits("orders", "orders")
    assert list(check_limits([one, replace(two, counts=LimitUnit.CONNECTIONS)], (DATABASE,), ())) == []
