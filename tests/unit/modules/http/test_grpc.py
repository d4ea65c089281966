"""What a gRPC client is told, and what is kept from it because it would refuse it or not heed it."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2

from marchproxy.engines.envoy.xds.resource import ResourceType
from marchproxy.engines.envoy.xds.snapshot import check
from marchproxy.model.http import Rewrite
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool, BalancePolicy, Endpoint, UpstreamTls
from marchproxy.model.route import BackendRef, PathKind, PathMatch, QueryMatch, Route, RouteMatch
from marchproxy.modules.http.resources import Target, build_grpc, in_reach_of_grpc

POOL = BackendPool("p", endpoints=(Endpoint("10.0.0.1:1"),), protocol=Protocol.GRPC)
NAMED = BackendPool("named", endpoints=(Endpoint("a.example:1"),), protocol=Protocol.GRPC)
MANY = BackendPool(
    "many", endpoints=(Endpoint("a.example:1"), Endpoint("b.example:1")), protocol=Protocol.HTTP2
)
PLAIN = BackendPool("plain", endpoints=(Endpoint("10.0.0.1:1"),))
TLS = BackendPool("tls", endpoints=POOL.endpoints, protocol=Protocol.GRPC, tls=UpstreamTls())
POOLS = (POOL, NAMED, MANY, PLAIN, TLS)


def route(pool: str = "p", **fields) -> Route:
    return Route("r", backends=(BackendRef(pool, 100),), **fields)


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        (route(), True),
        (route(match=RouteMatch(methods=("GET", "POST"))), True),
        (route(match=RouteMatch(methods=("GET",))), False),  # every call is a POST
        (route(sources=("10.0.0.0/8",)), False),
        (route(deny=("10.0.0.0/8",)), False),
        (route(authentication=("staff",)), False),
        (route(rewrite=Rewrite(host="x.example")), False),
        (route(match=RouteMatch(query=(QueryMatch("a"),))), False),
        (route(match=RouteMatch(path=PathMatch(PathKind.TEMPLATE, "/a.B/*"))), False),
        (route("tls"), False),
        (route("named"), True),
        (route("many"), False),  # gRPC resolves one name for a cluster
        (route("plain"), False),  # HTTP/1.1
        (Route("r"), False),
    ],
)
def test_reach(given, reached):
    assert bool(in_reach_of_grpc([given], POOLS)) is reached


def built(given: Route, pools=POOLS):
    return check(build_grpc([Target("shop.example", (given,))], pools))


def only(snapshot, kind, message):
    (resource,) = snapshot.of(kind).values()
    return message.FromString(resource.body.value)


def test_a_target_is_a_listener_with_its_routes_and_the_pools_they_need():
    snapshot = built(route())
    assert {kind: set(snapshot.of(kind)) for kind in ResourceType if snapshot.of(kind)} == {
        ResourceType.CLUSTER: {"pool.p"},
        ResourceType.ENDPOINT: {"pool.p"},
        ResourceType.LISTENER: {"shop.example"},
        ResourceType.ROUTE: {"shop.example"},
    }


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        (PathMatch(PathKind.PREFIX, "/"), "prefix", "/"),
        (PathMatch(PathKind.EXACT, "/a.B/C"), "path", "/a.B/C"),
        (PathMatch(PathKind.PREFIX, "/a.B/"), "safe_regex", r"/a\.B(/.*)?"),  # gRPC knows no separated prefix
    ],
)
def test_paths(path, field, value):
    configuration = only(
        built(route(match=RouteMatch(path=path))), ResourceType.ROUTE, route_pb2.RouteConfiguration
    )
    match = configuration.virtual_hosts[0].routes[0].match
    assert match.WhichOneof("path_specifier") == field
    assert (match.safe_regex.regex if field == "safe_regex" else getattr(match, field)) == value


def test_the_method_is_not_compared_and_the_timeout_is_the_calls():
    given = route(match=RouteMatch(methods=("POST",)), timeout=3.0)
    configuration = only(built(given), ResourceType.ROUTE, route_pb2.RouteConfiguration)
    (told,) = configuration.virtual_hosts[0].routes
    assert not told.match.headers
    assert told.route.max_stream_duration.max_stream_duration.seconds == 3


def test_no_timeout_is_none():
    configuration = only(built(route(timeout=0)), ResourceType.ROUTE, route_pb2.RouteConfiguration)
    assert not configuration.virtual_hosts[0].routes[0].route.HasField("max_stream_duration")


@pytest.mark.parametrize("balance", BalancePolicy)
def test_every_balance_is_round_robin_without_a_ceiling(balance):
    pool = BackendPool("p", endpoints=POOL.endpoints, protocol=Protocol.GRPC, balance=balance)
    cluster = only(built(route(), [pool]), ResourceType.CLUSTER, cluster_pb2.Cluster)
    assert cluster.lb_policy == cluster_pb2.Cluster.ROUND_ROBIN
    assert cluster.circuit_breakers.thresholds[0].max_requests.value > 1_000_000


def test_a_host_name_is_resolved_by_the_client():
    cluster = only(built(route("named")), ResourceType.CLUSTER, cluster_pb2.Cluster)
    assert cluster.type == cluster_pb2.Cluster.LOGICAL_DNS
    (locality,) = cluster.load_assignment.endpoints
    assert locality.lb_endpoints[0].endpoint.address.socket_address.address == "a.example"


def test_weights_of_endpoints_become_weights_of_localities():
    endpoints = (Endpoint("10.0.0.1:1", 3), Endpoint("10.0.0.2:1", 1), Endpoint("10.0.0.3:1", 3))
    pool = BackendPool("p", endpoints=endpoints, protocol=Protocol.GRPC)
    assignment = only(built(route(), [pool]), ResourceType.ENDPOINT, endpoint_pb2.ClusterLoadAssignment)
    assert [
        (one.load_balancing_weight.value, len(one.lb_endpoints), one.locality.sub_zone)
        for one in assignment.endpoints
    ] == [(1, 1, "weight-1"), (6, 2, "weight-3")]
