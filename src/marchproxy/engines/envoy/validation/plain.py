"""Plain: resources without what Envoy does not judge, so that a change of it needs no new judgement.

Of weights Envoy asks only that their sum is neither zero nor beyond 32 bits; of an endpoint's address, that it is one.
What does not keep to that is left as it is, and judged as it is.
"""

import ipaddress
from typing import Any

from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

_MOST = 2**32 - 1
_NOWHERE = "127.0.0.1"


def without_weights(route: Any) -> Any:
    """A route, changed in place: all its clusters weigh the same."""
    if route.HasField("route") and route.route.WhichOneof("cluster_specifier") == "weighted_clusters":
        clusters = route.route.weighted_clusters.clusters
        if 0 < sum(cluster.weight.value for cluster in clusters) <= _MOST:
            for cluster in clusters:
                cluster.weight.value = 1
    return route


def without_places(assignment: Any) -> Any:
    """An assignment with one endpoint of each sort in each locality, at no particular place."""
    plain = endpoint_pb2.ClusterLoadAssignment()
    plain.CopyFrom(assignment)
    for locality in plain.endpoints:
        weighs_well = sum(_weight(endpoint) for endpoint in locality.lb_endpoints) <= _MOST
        sorts: dict[bytes, Any] = {}
        for endpoint in locality.lb_endpoints:
            _move(endpoint, weighs_well=weighs_well)
            sorts.setdefault(endpoint.SerializeToString(deterministic=True), endpoint)
        kept = [endpoint_components_pb2.LbEndpoint.FromString(content) for content in sorts]
        del locality.lb_endpoints[:]
        locality.lb_endpoints.extend(kept)
    return plain


def _weight(endpoint: Any) -> int:
    return int(endpoint.load_balancing_weight.value) if endpoint.HasField("load_balancing_weight") else 1


def _move(endpoint: Any, *, weighs_well: bool) -> None:
    if weighs_well and endpoint.load_balancing_weight.value:
        endpoint.load_balancing_weight.value = 1
    address = endpoint.endpoint.address.socket_address
    if _is_ip(address.address) and 0 < address.port_value <= 65_535:
        address.address, address.port_value = _NOWHERE, 1
        endpoint.endpoint.hostname = ""


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
