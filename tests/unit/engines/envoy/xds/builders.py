"""Envoy resources for the tests, as small as Envoy accepts them."""

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import config_source_pb2, extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft, Snapshot, check


def ads():
    return config_source_pb2.ConfigSource(ads={}, resource_api_version="V3")


def _eds(name, service="", connect_ms=1000):
    message = cluster_pb2.Cluster(name=name, type="EDS")
    message.connect_timeout.FromMilliseconds(connect_ms)
    message.eds_cluster_config.eds_config.CopyFrom(ads())
    message.eds_cluster_config.service_name = service
    return message


def cluster(name, *, service="", connect_ms=1000):
    return Resource.of(_eds(name, service, connect_ms))


def checked_cluster(name, *, timeout_ms):
    """A cluster whose endpoints have to pass an HTTP health check."""
    message = _eds(name)
    probe = message.health_checks.add(http_health_check={"path": "/"})
    probe.timeout.FromMilliseconds(timeout_ms)
    probe.interval.FromSeconds(10)
    probe.healthy_threshold.value = probe.unhealthy_threshold.value = 1
    return Resource.of(message)


def endpoints(name, *ports):
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = message.endpoints.add()
    for port in ports:
        address = locality.lb_endpoints.add().endpoint.address.socket_address
        address.address, address.port_value = "127.0.0.1", port
    return Resource.of(message)


def listener(name, *, route, port=0, idle_s=3600, filters=()):
    """`filters`: the names of those that are delivered by themselves."""
    manager = hcm_pb2.HttpConnectionManager(stat_prefix=name)
    manager.rds.route_config_name = route
    manager.rds.config_source.CopyFrom(ads())
    manager.common_http_protocol_options.idle_timeout.FromSeconds(idle_s)
    for delivered in filters:
        discovery = manager.http_filters.add(name=delivered).config_discovery
        discovery.config_source.CopyFrom(ads())
        discovery.type_urls.append(
            f"type.googleapis.com/{header_mutation_pb2.HeaderMutation.DESCRIPTOR.full_name}"
        )
    manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    message = listener_pb2.Listener(name=name)
    message.address.socket_address.address = "127.0.0.1"
    message.address.socket_address.port_value = port
    message.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    return Resource.of(message)


def route(name, clusters, *, prefix="/", regex=None):
    """`clusters` maps a cluster's name to its weight."""
    message = route_pb2.RouteConfiguration(name=name)
    entry = message.virtual_hosts.add(name="all", domains=["*"]).routes.add()
    if regex is None:
        entry.match.prefix = prefix
    else:
        entry.match.safe_regex.regex = regex
    for target, weight in clusters.items():
        entry.route.weighted_clusters.clusters.add(name=target).weight.value = weight
    return Resource.of(message)


def extension(name, value):
    """A filter that is delivered by itself, and sets the header `x-<name>` of answers; an empty name Envoy refuses."""
    config = header_mutation_pb2.HeaderMutation()
    header = config.mutations.response_mutations.add().append.header
    header.key, header.value = f"x-{name}", value
    message = extension_pb2.TypedExtensionConfig(name=name)
    message.typed_config.Pack(config)
    return Resource.of(message)


def snapshot(*resources) -> Snapshot:
    return check(Draft(resources))


def web(ports, weights=None, *, connect_ms=1000, regex=None, port=0) -> Snapshot:
    """A whole HTTP set-up: `ports` maps cluster names to endpoint ports."""
    return snapshot(
        *(cluster(name, connect_ms=connect_ms) for name in ports),
        *(endpoints(name, *listed) for name, listed in ports.items()),
        listener("web", route="routes", port=port),
        route("routes", weights or dict.fromkeys(ports, 1), regex=regex),
    )
