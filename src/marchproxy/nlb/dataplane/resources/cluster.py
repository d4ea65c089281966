"""Cluster: what stands behind a listener, and how one of its instances is chosen for a connection.

Each listener has one cluster. The versions of the module behind it are localities of that cluster, and their shares
locality weights, so that a canary step is a change of endpoints, which touches no connection (docs/adr/0004).
"""

from typing import assert_never

from envoy.config.cluster.v3 import cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2, protocol_pb2, proxy_protocol_pb2
from envoy.extensions.load_balancing_policies.common.v3 import common_pb2
from envoy.extensions.load_balancing_policies.least_request.v3 import least_request_pb2
from envoy.extensions.load_balancing_policies.maglev.v3 import maglev_pb2
from envoy.extensions.load_balancing_policies.random.v3 import random_pb2
from envoy.extensions.load_balancing_policies.round_robin.v3 import round_robin_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import struct_pb2, wrappers_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.messages import duration, over_ads, pack
from marchproxy.model.listener import Listener
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.resources.naming import NOBODY, cluster_name

CONNECT_SECONDS = 1.0
#: The metadata of endpoints that want PROXY protocol.
PROXY_MATCH = "envoy.transport_socket_match"
#: Of the first ejection; each further one in a row is longer by as much, up to the longest.
_EJECTION_SECONDS, _LONGEST_EJECTION_SECONDS = 0.5, 5.0
_NO_LIMIT = 1_000_000  # of connections to instances: the listener is where they are limited
#: A UDP session is a socket of this process, and anybody can make one with a forged address.
_UDP_SESSIONS = 20_000
_LEFT_SECONDS = 2.0
#: Where a cluster says which listener it stands behind.
LOG_METADATA = "marchproxy"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def build_cluster(listener: Listener, *, http: bool = False) -> cluster_pb2.Cluster:
    """The cluster behind a listener. It depends on the balance policy alone, so that it is hardly ever replaced.

    `http`: requests are sent to it one by one, by the protocol they came with.
    """
    name = cluster_name(listener.name)
    cluster = cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=over_ads()),
        connect_timeout=duration(CONNECT_SECONDS),
        load_balancing_policy=_load_balancing(listener.balance),
        outlier_detection=_ejection(),
    )
    # without a healthy instance a connection is refused rather than sent to one that must not get any
    cluster.common_lb_config.healthy_panic_threshold.value = 0
    # by default Envoy holds back changes of weight and health for up to a second, and with them an ejection
    cluster.common_lb_config.update_merge_window.CopyFrom(duration(0))
    limits = cluster.circuit_breakers.thresholds.add()
    for limit in (limits.max_connections, limits.max_pending_requests, limits.max_requests):
        limit.value = _NO_LIMIT
    if listener.over_udp:
        limits.max_connections.value = listener.max_connections or _UDP_SESSIONS
    else:
        cluster.transport_socket_matches.append(_proxy_protocol())
    if http:
        cluster.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(_as_downstream())
        # a connection tells one client's address; so no other client's requests may go over it
        cluster.connection_pool_per_downstream_connection = True
        cluster.metadata.filter_metadata[LOG_METADATA].update({"listener": listener.name})
    return cluster


def build_nobody() -> cluster_pb2.Cluster:
    """A cluster without endpoints, for connections that are turned away."""
    return cluster_pb2.Cluster(name=NOBODY, type=cluster_pb2.Cluster.STATIC, connect_timeout=duration(1))


def _load_balancing(policy: BalancePolicy) -> cluster_pb2.LoadBalancingPolicy:
    by_weight = common_pb2.LocalityLbConfig(
        locality_weighted_lb_config=common_pb2.LocalityLbConfig.LocalityWeightedLbConfig()
    )
    config: Message
    match policy:
        case BalancePolicy.LEAST_CONNECTIONS:
            # Two random choices pick the busier of two instances every fourth time; behind an NLB there are few
            # instances and connections are long, so looking at all of them is worth its cost.
            config = least_request_pb2.LeastRequest(
                selection_method=least_request_pb2.LeastRequest.FULL_SCAN, locality_lb_config=by_weight
            )
        case BalancePolicy.ROUND_ROBIN:
            config = round_robin_pb2.RoundRobin(locality_lb_config=by_weight)
        case BalancePolicy.RANDOM:
            config = random_pb2.Random(locality_lb_config=by_weight)
        case BalancePolicy.SOURCE_HASH:
            config = maglev_pb2.Maglev(
                locality_weighted_lb_config=common_pb2.LocalityLbConfig.LocalityWeightedLbConfig()
            )
        case _:
            assert_never(policy)
    extension = extension_pb2.TypedExtensionConfig(
        name=f"marchproxy.{policy.value}", typed_config=pack(config)
    )
    return cluster_pb2.LoadBalancingPolicy(
        policies=[cluster_pb2.LoadBalancingPolicy.Policy(typed_extension_config=extension)]
    )


def _ejection() -> outlier_detection_pb2.OutlierDetection:
    """An instance that refuses one connection gets no further one for a moment, whatever its heartbeats say.

    The last one is never ejected: a connection that may fail is better than one that must, and an instance that was
    restarted in a moment serves again in a moment.
    """
    return outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=_uint(1),
        enforcing_consecutive_local_origin_failure=_uint(100),
        enforcing_consecutive_5xx=_uint(0),
        enforcing_consecutive_gateway_failure=_uint(0),
        enforcing_success_rate=_uint(0),
        enforcing_local_origin_success_rate=_uint(0),
        interval=duration(0.25),
        base_ejection_time=duration(_EJECTION_SECONDS),
        max_ejection_time=duration(_LONGEST_EJECTION_SECONDS),
        max_ejection_percent=_uint(99),
    )


def _proxy_protocol() -> cluster_pb2.Cluster.TransportSocketMatch:
    """The transport of endpoints that require PROXY protocol v2: the client's address goes ahead of its bytes."""
    config = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport(
        config=proxy_protocol_pb2.ProxyProtocolConfig(version="V2"),
        transport_socket=base_pb2.TransportSocket(
            name="envoy.transport_sockets.raw_buffer", typed_config=pack(raw_buffer_pb2.RawBuffer())
        ),
    )
    return cluster_pb2.Cluster.TransportSocketMatch(
        name="proxy-protocol-v2",
        match=struct_pb2.Struct(fields={"proxy_protocol": struct_pb2.Value(bool_value=True)}),
        transport_socket=base_pb2.TransportSocket(
            name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=pack(config)
        ),
    )


def _as_downstream() -> Message:
    options = http_protocol_options_pb2.HttpProtocolOptions
    return pack(
        options(
            # Envoy does not close it when the client goes, and nobody else can use it
            common_http_protocol_options=protocol_pb2.HttpProtocolOptions(
                idle_timeout=duration(_LEFT_SECONDS)
            ),
            use_downstream_protocol_config=options.UseDownstreamHttpConfig(
                http_protocol_options=protocol_pb2.Http1ProtocolOptions(enable_trailers=True),
                http2_protocol_options=protocol_pb2.Http2ProtocolOptions(),
            ),
        )
    )


def _uint(value: int) -> wrappers_pb2.UInt32Value:
    return wrappers_pb2.UInt32Value(value=value)
