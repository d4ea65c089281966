"""What an Envoy resource refers to: read from the typed message, in one pass, when the resource is built.

Known: EDS names, RDS names, clusters of routes, of mirrors and of TCP proxies, SDS secrets of TLS contexts. Clusters named
inside other filters' configurations (ext_proc, access log services, …) are not looked for.
"""

from collections.abc import Callable, Iterator
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.xds.kinds import Reference, ResourceType

_TLS_CONTEXTS = (tls_pb2.DownstreamTlsContext, tls_pb2.UpstreamTlsContext)


def references_of(kind: ResourceType, message: Message) -> frozenset[Reference]:
    """Everything that `message` needs to be served beside it. DecodeError: a nested Any is malformed."""
    find = _FINDERS.get(kind)
    return frozenset(find(message)) if find else frozenset()


def _of_cluster(cluster: Any) -> Iterator[Reference]:
    if cluster.type == cluster_pb2.Cluster.EDS and cluster.eds_cluster_config.eds_config.HasField("ads"):
        yield Reference(ResourceType.ENDPOINT, cluster.eds_cluster_config.service_name or cluster.name)
    yield from _of_transport_socket(cluster)


def _of_listener(listener: Any) -> Iterator[Reference]:
    chains = list(listener.filter_chains)
    if listener.HasField("default_filter_chain"):
        chains.append(listener.default_filter_chain)
    for chain in chains:
        yield from _of_transport_socket(chain)
        for network_filter in chain.filters:
            yield from _of_filter(network_filter.typed_config)
    if listener.HasField("api_listener"):
        yield from _of_filter(listener.api_listener.api_listener)


def _of_filter(config: Any) -> Iterator[Reference]:
    if config.Is(hcm_pb2.HttpConnectionManager.DESCRIPTOR):
        manager = hcm_pb2.HttpConnectionManager.FromString(config.value)
        if manager.HasField("rds") and manager.rds.config_source.HasField("ads"):
            yield Reference(ResourceType.ROUTE, manager.rds.route_config_name)
        elif manager.HasField("route_config"):
            yield from _of_route_configuration(manager.route_config)
    elif config.Is(tcp_proxy_pb2.TcpProxy.DESCRIPTOR):
        yield from _of_targets(tcp_proxy_pb2.TcpProxy.FromString(config.value))


def _of_route_configuration(configuration: Any) -> Iterator[Reference]:
    yield from _of_mirrors(configuration)
    for host in configuration.virtual_hosts:
        yield from _of_mirrors(host)
        for route in host.routes:
            if route.HasField("route"):
                action = route.route
                yield from _of_targets(action)
                yield from _of_mirrors(action)


def _of_targets(action: Any) -> Iterator[Reference]:
    match action.WhichOneof("cluster_specifier"):
        case "cluster":
            yield Reference(ResourceType.CLUSTER, action.cluster)
        case "weighted_clusters":
            for target in action.weighted_clusters.clusters:
                if target.name:  # a target may name a header that holds the cluster instead
                    yield Reference(ResourceType.CLUSTER, target.name)


def _of_mirrors(holder: Any) -> Iterator[Reference]:
    for mirror in holder.request_mirror_policies:
        if mirror.cluster:
            yield Reference(ResourceType.CLUSTER, mirror.cluster)


def _of_transport_socket(holder: Any) -> Iterator[Reference]:
    config = holder.transport_socket.typed_config
    for context in _TLS_CONTEXTS:
        if config.Is(context.DESCRIPTOR):
            yield from _of_tls(context.FromString(config.value).common_tls_context)


def _of_tls(tls: Any) -> Iterator[Reference]:
    sources = [*tls.tls_certificate_sds_secret_configs, tls.validation_context_sds_secret_config]
    sources.append(tls.combined_validation_context.validation_context_sds_secret_config)
    for source in sources:
        if source.sds_config.HasField("ads"):
            yield Reference(ResourceType.SECRET, source.name)


_FINDERS: dict[ResourceType, Callable[[Any], Iterator[Reference]]] = {
    ResourceType.CLUSTER: _of_cluster,
    ResourceType.LISTENER: _of_listener,
    ResourceType.ROUTE: _of_route_configuration,
}
