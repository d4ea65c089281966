"""A stub node as a dialogue: what it asks for, what it acknowledges, when it has everything."""

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.service.discovery.v3 import discovery_pb2

from bench.support.xds_nodes import Node, Referred
from marchproxy.engines.envoy.xds import ResourceType


def cluster():
    message = cluster_pb2.Cluster(name="web", type=cluster_pb2.Cluster.EDS)
    message.eds_cluster_config.eds_config.ads.SetInParent()
    return message


def listener():
    manager = hcm_pb2.HttpConnectionManager()
    manager.rds.route_config_name = "routes"
    manager.rds.config_source.ads.SetInParent()
    message = listener_pb2.Listener(name="http")
    message.filter_chains.add().filters.add().typed_config.Pack(manager)
    return message


def response(kind, *messages, version="1", removed=()):
    found = discovery_pb2.DeltaDiscoveryResponse(
        type_url=kind.type_url, nonce=f"{kind.name}-{version}", removed_resources=removed
    )
    for message in messages:
        name = getattr(message, "cluster_name", "") or message.name
        found.resources.add(name=name, version=version).resource.Pack(message)
    return found


def asked(requests):
    return [
        (
            ResourceType(one.type_url.partition("/")[2]).name,
            one.response_nonce,
            list(one.resource_names_subscribe),
        )
        for one in requests
    ]


def test_a_node_follows_what_it_is_given_and_acknowledges_all_of_it():
    node = Node(7, Referred())
    opening = list(node.requests())
    assert asked(opening) == [("CLUSTER", "", []), ("LISTENER", "", [])]
    assert [one.node.id for one in opening] == ["stub-7", ""]
    assert asked(node.answer(response(ResourceType.CLUSTER, cluster()))) == [
        ("CLUSTER", "CLUSTER-1", []),
        ("ENDPOINT", "", ["web"]),
    ]
    assert asked(node.answer(response(ResourceType.LISTENER, listener()))) == [
        ("LISTENER", "LISTENER-1", []),
        ("ROUTE", "", ["routes"]),
    ]
    routes = route_pb2.RouteConfiguration(name="routes")
    assert asked(node.answer(response(ResourceType.ROUTE, routes))) == [("ROUTE", "ROUTE-1", [])]
    assert not node.is_news()  # the endpoints are missing
    endpoints = endpoint_pb2.ClusterLoadAssignment(cluster_name="web")
    assert asked(node.answer(response(ResourceType.ENDPOINT, endpoints))) == [("ENDPOINT", "ENDPOINT-1", [])]
    assert node.is_news()
    assert node.received > 0


def test_news_is_another_version_of_every_route_configuration():
    node = Node(0, Referred())
    list(node.answer(response(ResourceType.CLUSTER, cluster_pb2.Cluster(name="static"))))
    list(node.answer(response(ResourceType.LISTENER, listener())))
    list(node.answer(response(ResourceType.ROUTE, route_pb2.RouteConfiguration(name="routes"))))
    assert node.is_news()
    node.show()
    assert not node.is_news()
    list(node.answer(response(ResourceType.CLUSTER, cluster_pb2.Cluster(name="other"), version="2")))
    assert not node.is_news()
    list(node.answer(response(ResourceType.ROUTE, route_pb2.RouteConfiguration(name="routes"), version="2")))
    assert node.is_news()
