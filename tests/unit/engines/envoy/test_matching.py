"""Virtual hosts: what is looked up by host pattern is what looking at every route finds. Matches: tests/golden/alb."""

import pytest
from envoy.config.route.v3 import route_components_pb2

from marchproxy.engines.envoy.matching import virtual_hosts
from marchproxy.model.matching import in_order
from marchproxy.model.route import PathMatch, Route, RouteId, RouteMatch

HOSTS = (
    (),
    ("a.test",),
    ("A.Test", "b.test"),
    ("*.test",),
    ("x.a.test",),
    ("*.a.test",),
    ("*",),
    ("*.b.a.test", "c.test"),
)


def route(number: int, hosts: tuple[str, ...], path: str = "/", priority: int = 0) -> Route:
    return Route(RouteId(f"r{number}"), RouteMatch(hosts, PathMatch(value=path)), priority=priority)


ROUTES = [route(number, hosts) for number, hosts in enumerate(HOSTS)]
ROUTES += [route(10 + number, hosts, "/deep") for number, hosts in enumerate(HOSTS)]
ROUTES += [route(20 + number, hosts, priority=3) for number, hosts in enumerate(HOSTS[::3])]


@pytest.mark.parametrize("count", range(len(ROUTES) + 1))
def test_a_virtual_host_has_the_routes_that_cover_it_in_order(count):
    routes = ROUTES[:count]
    messages = {one.route_id: [route_components_pb2.Route(name=one.route_id)] for one in routes}
    found = {host.domains[0]: [one.name for one in host.routes] for host in virtual_hosts(routes, messages)}
    patterns = {pattern.lower() for one in routes for pattern in one.match.hosts or ("*",)}
    assert found == {pattern: [one.route_id for one in in_order(routes, pattern)] for pattern in patterns}


def test_what_is_left_goes_to_the_rest_under_every_host():
    messages = {one.route_id: [route_components_pb2.Route(name=one.route_id)] for one in ROUTES[1:2]}
    rest = route_components_pb2.Route(name="rest")
    hosts = list(virtual_hosts(ROUTES[1:2], messages, rest=rest))
    assert [(host.name, [one.name for one in host.routes]) for host in hosts] == [
        ("*", ["rest"]),
        ("a.test", ["r1", "rest"]),
    ]
