"""One ADS stream as a state machine without I/O: requests and snapshots in, responses and events out.

Order of delivery on a stream: runtime layers (Envoy asks for nothing else before it has them), clusters, then endpoints and secrets (at once: Envoy holds back the acknowledgement of clusters
until they are warm, for which it needs both), then, when those are acknowledged, filters that are delivered by themselves
(a listener asks for them by name), then listeners, then routes, and, when all is acknowledged, removals of clusters, then of
endpoints, secrets and filters.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from marchproxy.engines.envoy.xds.kinds import ResourceType, type_of_url
from marchproxy.engines.envoy.xds.session.channel import Channel, Delivery, InFlight
from marchproxy.engines.envoy.xds.session.digest import set_version
from marchproxy.engines.envoy.xds.session.events import Acked, Event, Nacked
from marchproxy.engines.envoy.xds.session.standing import Stage, Standing
from marchproxy.engines.envoy.xds.snapshot import Resources, Snapshot
from marchproxy.engines.envoy.xds.verdicts import Key, Verdicts

_CLUSTER, _ENDPOINT, _LISTENER, _ROUTE, _SECRET, _RUNTIME, _EXTENSION = ResourceType
# (type, types whose responses must be acknowledged before it may be sent)
_ADDITIONS: tuple[tuple[ResourceType, frozenset[ResourceType]], ...] = (
    (_RUNTIME, frozenset()),
    (_CLUSTER, frozenset()),
    (_ENDPOINT, frozenset()),
    (_SECRET, frozenset()),
    (_EXTENSION, frozenset({_CLUSTER, _ENDPOINT})),
    (_LISTENER, frozenset({_CLUSTER, _ENDPOINT, _EXTENSION})),
    (_ROUTE, frozenset({_CLUSTER, _ENDPOINT, _EXTENSION, _LISTENER})),
)
_REMOVALS: tuple[tuple[ResourceType, frozenset[ResourceType]], ...] = (
    (_CLUSTER, frozenset(ResourceType)),
    (_ENDPOINT, frozenset(ResourceType)),
    (_SECRET, frozenset(ResourceType)),
    (_EXTENSION, frozenset(ResourceType)),
)
_REMOVED_AT_ONCE = frozenset({_LISTENER, _ROUTE, _RUNTIME})


class Session(ABC):
    """State of one stream. `push` and `receive` change it; `take` returns what may be written now.

    `take` decides at the moment of writing, so nothing is ever queued for a superseded snapshot or subscription, and at
    most one response per type is outstanding. Nothing is sent before the first `push`.
    """

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts
        self._channels = {kind: Channel(kind, verdicts) for kind in ResourceType}
        self._target: Snapshot | None = None
        self._blocked: frozenset[Key] = frozenset()
        self._nonces = count(1)

    def push(self, snapshot: Snapshot | None) -> None:
        """Make `snapshot` what the client should hold; None: leave the client as it is."""
        before, self._target = self._target, snapshot
        if snapshot is None:
            return
        lifted, self._blocked = self._blocked, self._verdicts.blocked(snapshot)
        for kind, channel in self._channels.items():
            if before is None or before.of(kind) != snapshot.of(kind) or self._blocked or lifted:
                channel.dirty = True

    def receive(self, request: Any) -> list[Event]:
        """Take in one request. ProtocolViolation: the stream has to end. Types that are not served are ignored."""
        kind = type_of_url(request.type_url)
        if kind is None:
            return []
        channel = self._channels[kind]
        events: list[Event] = []
        flight = channel.in_flight
        if flight is not None and request.response_nonce == flight.nonce:
            events.append(self._answered(channel, flight, request))
        elif self._is_stale(channel, request):
            return []
        self._subscribe(channel, request)
        return events

    def _answered(self, channel: Channel, flight: InFlight, request: Any) -> Event:
        if not request.HasField("error_detail"):
            channel.acknowledge()
            return Acked(channel.kind, flight.nonce)
        rejection = self._verdicts.reject(channel.kind, flight.resources, request.error_detail.message)
        channel.refuse()
        if self._target is not None:
            self._blocked = self._verdicts.blocked(self._target)
        return Nacked(channel.kind, flight.nonce, rejection)

    def take(self) -> list[Any]:
        """The responses to write now, in order."""
        target = self._target
        if target is None:
            return []
        taken = []
        for kind, after in _ADDITIONS:
            if not any(self._channels[earlier].in_flight for earlier in after):
                taken += self._send(target, kind, remove=kind in _REMOVED_AT_ONCE)
        for kind, after in _REMOVALS:
            if not any(self._channels[earlier].in_flight for earlier in after):
                taken += self._send(target, kind, remove=True)
        return taken

    def _send(self, target: Snapshot, kind: ResourceType, *, remove: bool) -> list[Any]:
        channel = self._channels[kind]
        if not channel.opened or not channel.dirty or channel.in_flight:
            return []
        resources = self._endpoints(target) if kind is _ENDPOINT else target.of(kind)
        delivery = channel.plan(resources, self._blocked, remove=remove)
        channel.dirty = bool(delivery.deferred)
        if not (delivery.changed or delivery.removed or delivery.due):
            return []
        nonce = str(next(self._nonces))
        response, flight = self._compose(channel, delivery, nonce)
        if response is None:
            return []
        channel.sent(flight)
        if kind is _CLUSTER:
            self._resend_endpoints(delivery)
        return [response]

    def _endpoints(self, target: Snapshot) -> Resources:
        """The endpoints; where their cluster waits behind another response, in a version that makes them follow it again."""
        endpoints, clusters = target.of(_ENDPOINT), self._channels[_CLUSTER]
        if not (clusters.in_flight and clusters.dirty):
            return endpoints
        sent = clusters.on_client()
        early: set[str] = set()
        for cluster in target.of(_CLUSTER).values():
            if sent.get(cluster.name) != cluster.version:
                early |= cluster.references.get(_ENDPOINT, frozenset())
        return {**endpoints, **{name: endpoints[name].bound_to(()) for name in early}}

    def _resend_endpoints(self, delivery: Delivery) -> None:
        # A changed cluster warms anew and waits for endpoints, but Envoy subscribes by name and stays silent about a
        # name it is subscribed to already (envoyproxy/envoy#46383, go-control-plane#245). That includes a cluster sent
        # once more in its old version, because the client refused another one.
        for cluster in delivery.changed:
            self._channels[_ENDPOINT].owe(cluster.references.get(_ENDPOINT, ()))

    def holds(self, snapshot: Snapshot, expected: Mapping[ResourceType, Mapping[str, str]]) -> bool:
        """Whether the client acknowledged `expected` (versions by name) and nothing of `snapshot` is left to do."""
        if self._target is not snapshot or self.pending():
            return False
        return all(
            versions.items() <= self._channels[kind].held.items() for kind, versions in expected.items()
        )

    def pending(self) -> tuple[ResourceType, ...]:
        """The types with something to send or to be acknowledged."""
        return tuple(
            k
            for k, channel in self._channels.items()
            if channel.in_flight or (channel.opened and channel.dirty)
        )

    def standings(self) -> Iterator[Standing]:
        """Every resource that the client asked for and should hold."""
        if self._target is None:
            return
        reasons = self._verdicts.reasons(self._target)
        for kind, channel in self._channels.items():
            for name, resource in self._target.of(kind).items():
                if channel.opened and channel.wants(name):
                    reason = reasons.get((kind, name))
                    stage = Stage.REFUSED if reason is not None else channel.stage(resource)
                    yield Standing(resource, stage, reason or "")

    def acked_versions(self) -> dict[ResourceType, str]:
        """Per subscribed type, one hash over everything the client acknowledged."""
        return {
            k: set_version(channel.held.items()) for k, channel in self._channels.items() if channel.opened
        }

    @abstractmethod
    def _is_stale(self, channel: Channel, request: Any) -> bool:
        """Whether a request that answers nothing in flight has to be dropped whole."""

    @abstractmethod
    def _subscribe(self, channel: Channel, request: Any) -> None:
        """Apply a request's subscription."""

    @abstractmethod
    def _compose(self, channel: Channel, delivery: Delivery, nonce: str) -> tuple[Any | None, InFlight]:
        """Put a delivery into the protocol's words; no response when they have none for it."""
