"""State-of-the-world xDS: clusters and listeners travel as complete sets, the other types as the resources that changed."""

from typing import Any

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from marchproxy.engines.envoy.xds.resource import ResourceType
from marchproxy.engines.envoy.xds.session.channel import Channel, Delivery, InFlight
from marchproxy.engines.envoy.xds.session.digest import set_version
from marchproxy.engines.envoy.xds.session.session import Session
from marchproxy.engines.envoy.xds.verdicts import Verdicts

# absence from a response deletes these; the other types end when nothing refers to them any more
_COMPLETE_SETS = frozenset({ResourceType.CLUSTER, ResourceType.LISTENER})


class SotwSession(Session):
    """One StreamAggregatedResources stream."""

    def __init__(self, verdicts: Verdicts) -> None:
        super().__init__(verdicts)
        self._named: set[ResourceType] = (
            set()
        )  # types that ever named a resource: empty is no wildcard for them

    def _is_stale(self, channel: Channel, request: Any) -> bool:
        # A request that answers an older response is followed by one that answers the newest; that one counts.
        return channel.opened and channel.in_flight is not None and request.response_nonce != ""

    def _subscribe(self, channel: Channel, request: Any) -> None:
        names = set(request.resource_names)
        legacy_wildcard = not names and channel.kind not in self._named
        if names:
            self._named.add(channel.kind)
        if not channel.opened:
            channel.open(legacy_wildcard=legacy_wildcard)
        before = channel.names | ({"*"} if channel.wildcard else set())
        if legacy_wildcard and channel.wildcard:
            names.add("*")
        if gone := before - names:
            channel.unsubscribe(gone)
        if new := names - before:
            channel.subscribe(new)

    def _compose(self, channel: Channel, delivery: Delivery, nonce: str) -> tuple[Any | None, InFlight]:
        resources = delivery.changed
        bodies: list[Any] = []
        if channel.kind in _COMPLETE_SETS:
            lingering = (self._verdicts.accepted(channel.kind, name) for name in delivery.deferred)
            resources = (*delivery.offered.values(), *(r for r in lingering if r is not None))
        elif channel.kind is ResourceType.ENDPOINT:
            bodies = [self._stand_in(name) for name in delivery.absent]
        bodies += [resource.body for resource in resources]
        flight = InFlight(nonce, resources, delivery.removed)
        if not bodies and not delivery.due and channel.kind not in _COMPLETE_SETS:
            channel.forget(delivery.removed)  # there are no words for a removal of these
            return None, flight
        response = discovery_pb2.DiscoveryResponse(
            type_url=channel.kind.type_url,
            nonce=nonce,
            version_info=set_version((r.name, r.version) for r in delivery.offered.values()),
            resources=bodies,
        )
        return response, flight

    def _stand_in(self, name: str) -> Any:
        # Without endpoints a cluster warms for 15 s, and so long Envoy withholds the acknowledgement of clusters. Either
        # the cluster is on its way out or its endpoints were refused: what the node had before does, or none.
        before = self._verdicts.accepted(ResourceType.ENDPOINT, name)
        if before is not None:
            return before.body
        body = any_pb2.Any()
        body.Pack(endpoint_pb2.ClusterLoadAssignment(cluster_name=name))
        return body
