"""What an Envoy resource refers to: read from the typed message, in one pass, when the resource is built.

Known: EDS names, RDS names, clusters of routes, of mirrors and of TCP proxies, SDS secrets of TLS contexts and of credentials
that clusters show, HTTP filters that are delivered by themselves (ECDS), clusters that JWT filters among them fetch keys from. Clusters named inside other filters'
configurations (ext_proc, access log services, …) are not looked for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.filters.http.credential_injector.v3 import credential_injector_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.http.injected_credentials.generic.v3 import generic_pb2
from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.xds.kinds import References, ResourceType

_HttpOptions = http_protocol_options_pb2.HttpProtocolOptions
_INJECTOR = credential_injector_pb2.CredentialInjector.DESCRIPTOR.full_name.encode()
_TLS_CONTEXTS = (tls_pb2.DownstreamTlsContext, tls_pb2.UpstreamTlsContext)


@dataclass(frozen=True, slots=True)
class _Found:
    clusters: set[str] = field(default_factory=set)
    endpoints: set[str] = field(default_factory=set)
    routes: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    extensions: set[str] = field(default_factory=set)


def references_of(kind: ResourceType, message: Message) -> References:
    """Everything that `message` needs to be served beside it. DecodeError: a nested Any is malformed."""
    find = _FINDERS.get(kind)
    if find is None:
        return {}
    found = _Found()
    find(message, found)
    by_type = {
        ResourceType.CLUSTER: found.clusters,
        ResourceType.ENDPOINT: found.endpoints,
        ResourceType.ROUTE: found.routes,
        ResourceType.SECRET: found.secrets,
        ResourceType.EXTENSION: found.extensions,
    }
    return {wanted: frozenset(names) for wanted, names in by_type.items() if names}


def _of_cluster(cluster: Any, found: _Found) -> None:
    if cluster.type == cluster_pb2.Cluster.EDS and cluster.eds_cluster_config.eds_config.HasField("ads"):
        found.endpoints.add(cluster.eds_cluster_config.service_name or cluster.name)
    _of_transport_socket(cluster, found)
    for options in cluster.typed_extension_protocol_options.values():
        if options.Is(_HttpOptions.DESCRIPTOR) and _INJECTOR in options.value:
            for http_filter in _HttpOptions.FromString(options.value).http_filters:
                _of_credential(http_filter.typed_config, found)


def _of_credential(config: Any, found: _Found) -> None:
    if config.Is(credential_injector_pb2.CredentialInjector.DESCRIPTOR):
        credential = credential_injector_pb2.CredentialInjector.FromString(config.value).credential
        if credential.typed_config.Is(generic_pb2.Generic.DESCRIPTOR):
            source = generic_pb2.Generic.FromString(credential.typed_config.value).credential
            if source.sds_config.HasField("ads"):
                found.secrets.add(source.name)


def _of_listener(listener: Any, found: _Found) -> None:
    chains = list(listener.filter_chains)
    if listener.HasField("default_filter_chain"):
        chains.append(listener.default_filter_chain)
    for chain in chains:
        _of_transport_socket(chain, found)
        for network_filter in chain.filters:
            _of_filter(network_filter.typed_config, found)
    if listener.HasField("api_listener"):
        _of_filter(listener.api_listener.api_listener, found)


def _of_filter(config: Any, found: _Found) -> None:
    if config.Is(hcm_pb2.HttpConnectionManager.DESCRIPTOR):
        manager = hcm_pb2.HttpConnectionManager.FromString(config.value)
        if manager.HasField("rds") and manager.rds.config_source.HasField("ads"):
            found.routes.add(manager.rds.route_config_name)
        elif manager.HasField("route_config"):
            _of_route_configuration(manager.route_config, found)
        for http_filter in manager.http_filters:
            if http_filter.config_discovery.config_source.HasField("ads"):
                found.extensions.add(http_filter.name)
    elif config.Is(tcp_proxy_pb2.TcpProxy.DESCRIPTOR):
        _of_targets(tcp_proxy_pb2.TcpProxy.FromString(config.value), found)


def _of_route_configuration(configuration: Any, found: _Found) -> None:
    _of_mirrors(configuration, found)
    for host in configuration.virtual_hosts:
        _of_mirrors(host, found)
        for route in host.routes:
            if route.HasField("route"):
                action = route.route
                _of_targets(action, found)
                _of_mirrors(action, found)


def _of_extension(extension: Any, found: _Found) -> None:
    if extension.typed_config.Is(jwt_pb2.JwtAuthentication.DESCRIPTOR):
        for provider in jwt_pb2.JwtAuthentication.FromString(extension.typed_config.value).providers.values():
            if provider.HasField("remote_jwks"):
                found.clusters.add(provider.remote_jwks.http_uri.cluster)


def _of_targets(action: Any, found: _Found) -> None:
    match action.WhichOneof("cluster_specifier"):
        case "cluster":
            found.clusters.add(action.cluster)
        case "weighted_clusters":
            # a target without a name takes it from a request header
            found.clusters.update(target.name for target in action.weighted_clusters.clusters if target.name)


def _of_mirrors(holder: Any, found: _Found) -> None:
    found.clusters.update(mirror.cluster for mirror in holder.request_mirror_policies if mirror.cluster)


def _of_transport_socket(holder: Any, found: _Found) -> None:
    config = holder.transport_socket.typed_config
    if config.Is(quic_transport_pb2.QuicDownstreamTransport.DESCRIPTOR):
        transport = quic_transport_pb2.QuicDownstreamTransport.FromString(config.value)
        _of_tls(transport.downstream_tls_context.common_tls_context, found)
    for context in _TLS_CONTEXTS:
        if config.Is(context.DESCRIPTOR):
            _of_tls(context.FromString(config.value).common_tls_context, found)


def _of_tls(tls: Any, found: _Found) -> None:
    sources = [*tls.tls_certificate_sds_secret_configs, tls.validation_context_sds_secret_config]
    sources.append(tls.combined_validation_context.validation_context_sds_secret_config)
    found.secrets.update(source.name for source in sources if source.sds_config.HasField("ads"))


_FINDERS: dict[ResourceType, Callable[[Any, _Found], None]] = {
    ResourceType.CLUSTER: _of_cluster,
    ResourceType.LISTENER: _of_listener,
    ResourceType.ROUTE: _of_route_configuration,
    ResourceType.EXTENSION: _of_extension,
}
