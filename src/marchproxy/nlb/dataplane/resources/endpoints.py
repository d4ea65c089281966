"""Endpoints: the instances behind a listener, by version and weight (docs/adr/0004)."""

from collections.abc import Iterable, Iterator, Mapping

from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from marchproxy.engines.envoy.messages import socket_address
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.module import Version
from marchproxy.model.plan import ListenerPlan, Target
from marchproxy.nlb.dataplane.resources.cluster import PROXY_MATCH
from marchproxy.nlb.dataplane.resources.naming import cluster_name

_HEALTHY = health_check_pb2.HealthStatus.Value("HEALTHY")
_DEGRADED = health_check_pb2.HealthStatus.Value("DEGRADED")
_DRAINING = health_check_pb2.HealthStatus.Value("DRAINING")


def build_endpoints(
    plan: ListenerPlan, parked: Iterable[Target], addresses: Mapping[str, str]
) -> endpoint_pb2.ClusterLoadAssignment:
    """The instances behind a listener, by version. Parked ones stay listed as draining, so that they are still counted.

    `addresses`: the IP address of each host name; an endpoint whose name is not among them is left out.

    Over UDP Envoy takes a flow away from a draining instance. There a parked one is degraded, which keeps its flows, and
    gets no new ones as long as anybody is healthy.
    """
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster_name(plan.listener.name))
    # Envoy shifts weight away from a locality with unhealthy hosts; the shares are ours to decide
    assignment.policy.overprovisioning_factor.value = 100_000
    weights = {version.version: version.weight for version in plan.versions}
    parked_as = _DEGRADED if plan.listener.over_udp and plan.versions else _DRAINING
    seen: set[str] = set()
    for version, members in sorted(_by_version(plan, parked).items()):
        locality = endpoint_components_pb2.LocalityLbEndpoints(
            locality=base_pb2.Locality(sub_zone=version),
            lb_endpoints=list(_endpoints(members, addresses, seen, parked_as)),
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
    targets: Iterable[Target], addresses: Mapping[str, str], seen: set[str], parked_as: int
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
            health_status=_HEALTHY if target.weight else parked_as,
        )
        if target.weight:
            endpoint.load_balancing_weight.value = target.weight
        if target.endpoint.proxy_protocol:
            endpoint.metadata.filter_metadata[PROXY_MATCH].update({"proxy_protocol": True})
        yield endpoint
