"""Backend pools as Envoy clusters: one cluster per pool, so that every route to it shares health and counts.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/cluster.proto
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2

from marchproxy.engines.envoy.messages import duration, over_ads, pack, socket_address
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.rules import ip_address
from marchproxy.modules.http.resources.balance import set_balance
from marchproxy.modules.http.resources.endpoints import Target, assignment, merge, split_address
from marchproxy.modules.http.resources.resilience import circuit_breakers, health_check, outlier_detection
from marchproxy.modules.http.resources.upstream_tls import transport_socket

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_Options = http_protocol_options_pb2.HttpProtocolOptions


#: Names of clusters that reach a pool begin so: by itself, or through a process of the module's own.
REACHING = ("pool.", "relay.")


def cluster_name(pool: str) -> str:
    """The name of a pool's cluster, and so the prefix of its statistics."""
    return f"{REACHING[0]}{pool}"


def build_cluster(pool: BackendPool, *, hashed: bool = False) -> Any:
    """The cluster of a pool. Endpoints that are all IP addresses come over EDS; host names are resolved by Envoy.

    `hashed`: a route to it keeps its sessions by a hash.
    """
    cluster = cluster_pb2.Cluster(
        name=cluster_name(pool.name),
        connect_timeout=duration(pool.connect_timeout),
        circuit_breakers=circuit_breakers(pool.breakers),
        common_lb_config=cluster_pb2.Cluster.CommonLbConfig(
            # only when every endpoint is unhealthy is it better to try them all than to refuse
            healthy_panic_threshold=percent_pb2.Percent(value=1),
            # Envoy's default holds a failed health check back for up to a second
            update_merge_window=duration(0),
        ),
        ignore_health_on_host_removal=True,
    )
    # what access logs and spans call it
    cluster.metadata.filter_metadata["marchproxy"].update({"pool": str(pool.name)})
    set_balance(cluster, pool, hashed=hashed)
    _set_endpoints(cluster, pool)
    if pool.health_check is not None:
        cluster.health_checks.append(health_check(pool.health_check, pool.protocol, tls=pool.tls is not None))
    if pool.outliers is not None:
        cluster.outlier_detection.CopyFrom(outlier_detection(pool.outliers))
    if pool.tls is not None:
        cluster.transport_socket.CopyFrom(transport_socket(pool.tls))
    options = _http_options(pool)
    if options is not None:
        cluster.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(pack(options))
    return cluster


def build_endpoints(
    pool: BackendPool, found: Iterable[Target] = ()
) -> endpoint_pb2.ClusterLoadAssignment | None:
    """The endpoints of a pool for EDS, those found included, or None when its cluster resolves host names itself."""
    if resolved_by_envoy(pool):
        return None
    targets = merge(pool, found)
    if pool.ai is not None and pool.tls is None:
        # an engine without a name is asked for by its address: some answer nothing else
        targets = tuple(replace(target, host=target.host or target.address) for target in targets)
    return assignment(cluster_name(pool.name), targets, pool.health_check)


def resolved_by_envoy(pool: BackendPool) -> bool:
    """Whether Envoy looks up host names of this pool; then it takes no endpoints over EDS."""
    hosts = (split_address(endpoint.address)[0] for endpoint in pool.endpoints)
    return bool(pool.discovery.dns) or any(ip_address(host) is None for host in hosts)


def dns_resolver(servers: Iterable[HostPort]) -> extension_pb2.TypedExtensionConfig:
    """How Envoy asks these servers for host names, and no other."""
    config = cares_dns_resolver_pb2.CaresDnsResolverConfig(
        resolvers=[socket_address(server.host, server.port) for server in servers]
    )
    return extension_pb2.TypedExtensionConfig(
        name="envoy.network.dns_resolver.cares", typed_config=pack(config)
    )


def _set_endpoints(cluster: cluster_pb2.Cluster, pool: BackendPool) -> None:
    if not resolved_by_envoy(pool):
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.CopyFrom(cluster_pb2.Cluster.EdsClusterConfig(eds_config=over_ads()))
        return
    cluster.type = cluster_pb2.Cluster.STRICT_DNS
    discovered = [Target(pool.discovery.dns)] if pool.discovery.dns else []
    targets = merge(pool, discovered)
    cluster.load_assignment.CopyFrom(assignment(cluster.name, targets, pool.health_check))
    if pool.discovery.dns:
        # the interval is a promise, whatever the records say of their lifetime
        cluster.dns_refresh_rate.CopyFrom(duration(pool.discovery.interval))
        cluster.dns_lookup_family = cluster_pb2.Cluster.ALL
    else:
        cluster.respect_dns_ttl = True
        # Envoy would take IPv6 first, and so reach nobody where a name has it and the network has not
        cluster.dns_lookup_family = cluster_pb2.Cluster.V4_PREFERRED


def _http_options(pool: BackendPool) -> http_protocol_options_pb2.HttpProtocolOptions | None:
    """HTTP/2 where the pool says so; with TLS as the endpoint chooses by ALPN; otherwise HTTP/1.1."""
    http2 = protocol_pb2.Http2ProtocolOptions()
    if pool.protocol in {Protocol.HTTP2, Protocol.GRPC}:
        return _Options(explicit_http_config=_Options.ExplicitHttpConfig(http2_protocol_options=http2))
    if pool.tls is not None:
        return _Options(
            auto_config=_Options.AutoHttpConfig(
                http_protocol_options=protocol_pb2.Http1ProtocolOptions(), http2_protocol_options=http2
            )
        )
    return None
