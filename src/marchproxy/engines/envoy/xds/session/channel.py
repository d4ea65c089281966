"""One resource type on one ADS stream: what the client asked for, holds, and has still to acknowledge."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from marchproxy.engines.envoy.xds.resource import Resource, ResourceType
from marchproxy.engines.envoy.xds.session.events import ProtocolViolation
from marchproxy.engines.envoy.xds.session.standing import Stage
from marchproxy.engines.envoy.xds.snapshot import Resources
from marchproxy.engines.envoy.xds.verdicts import Key, Verdicts

# "the client may hold any version, or none": what a NACK leaves behind. No resource has this version.
UNKNOWN = ""
MAX_NAMES = 65_536
_LEGACY_WILDCARD = frozenset({ResourceType.CLUSTER, ResourceType.LISTENER})


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the client should be sent next, before it is put into one protocol's words."""

    offered: Resources  # everything the client subscribed to that exists
    changed: tuple[Resource, ...]
    absent: tuple[str, ...]  # asked for by name, and there is nothing to offer
    gone: tuple[str, ...]  # held, and to be removed now
    deferred: tuple[str, ...]  # held, and to be removed later
    due: bool  # an answer is owed even if it is empty

    @property
    def removed(self) -> tuple[str, ...]:
        """Every name that the client has to do without."""
        return self.absent + self.gone


@dataclass(frozen=True, slots=True)
class InFlight:
    """A response on its way: no other of this type is sent before the client has answered it."""

    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]


@dataclass(slots=True)
class Channel:
    """State of one type on one stream. `held` is what was acknowledged here, never what was merely sent."""

    kind: ResourceType
    verdicts: Verdicts
    opened: bool = False
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    owed: set[str] = field(default_factory=set)  # to be sent even if unchanged
    doubted: set[str] = field(default_factory=set)  # to be told at once if they do not exist any more
    in_flight: InFlight | None = None
    dirty: bool = False  # something may have to be sent
    due: bool = False

    def open(self, *, legacy_wildcard: bool) -> None:
        """Note the stream's first request of this type: it is answered whatever happens."""
        self.opened = self.due = self.dirty = True
        self.wildcard = legacy_wildcard and self.kind in _LEGACY_WILDCARD

    def resume(self, versions: dict[str, str]) -> None:
        """Believe a reconnecting client about what it holds: equal versions are not sent again, stale names are removed."""
        if len(versions) > MAX_NAMES:
            raise ProtocolViolation(f"more than {MAX_NAMES} initial {self.kind.name} versions")
        self.held = {name: version for name, version in versions.items() if self.wants(name)}
        if self.kind is ResourceType.ENDPOINT:
            # a cluster may have been warming when the stream broke: it still waits, although it reports old endpoints
            self.doubted = set(self.held)

    def subscribe(self, names: Iterable[str]) -> None:
        """Add names (`*` for all): each is answered, even if the client should hold it already."""
        for name in names:
            if name == "*":
                self.wildcard = True
            else:
                self.names.add(name)
                self.owed.add(name)
            self.dirty = True
        if len(self.names) > MAX_NAMES:
            raise ProtocolViolation(f"more than {MAX_NAMES} {self.kind.name} names subscribed on one stream")

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Drop names (`*` for the wildcard). The client forgets them; what a wildcard still covers is sent again."""
        for name in names:
            if name == "*":
                self.wildcard = False
            else:
                self.names.discard(name)
                self.owed.discard(name)
                self.held.pop(name, None)
            self.dirty = True
        if not self.wildcard:
            self.held = {name: version for name, version in self.held.items() if name in self.names}

    def wants(self, name: str) -> bool:
        """Whether the client is subscribed to this name now."""
        return self.wildcard or name in self.names

    def owe(self, names: Iterable[str]) -> None:
        """Send these again although unchanged, as soon as the client is subscribed to them."""
        self.owed.update(names)
        self.dirty = True

    def on_client(self) -> dict[str, str]:
        """Versions by name once the response in flight is accepted."""
        flight = self.in_flight.resources if self.in_flight else ()
        return self.held | {resource.name: resource.version for resource in flight}

    def stage(self, resource: Resource) -> Stage:
        """How far `resource` has come, as this version of it."""
        if self.held.get(resource.name) == resource.version:
            return Stage.ACCEPTED
        under_way = self.in_flight is not None and resource in self.in_flight.resources
        return Stage.SENT if under_way else Stage.NOT_SENT

    def plan(self, target: Resources, blocked: frozenset[Key], *, remove: bool) -> Delivery:
        """Compare what the client holds with `target`, as it is subscribed at this moment."""
        offered, withheld = self._offered(target, blocked)
        changed = tuple(
            resource
            for name, resource in offered.items()
            if self.held.get(name) != resource.version or name in self.owed
        )
        absent = {name for name in (self.owed | self.doubted) & self.names if name not in offered}
        kept = offered.keys() | withheld | absent
        gone = tuple(name for name in self.held if name not in kept)
        return Delivery(
            offered=offered,
            changed=changed,
            absent=tuple(absent),
            gone=gone if remove else (),
            deferred=() if remove else gone,
            due=self.due,
        )

    def _offered(self, target: Resources, blocked: frozenset[Key]) -> tuple[Resources, set[str]]:
        wanted: Mapping[str, Resource] = target
        if not self.wildcard:
            wanted = {name: target[name] for name in self.names if name in target}
        refused = [name for kind, name in blocked if kind is self.kind and name in wanted]
        if not refused:
            return wanted, set()
        offered, withheld = dict(wanted), set()
        for name in refused:
            good = self.verdicts.accepted(self.kind, name)
            if good is None:
                del offered[name]
                withheld.add(name)
            else:
                offered[name] = good
        return offered, withheld

    def sent(self, flight: InFlight) -> None:
        """Note a response handed to the stream."""
        self.in_flight = flight
        self.owed = {name for name in self.owed if not self.wants(name)}
        self.doubted.clear()
        self.due = False

    def acknowledge(self) -> None:
        """The response in flight was accepted: the client holds it, as far as it is still subscribed."""
        if (flight := self.in_flight) is None:
            return
        self.in_flight = None
        for name in flight.removed:
            self.held.pop(name, None)
        self.held.update((r.name, r.version) for r in flight.resources if self.wants(r.name))
        self.verdicts.accept(flight.resources)

    def forget(self, names: Iterable[str]) -> None:
        """Take these as no longer held, and no answer about them as owed."""
        for name in names:
            self.owed.discard(name)
            self.held.pop(name, None)

    def refuse(self) -> None:
        """The response in flight was refused: for its names nothing is known about the client any more.

        What was accepted before is taken as still held, and a lone removal as done: asking again would only loop.
        """
        if (flight := self.in_flight) is None:
            return
        self.in_flight = None
        self.dirty = True
        for name in flight.removed:
            self.held.pop(name, None)
            if flight.resources and self.wants(name):
                self.held[name] = UNKNOWN
        for resource in flight.resources:
            if self.wants(resource.name):
                proven = self.verdicts.has_accepted(resource)
                self.held[resource.name] = resource.version if proven else UNKNOWN
