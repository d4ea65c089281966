"""Backend pools as Envoy clusters: one cluster per pool, so that every route to it shares health and counts.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/cluster.proto
"""

import ipaddress
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration, over_ads, pack, socket_address
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool, Endpoint, HealthCheck
from marchproxy.modules.alb.resources.balance import set_balance
from marchproxy.modules.alb.resources.resilience import circuit_breakers, health_check, outlier_detection

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster_name(pool: str) -> str:
    """The name of a pool's cluster, and so the prefix of its statistics."""
    return f"pool.{pool}"


def build_cluster(pool: BackendPool, *, hashed: bool = False) -> Any:
    """The cluster of a pool. Endpoints that are all IP addresses come over EDS; host names are resolved by Envoy.

    `hashed`: a route to it keeps its sessions by a hash.
    """
    name = cluster_name(pool.name)
    cluster = cluster_pb2.Cluster(
        name=name,
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
    set_balance(cluster, pool, hashed=hashed)
    if _resolved(pool):
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.CopyFrom(cluster_pb2.Cluster.EdsClusterConfig(eds_config=over_ads()))
    else:
        cluster.type = cluster_pb2.Cluster.STRICT_DNS
        cluster.respect_dns_ttl = True
        cluster.load_assignment.CopyFrom(_assignment(pool))
    if pool.health_check is not None:
        cluster.health_checks.append(health_check(pool.health_check, pool.protocol))
    if pool.outliers is not None:
        cluster.outlier_detection.CopyFrom(outlier_detection(pool.outliers))
    if pool.protocol in {Protocol.HTTP2, Protocol.GRPC}:
        cluster.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(_http2_options())
    return cluster


def build_endpoints(pool: BackendPool) -> Any | None:
    """The endpoints of a pool for EDS, or None when its cluster resolves host names itself."""
    return _assignment(pool) if _resolved(pool) else None


def _assignment(pool: BackendPool) -> Any:
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=cluster_name(pool.name),
        endpoints=[
            endpoint_components_pb2.LocalityLbEndpoints(
                lb_endpoints=[_endpoint(endpoint, pool.health_check) for endpoint in pool.endpoints]
            )
        ],
    )


def _endpoint(endpoint: Endpoint, check: HealthCheck | None) -> Any:
    host, port = split_address(endpoint.address)
    target = endpoint_components_pb2.Endpoint(address=socket_address(host, port))
    if check is not None and check.port:
        target.health_check_config.port_value = check.port
    return endpoint_components_pb2.LbEndpoint(
        endpoint=target, load_balancing_weight=wrappers_pb2.UInt32Value(value=endpoint.weight)
    )


def split_address(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port of a checked `host:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _resolved(pool: BackendPool) -> bool:
    return all(_is_ip(split_address(endpoint.address)[0]) for endpoint in pool.endpoints)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _http2_options() -> Any:
    options = http_protocol_options_pb2.HttpProtocolOptions(
        explicit_http_config=http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(
            http2_protocol_options=protocol_pb2.Http2ProtocolOptions()
        )
    )
    return pack(options)
