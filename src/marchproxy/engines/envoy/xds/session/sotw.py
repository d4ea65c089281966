"""State-of-the-world xDS: clusters and listeners travel as complete sets, the other types as the resources that changed."""

from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

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
        if channel.kind in _COMPLETE_SETS:
            lingering = (self._verdicts.accepted(channel.kind, name) for name in delivery.deferred)
            resources = (*delivery.offered.values(), *(r for r in lingering if r is not None))
        elif not delivery.changed and not delivery.due:
            # There are no words for a removal: the client forgets the name itself, or asks again.
            channel.owed.clear()
            for name in delivery.removed:
                channel.held.pop(name, None)
            return None, InFlight(nonce, (), ())
        response = discovery_pb2.DiscoveryResponse(
            type_url=channel.kind.type_url,
            nonce=nonce,
            version_info=set_version((r.name, r.version) for r in delivery.offered.values()),
            resources=[resource.body for resource in resources],
        )
        return response, InFlight(nonce, resources, delivery.removed)
