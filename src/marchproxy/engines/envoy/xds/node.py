"""One Envoy as the control plane sees it: what it should hold, its streams, its verdicts. No I/O."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.session import Event, Nacked, Session, Standing
from marchproxy.engines.envoy.xds.snapshot import Snapshot, wanted_by_holder
from marchproxy.engines.envoy.xds.verdicts import Rejection, Verdicts

Expected = dict[ResourceType, dict[str, str]]


class Stream(Protocol):
    """A live stream of a node. `started` is larger for a younger client; 0 where clients do not say."""

    session: Session
    started: float

    def wake(self) -> None:
        """Have the writer look for something to send."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What is known about one node. `acked`: per type, a hash of what was acknowledged on the newest stream."""

    node_id: str
    connected: bool
    acked: dict[ResourceType, str]
    last_error: str | None


class Node:
    """A node's target and streams; the newest stream of the youngest client speaks for it.

    During a hot restart two Envoys share the node id. Both are fed, but what the older one acknowledges or refuses, or
    that it has connected again, counts for nothing.
    """

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.verdicts = Verdicts()
        self.target: Snapshot | None = None
        self.rejection: Rejection | None = None  # of the target now being tried
        self.last_error: str | None = None
        self._fallback: Snapshot | None = None
        self._trying = False
        self._streams: list[Stream] = []
        self._watchers: set[asyncio.Event] = set()

    @property
    def connected(self) -> bool:
        """Whether a stream is open."""
        return bool(self._streams)

    @property
    def watched(self) -> bool:
        """Whether somebody waits for this node."""
        return bool(self._watchers)

    def aim(self, snapshot: Snapshot | None) -> None:
        """Set what the node should hold from now on; None leaves it as it is."""
        self._trying = False
        self._set(snapshot)

    def attempt(self, snapshot: Snapshot, fallback: Snapshot | None) -> None:
        """Like `aim`, but a refusal of anything new in `snapshot` returns to `fallback` before anything else is sent."""
        self.rejection, self._trying, self._fallback = None, True, fallback
        self._set(snapshot)

    def _set(self, snapshot: Snapshot | None) -> None:
        self.target = snapshot
        if snapshot is not None:
            self.verdicts.trim(snapshot)
        for stream in self._streams:
            stream.session.push(snapshot)
            stream.wake()
        self.notify()

    def attach(self, stream: Stream) -> None:
        """Add a new stream."""
        self._streams.append(stream)
        self._streams.sort(key=lambda one: one.started)  # stable: of one client, the newest is the last
        stream.session.push(self.target)
        self.notify()

    def detach(self, stream: Stream) -> None:
        """Remove a stream that ended."""
        self._streams.remove(stream)
        self.notify()

    def observe(self, events: list[Event], stream: Stream) -> None:
        """Act on what the session of a stream reported, before that session may send again."""
        for event in events:
            if isinstance(event, Nacked) and stream is self._streams[-1]:
                self._refused(event.rejection)
        if events:
            self.notify()

    def _refused(self, rejection: Rejection) -> None:
        self.last_error = f"{rejection.type.name} {', '.join(rejection.names)}: {rejection.message}"
        if self._trying and self.target is not None and rejection.applies_to(self.target):
            self.rejection = rejection
            self.aim(self._fallback)

    def holds(self, snapshot: Snapshot, expected: Expected) -> bool:
        """Whether the newest stream acknowledged all of `snapshot`."""
        return self.connected and self._streams[-1].session.holds(snapshot, expected)

    def pending(self) -> tuple[ResourceType, ...]:
        """The types that the newest stream has still to send or to see acknowledged."""
        return self._streams[-1].session.pending() if self._streams else ()

    def status(self) -> NodeStatus:
        """A value that describes this node now."""
        acked = self._streams[-1].session.acked_versions() if self._streams else {}
        return NodeStatus(self.node_id, self.connected, acked, self.last_error)

    def standings(self) -> Iterator[Standing]:
        """What became of each resource that the newest stream asked for."""
        return self._streams[-1].session.standings() if self._streams else iter(())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on this node, looked at after every change of it. The caller sets the limit."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            while not condition():
                await changed.wait()
                changed.clear()
        finally:
            self._watchers.discard(changed)

    def notify(self) -> None:
        """Have everybody who waits look again."""
        for event in self._watchers:
            event.set()


def expected_of(snapshot: Snapshot) -> Expected:
    """What a client that asks for everything acknowledges once it holds `snapshot`: versions by type and name."""
    expected: Expected = {
        kind: {name: resource.version for name, resource in snapshot.of(kind).items()}
        for kind in (ResourceType.RUNTIME, ResourceType.CLUSTER, ResourceType.LISTENER)
        if kind is not ResourceType.RUNTIME or snapshot.of(kind)
    }
    for kind, names in wanted_by_holder(snapshot).items():
        present = snapshot.of(kind)
        expected[kind] = {name: present[name].version for name in names}
    return expected
