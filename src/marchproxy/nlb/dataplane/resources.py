"""Resources: a forwarding plan as Envoy listeners, clusters and endpoints. Pure; golden files in tests/golden/nlb.

Each listener has one cluster. The versions of the module behind it are localities of that cluster, and their shares
locality weights, so that a canary step is a change of endpoints, which touches no connection (docs/adr/0004).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from envoy.config.cluster.v3 import cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import (
    base_pb2,
    extension_pb2,
    health_check_pb2,
    proxy_protocol_pb2,
)
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.load_balancing_policies.common.v3 import common_pb2
from envoy.extensions.load_balancing_policies.least_request.v3 import least_request_pb2
from envoy.extensions.load_balancing_policies.maglev.v3 import maglev_pb2
from envoy.extensions.load_balancing_policies.random.v3 import random_pb2
from envoy.extensions.load_balancing_policies.round_robin.v3 import round_robin_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.type.v3 import hash_policy_pb2
from google.protobuf import struct_pb2, wrappers_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.messages import duration, over_ads, pack, socket_address
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.listener import Listener
from marchproxy.model.module import Version
from marchproxy.model.plan import ListenerPlan, Target
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.plane import Forwarding

CONNECT_SECONDS = 1.0
#: A connection that an instance refuses is offered to others; the pause lets the ejection of the first take effect.
CONNECT_ATTEMPTS = 3
_RETRY_PAUSE = 0.02
#: Of the first ejection; each further one in a row is longer by as much, up to the longest.
_EJECTION_SECONDS, _LONGEST_EJECTION_SECONDS = 0.5, 5.0
_NO_LIMIT = 1_000_000  # of connections to instances: the listener is where they are limited
_HEALTHY = health_check_pb2.HealthStatus.Value("HEALTHY")
_DRAINING = health_check_pb2.HealthStatus.Value("DRAINING")
_PROXY_MATCH = "envoy.transport_socket_match"


def cluster_name(listener: str) -> str:
    """The name of a listener's cluster and endpoints."""
    return f"listener.{listener}"


def build_draft(forwarding: Forwarding, addresses: Mapping[str, str], *, workers: int) -> Draft:
    """The resources of every listener. `addresses` gives the IP address of each host name among the endpoints.

    An endpoint whose name is not in `addresses` is left out. `workers`: Envoy's threads.
    """
    resources: list[Resource] = []
    for plan in forwarding.plan.listeners:
        parked = forwarding.parked.get(plan.listener.name, ())
        resources.append(Resource.of(build_cluster(plan.listener)))
        resources.append(Resource.of(build_endpoints(plan, parked, addresses)))
        resources.append(Resource.of(build_listener(plan.listener, shared_port=workers > 1)))
    return Draft(tuple(resources))


def build_listener(listener: Listener, *, shared_port: bool) -> listener_pb2.Listener:
    """A port whose connections all go to the listener's cluster. `shared_port`: every worker has a socket of its own.

    With one worker the port is not shared, so that no other process can slip onto it.
    """
    proxy = tcp_proxy_pb2.TcpProxy(
        stat_prefix=listener.name,
        cluster=cluster_name(listener.name),
        idle_timeout=duration(listener.idle_timeout),
        max_connect_attempts=wrappers_pb2.UInt32Value(value=CONNECT_ATTEMPTS),
    )
    proxy.backoff_options.base_interval.CopyFrom(duration(_RETRY_PAUSE))
    if listener.balance is BalancePolicy.SOURCE_HASH:
        proxy.hash_policy.append(hash_policy_pb2.HashPolicy(source_ip=hash_policy_pb2.HashPolicy.SourceIp()))
    tcp_filter = listener_components_pb2.Filter(
        name="envoy.filters.network.tcp_proxy", typed_config=pack(proxy)
    )
    return listener_pb2.Listener(
        name=listener.name,
        stat_prefix=listener.name,
        address=socket_address(listener.host, listener.port),
        filter_chains=[listener_components_pb2.FilterChain(filters=[tcp_filter])],
        enable_reuse_port=wrappers_pb2.BoolValue(value=shared_port),
    )


def build_cluster(listener: Listener) -> cluster_pb2.Cluster:
    """The cluster behind a listener. It depends on the balance policy alone, so that it is hardly ever replaced."""
    name = cluster_name(listener.name)
    cluster = cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=over_ads()),
        connect_timeout=duration(CONNECT_SECONDS),
        load_balancing_policy=_load_balancing(listener.balance),
        outlier_detection=_ejection(),
        transport_socket_matches=[_proxy_protocol()],
    )
    # without a healthy instance a connection is refused rather than sent to one that must not get any
    cluster.common_lb_config.healthy_panic_threshold.value = 0
    # by default Envoy holds back changes of weight and health for up to a second, and with them an ejection
    cluster.common_lb_config.update_merge_window.CopyFrom(duration(0))
    limits = cluster.circuit_breakers.thresholds.add()
    for limit in (limits.max_connections, limits.max_pending_requests, limits.max_requests):
        limit.value = _NO_LIMIT
    return cluster


def build_endpoints(
    plan: ListenerPlan, parked: Iterable[Target], addresses: Mapping[str, str]
) -> endpoint_pb2.ClusterLoadAssignment:
    """The instances behind a listener, by version. Parked ones stay listed as draining, so that they are still counted."""
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster_name(plan.listener.name))
    # Envoy shifts weight away from a locality with unhealthy hosts; the shares are ours to decide
    assignment.policy.overprovisioning_factor.value = 100_000
    weights = {version.version: version.weight for version in plan.versions}
    seen: set[str] = set()
    for version, members in sorted(_by_version(plan, parked).items()):
        locality = endpoint_components_pb2.LocalityLbEndpoints(
            locality=base_pb2.Locality(sub_zone=version),
            lb_endpoints=list(_endpoints(members, addresses, seen)),
        )
        if weight := weights.get(version):
            locality.load_balancing_weight.value = weight
        if locality.lb_endpoints:
            assignment.endpoints.append(locality)
    return assignment


def _by_version(plan: ListenerPlan, parked: Iterable[Target]) -> dict[Version, list[Target]]:
    found = {version.version: list(version.targets) for version in plan.versions}
    for target in parked:
        found.setdefault(target.version, []).append(target)
    return found


def _endpoints(
    targets: Iterable[Target], addresses: Mapping[str, str], seen: set[str]
) -> Iterator[endpoint_components_pb2.LbEndpoint]:
    for target in targets:
        where = HostPort.parse(target.endpoint.address)
        ip = addresses.get(where.host)
        # Envoy refuses an address that is listed twice; the first instance keeps it
        if ip is None or target.endpoint.address in seen:
            continue
        seen.add(target.endpoint.address)
        endpoint = endpoint_components_pb2.LbEndpoint(
            endpoint=endpoint_components_pb2.Endpoint(
                hostname=target.instance_id, address=socket_address(ip, where.port)
            ),
            health_status=_HEALTHY if target.weight else _DRAINING,
        )
        if target.weight:
            endpoint.load_balancing_weight.value = target.weight
        if target.endpoint.proxy_protocol:
            endpoint.metadata.filter_metadata[_PROXY_MATCH].update({"proxy_protocol": True})
        yield endpoint


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


def _uint(value: int) -> wrappers_pb2.UInt32Value:
    return wrappers_pb2.UInt32Value(value=value)
