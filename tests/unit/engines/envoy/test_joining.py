"""Bytes of parts laid end to end are the bytes of the whole, however long the parts are."""

import pytest
from envoy.config.route.v3 import route_components_pb2, route_pb2

from marchproxy.engines.envoy.joining import route_configuration, routes_field, virtual_host_field


@pytest.mark.parametrize("length", [0, 1, 100, 127, 128, 16_383, 16_384, 3_000_000])
def test_a_virtual_host_of_any_length(length: int):
    route = route_components_pb2.Route(name="x" * length)
    host = route_components_pb2.VirtualHost(name="a", domains=["a"])
    joined = route_configuration(
        route_pb2.RouteConfiguration(name="routes"), [virtual_host_field(host, [routes_field([route])])]
    )
    whole = route_components_pb2.VirtualHost(name="a", domains=["a"], routes=[route])
    assert route_pb2.RouteConfiguration.FromString(joined) == route_pb2.RouteConfiguration(
        name="routes", virtual_hosts=[whole]
    )


@pytest.mark.parametrize("shares", [[], [0], [3], [0, 2, 1]])
def test_routes_and_hosts_keep_their_order(shares: list[int]):
    hosts, fields = [], []
    for number, count in enumerate(shares):
        routes = [route_components_pb2.Route(name=f"{number}-{index}") for index in range(count)]
        rest = route_components_pb2.VirtualHost(name=f"h{number}")
        fields.append(virtual_host_field(rest, map(routes_field, [routes[:1], routes[1:]])))
        hosts.append(route_components_pb2.VirtualHost(name=f"h{number}", routes=routes))
    rest_of_all = route_pb2.RouteConfiguration(name="routes")
    rest_of_all.ignore_port_in_host_matching = True
    found = route_pb2.RouteConfiguration.FromString(route_configuration(rest_of_all, fields))
    rest_of_all.virtual_hosts.extend(hosts)
    assert found == rest_of_all
