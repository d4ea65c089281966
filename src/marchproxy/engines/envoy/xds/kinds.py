"""The resource types of xDS.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol#resource-types
"""

from collections.abc import Mapping
from enum import Enum

_PREFIX = "type.googleapis.com/"


class ResourceType(Enum):
    """The resource types served, in delivery order; the value is the protobuf full name."""

    CLUSTER = "envoy.config.cluster.v3.Cluster"
    ENDPOINT = "envoy.config.endpoint.v3.ClusterLoadAssignment"
    LISTENER = "envoy.config.listener.v3.Listener"
    ROUTE = "envoy.config.route.v3.RouteConfiguration"
    SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type's name, not a secret
    RUNTIME = "envoy.service.runtime.v3.Runtime"
    EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"

    @property
    def type_url(self) -> str:
        """The `type_url` of requests and responses."""
        return _PREFIX + self.value


# the names of the resources that one resource cannot work without
References = Mapping[ResourceType, frozenset[str]]

_BY_URL = {kind.type_url: kind for kind in ResourceType}


def type_of_url(type_url: str) -> ResourceType | None:
    """The resource type that a `type_url` names, or None when it is not one we serve."""
    return _BY_URL.get(type_url)
