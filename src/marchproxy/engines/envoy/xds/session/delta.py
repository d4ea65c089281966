"""Incremental xDS: only differences travel, each resource with its own version."""

from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from marchproxy.engines.envoy.xds.session.channel import Channel, Delivery, InFlight
from marchproxy.engines.envoy.xds.session.session import Session


class DeltaSession(Session):
    """One DeltaAggregatedResources stream."""

    def _is_stale(self, channel: Channel, request: Any) -> bool:
        del channel, request
        return False  # subscription changes are increments: losing one would lose it for good

    def _subscribe(self, channel: Channel, request: Any) -> None:
        if channel.opened:
            channel.subscribe(request.resource_names_subscribe)
        else:
            owed = set(channel.owed)  # because of what was sent on this stream already
            channel.open(legacy_wildcard=not request.resource_names_subscribe)
            channel.subscribe(request.resource_names_subscribe)
            channel.resume(dict(request.initial_resource_versions))
            channel.owed -= channel.held.keys() - owed
        channel.unsubscribe(request.resource_names_unsubscribe)

    def _compose(self, channel: Channel, delivery: Delivery, nonce: str) -> tuple[Any | None, InFlight]:
        # Envoy tells it in its statistics (`version_text`); a version of its own is told of a resource that comes alone
        version = delivery.changed[0].version if len(delivery.changed) == 1 else ""
        response = discovery_pb2.DeltaDiscoveryResponse(
            system_version_info=version,
            type_url=channel.kind.type_url,
            nonce=nonce,
            removed_resources=delivery.removed,
            resources=[
                discovery_pb2.Resource(name=r.name, version=r.version, resource=r.body)
                for r in delivery.changed
            ],
        )
        return response, InFlight(nonce, delivery.changed, delivery.removed)
