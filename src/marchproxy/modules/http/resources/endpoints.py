"""The endpoints of a pool: those that it lists and those that were found, as Envoy takes them.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/endpoint/v3/endpoint.proto
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import socket_address
from marchproxy.model.pool import BackendPool, HealthCheck


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint. `host` is the name that it was found by, which TLS verifies; empty: none.

    Those of a higher `priority` (0 is the lowest number and goes first) are for when none of the lower is healthy.
    """

    address: str
    weight: int = 1
    priority: int = 0
    host: str = ""


def merge(pool: BackendPool, found: Iterable[Target]) -> tuple[Target, ...]:
    """The listed endpoints and those found, each address once: what is listed goes before what is found.

    Sorted by priority, which counts from 0 without a gap, as Envoy wants it.
    """
    targets = {endpoint.address: Target(endpoint.address, endpoint.weight) for endpoint in pool.endpoints}
    for target in found:
        targets.setdefault(target.address, target)
    levels = {
        priority: level for level, priority in enumerate(sorted({t.priority for t in targets.values()}))
    }
    renumbered = (Target(t.address, t.weight, levels[t.priority], t.host) for t in targets.values())
    return tuple(sorted(renumbered, key=lambda target: target.priority))


def assignment(
    cluster: str, targets: Sequence[Target], check: HealthCheck | None
) -> endpoint_pb2.ClusterLoadAssignment:
    """The endpoints of a cluster; `targets` sorted by priority."""
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster)
    for priority, group in groupby(targets, key=lambda target: target.priority):
        message.endpoints.add(priority=priority, lb_endpoints=[_endpoint(target, check) for target in group])
    return message


def split_address(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port of a checked `host:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _endpoint(target: Target, check: HealthCheck | None) -> endpoint_components_pb2.LbEndpoint:
    host, port = split_address(target.address)
    endpoint = endpoint_components_pb2.Endpoint(address=socket_address(host, port), hostname=target.host)
    if check is not None and check.port:
        endpoint.health_check_config.port_value = check.port
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint, load_balancing_weight=wrappers_pb2.UInt32Value(value=target.weight)
    )
