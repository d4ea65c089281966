"""Whatever happens on the way, the client ends up with the last snapshot, minus what it refused, and nothing loops."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.engines.envoy.xds.session import DeltaSession, SotwSession
from marchproxy.engines.envoy.xds.verdicts import Verdicts
from tests.unit.engines.envoy.xds.envoy_model import CLUSTER, ENDPOINT, LISTENER, ROUTE, EnvoyModel, checked
from tests.unit.engines.envoy.xds.strategies import names, snapshots, versions

steps = st.lists(
    st.one_of(snapshots(), st.sampled_from(["deliver", "deliver", "answer", "answer", "reconnect"])),
    max_size=40,
)


class Wire:
    """A session and a client with messages under way in both directions."""

    def __init__(self, client: EnvoyModel, variant) -> None:
        self.client, self.variant = client, variant
        self.verdicts = Verdicts()
        self.target = checked()
        self.connect()

    def connect(self) -> None:
        self.session = self.variant(self.verdicts)
        self.down, self.up = [], self.client.connect()
        self.push(self.target)

    def push(self, snapshot) -> None:
        self.target = snapshot
        self.session.push(snapshot)
        self.down += self.session.take()

    def deliver(self) -> None:
        if self.down:
            self.up += self.client.receive(self.down.pop(0))

    def answer(self) -> None:
        if self.up:
            self.session.receive(self.up.pop(0))
            self.down += self.session.take()

    def play(self, script) -> None:
        for step in script:
            match step:
                case "deliver":
                    self.deliver()
                case "answer":
                    self.answer()
                case "reconnect":
                    self.connect()
                case snapshot:
                    self.push(snapshot)

    def drain(self) -> None:
        for _ in range(1000):
            if not self.up and not self.down:
                return
            self.deliver()
            self.answer()
        raise AssertionError("the dialogue does not end")


def versions_of(snapshot, kind):
    return {name: resource.version for name, resource in snapshot.of(kind).items()}


def contents(versions):
    return {name: version.partition(".")[0] for name, version in versions.items()}


@pytest.mark.parametrize("variant", [DeltaSession, SotwSession])
@settings(deadline=None)
@given(script=steps)
def test_client_converges_and_no_route_ever_misses_its_cluster(variant, script):
    client = EnvoyModel(delta=variant is DeltaSession)
    wire = Wire(client, variant)
    wire.play(script)
    wire.drain()
    for kind in (CLUSTER, LISTENER, ENDPOINT, ROUTE):
        assert contents(client.held[kind]) == contents(versions_of(wire.target, kind)), kind
    assert client.warming == set()
    assert client.broken == []
    assert wire.session.pending() == ()


@pytest.mark.parametrize("blames", [True, False])
@pytest.mark.parametrize("variant", [DeltaSession, SotwSession])
@settings(deadline=None)
@given(
    script=steps,
    bad=st.sets(
        st.tuples(st.sampled_from([CLUSTER, ENDPOINT, LISTENER]), names, versions.map(str)), max_size=3
    ),
)
def test_refused_resources_are_withheld_and_everything_else_converges(variant, blames, script, bad):
    client = EnvoyModel(delta=variant is DeltaSession, refuses=lambda *what: what in bad, blames=blames)
    wire = Wire(client, variant)
    wire.play(script)
    wire.drain()
    blocked = wire.verdicts.blocked(wire.target)
    for kind in (CLUSTER, LISTENER):
        expected = versions_of(wire.target, kind)
        if client.delta or not blocked:  # a complete set cannot say "keep what you have of this one"
            assert client.held[kind].keys() <= expected.keys()
        for name, version in expected.items():
            if (kind, name) not in blocked:
                assert client.held[kind].get(name) == version, (kind, name)
    if blames:
        for culprit in set(client.refused):
            # once more at most: when it was under way on a stream that broke
            assert client.refused.count(culprit) <= 1 + script.count("reconnect")


@pytest.mark.parametrize("variant", [DeltaSession, SotwSession])
@settings(deadline=None)
@given(script=steps)
def test_after_the_dialogue_silence(variant, script):
    wire = Wire(EnvoyModel(delta=variant is DeltaSession), variant)
    wire.play(script)
    wire.drain()
    before = len(wire.client.received)
    wire.push(checked(*wire.target))
    wire.drain()
    assert len(wire.client.received) == before
