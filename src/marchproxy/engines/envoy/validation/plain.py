"""Plain: resources without what Envoy does not judge, so that a change of it needs no new judgement.

Of weights Envoy asks only that their sum is neither zero nor beyond 32 bits; of an endpoint's address, that it is one; of a
literal path, that no query or fragment is in it; of a header's value, that no broken command (`%…%`) is in it; of a time, that
it is one; of a bucket, that it holds tokens and is filled. What does not keep to that, or is made of unusual characters, is left as it is, and judged as it is.
"""

import ipaddress
import re
from itertools import chain
from typing import Any

from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2

_MOST = 2**32 - 1
_NOWHERE = "127.0.0.1"
_LITERAL = re.compile(r"/[A-Za-z0-9/._~-]{0,1000}[A-Za-z0-9._~-]")
_VALUE = re.compile(r"[ -$&-~]{1,1000}")  # visible ASCII without %
_ANY_PATH = "/path"
_ANY_NAME = "name"
_LONGEST = 366 * 24 * 3600  # seconds; what documents allow, and far from where Envoy's own arithmetic ends


def without_texts(route: Any) -> Any:
    """A route, changed in place: its name, literal path, header values, times and clusters are like any other's.

    That the clusters exist is what a consistent snapshot says.
    """
    route.name = _ANY_NAME
    kind = route.match.WhichOneof("path_specifier")
    if kind in {"path", "prefix", "path_separated_prefix"} and _LITERAL.fullmatch(getattr(route.match, kind)):
        setattr(route.match, kind, _ANY_PATH)
    for option in chain(route.request_headers_to_add, route.response_headers_to_add):
        if _VALUE.fullmatch(option.header.value):
            option.header.value = _ANY_NAME
    if route.HasField("route"):
        _forwarding_anywhere(route.route)
    return without_weights(route)


def _forwarding_anywhere(action: Any) -> None:
    for field in ("timeout", "idle_timeout"):
        time = getattr(action, field)
        if 0 <= time.seconds <= _LONGEST and 0 <= time.nanos < 10**9:
            action.ClearField(field)
    match action.WhichOneof("cluster_specifier"):
        case "cluster" if action.cluster:
            action.cluster = _ANY_NAME
        case "weighted_clusters":
            for cluster in action.weighted_clusters.clusters:
                cluster.name = cluster.name and _ANY_NAME


def without_weights(route: Any) -> Any:
    """A route, changed in place: all its clusters weigh the same."""
    if route.HasField("route") and route.route.WhichOneof("cluster_specifier") == "weighted_clusters":
        clusters = route.route.weighted_clusters.clusters
        if 0 < sum(cluster.weight.value for cluster in clusters) <= _MOST:
            for cluster in clusters:
                cluster.weight.value = 1
    return route


def without_amounts(extension: Any) -> Any:
    """A filter's configuration, changed in place: of a local rate limit, one bucket of each sort; others stay as they are."""
    if not extension.typed_config.Is(local_rate_limit_pb2.LocalRateLimit.DESCRIPTOR):
        return extension
    limits = local_rate_limit_pb2.LocalRateLimit.FromString(extension.typed_config.value)
    for bucket in (limits.token_bucket, *(descriptor.token_bucket for descriptor in limits.descriptors)):
        bucket.max_tokens = min(bucket.max_tokens, 1)
        if bucket.tokens_per_fill.value:
            bucket.tokens_per_fill.value = 1
    for option in limits.response_headers_to_add:
        if _VALUE.fullmatch(option.header.value):
            option.header.value = _ANY_NAME
    if len({str(descriptor.entries) for descriptor in limits.descriptors}) == len(limits.descriptors):
        _keep_sorts(limits.descriptors)  # of two that are the same, Envoy refuses the second
    extension.typed_config.Pack(limits, deterministic=True)
    return extension


def _keep_sorts(descriptors: Any) -> None:
    for descriptor in descriptors:
        for entry in descriptor.entries:
            entry.value = entry.value and _ANY_NAME
    sorts = {descriptor.SerializeToString(deterministic=True): descriptor for descriptor in descriptors}
    kept = [ratelimit_pb2.LocalRateLimitDescriptor.FromString(content) for content in sorted(sorts)]
    del descriptors[:]
    descriptors.extend(kept)


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
