"""Two Envoys that share a node id, as during a hot restart."""

from dataclasses import dataclass, field

from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.node import Node
from marchproxy.engines.envoy.xds.session import Nacked
from marchproxy.engines.envoy.xds.snapshot import EMPTY, Snapshot
from marchproxy.engines.envoy.xds.verdicts import Rejection


@dataclass
class SessionDouble:
    acknowledged: bool = False
    pushed: list[Snapshot | None] = field(default_factory=list)

    def push(self, snapshot: Snapshot | None) -> None:
        self.pushed.append(snapshot)

    def holds(self, _snapshot: Snapshot, _expected: object) -> bool:
        return self.acknowledged

    def acked_versions(self) -> dict[ResourceType, str]:
        return {ResourceType.CLUSTER: str(self.acknowledged)}


@dataclass(eq=False)
class StreamDouble:
    started: float
    session: SessionDouble = field(default_factory=SessionDouble)

    def wake(self) -> None: ...


def attached(*started: float) -> tuple[Node, list[StreamDouble]]:
    node, streams = Node("n"), [StreamDouble(moment) for moment in started]
    for stream in streams:
        node.attach(stream)
    return node, streams


def test_the_younger_envoy_speaks_and_both_are_fed():
    node, (old, young) = attached(100, 200)
    node.aim(EMPTY)
    assert old.session.pushed == young.session.pushed == [None, EMPTY]
    old.session.acknowledged = True
    assert not node.holds(EMPTY, {})
    young.session.acknowledged = True
    assert node.holds(EMPTY, {})


def test_one_that_connects_again_is_not_younger():
    node, (young, old) = attached(200, 100)
    young.session.acknowledged = True
    assert node.holds(EMPTY, {})
    node.detach(young)
    assert not node.holds(EMPTY, {})  # nobody else is left
    assert node.connected
    node.detach(old)
    assert not node.connected


def test_of_clients_that_do_not_say_the_newest_stream_speaks():
    node, (first, second) = attached(0, 0)
    first.session.acknowledged = True
    assert not node.holds(EMPTY, {})
    node.detach(second)
    assert node.holds(EMPTY, {})


def test_what_the_older_one_refuses_counts_for_nothing():
    node, (old, young) = attached(100, 200)
    kind = ResourceType.LISTENER
    refused = Nacked(kind, "1", Rejection(kind, frozenset(), "closed"))
    node.observe([refused], old)
    assert node.last_error is None
    node.observe([refused], young)
    assert node.last_error == "LISTENER : closed"
