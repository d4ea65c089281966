"""Fleet: the instances that share a limit, as the members of Envoy's local cluster. Nobody connects to them: they are counted.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/local_rate_limit_filter
"""

from typing import Any

from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from marchproxy.engines.envoy.messages import socket_address
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.snapshot import Snapshot

#: The local cluster in the bootstrap of an ALB's Envoy.
FLEET = "marchproxy_fleet"
_NOWHERE = "127.255.255.254"
_MOST_INSTANCES = 1000  # as many as an NLB registers; each is a member of a cluster


def bounded(instances: int) -> int:
    """Among how many limits are divided when an NLB says so many: at least 1."""
    return max(1, min(instances, _MOST_INSTANCES))


def build_fleet(name: str, instances: int) -> Any:
    """The endpoints of the local cluster `name`: as many as there are instances, each at a place of its own."""
    members = [
        endpoint_components_pb2.LbEndpoint(
            endpoint=endpoint_components_pb2.Endpoint(address=socket_address(_NOWHERE, 1 + number))
        )
        for number in range(instances)
    ]
    locality = endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=members)
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=[locality])


def instances_in(snapshot: Snapshot) -> int:
    """Among how many instances an ALB divided limits when it published this; 1 when it did not."""
    resource = snapshot.of(ResourceType.ENDPOINT).get(FLEET)
    if resource is None:
        return 1
    assignment = endpoint_pb2.ClusterLoadAssignment.FromString(resource.body.value)
    return sum(len(locality.lb_endpoints) for locality in assignment.endpoints)
