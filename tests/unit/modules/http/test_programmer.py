"""Who refuses what, and what is set aside: the policy of changes, documents and starts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.validation import Fault, Unjudged
from marchproxy.engines.envoy.xds import EMPTY, AdsServer, Publisher
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.snapshot import Snapshot, check
from marchproxy.kit.clock import VirtualClock
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.engine import Isolate
from marchproxy.modules.http.mixture import Inputs
from marchproxy.modules.http.programmer import Programmer
from marchproxy.modules.http.publication import Publication, Rejected, resume
from marchproxy.modules.http.resources import Builder, ListenerSpec
from marchproxy.modules.http.resources.pools import NOTHING_FOUND, PoolFindings

SOUND = decode(b"pools: [{name: p}]\nroutes: [{id: good, path: /good, backends: [p]}]")
FAULTY = decode(
    b"pools: [{name: p}]\nroutes: [{id: good, path: /good, backends: [p]}, {id: bad, path: {regex: '/b(?=x)'}, backends: [p]}]"
)
WORDS = "invalid perl operator: (?="


@dataclass
class Around:
    """Nothing lies around."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    kept: list[Sequence[BackendPool]] = field(default_factory=list)

    async def find(self, _: Sequence[BackendPool]) -> PoolFindings:
        return NOTHING_FOUND

    def take_back(self, faults: Sequence[Fault]) -> bool:
        return False

    def keep(self, pools: Sequence[BackendPool]) -> None:
        self.kept.append(pools)

    async def follow(self) -> None:
        await asyncio.Event().wait()


class Envoys:
    """One that judges beforehand, unless `blind`, and one that serves; neither takes the route `bad` as it is."""

    def __init__(self, *, blind: bool) -> None:
        self.blind = blind
        self.builder = Builder([ListenerSpec("http", "127.0.0.1", 10000)])
        self.served: list[set[str]] = []
        self._states: dict[int, tuple[Snapshot, DesiredState]] = {}

    def build(self, inputs: Inputs) -> Snapshot:
        snapshot = check(self.builder.build(inputs.state, inputs.credentials, inputs.findings))
        self._states[id(snapshot)] = snapshot, inputs.state
        return snapshot

    async def judge(self, inputs: Inputs) -> Snapshot:
        snapshot = self.build(inputs)
        if not self.blind and _is_faulty(inputs.state):
            raise Rejected([Fault(ResourceType.ROUTE, "routes", "bad", WORDS)], snapshot, beforehand=True)
        return snapshot

    async def publish(self, snapshot: Snapshot) -> None:
        state = self._states[id(snapshot)][1]
        if _is_faulty(state):
            raise Rejected([Fault(ResourceType.ROUTE, "routes", "", WORDS)], snapshot, beforehand=False)
        self.served.append({str(route.route_id) for route in state.routes})


def _is_faulty(state: DesiredState) -> bool:
    return any("(?=" in route.match.path.value for route in state.routes)


def programmer(envoys: Envoys) -> Programmer:
    return Programmer(envoys, Around(), clock=VirtualClock())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("isolate", "blind", "refused"),
    [
        (Isolate.NOTHING, False, True),
        (Isolate.NOTHING, True, True),
        (Isolate.REJECTED, False, True),  # its author is told before anything has happened
        (Isolate.REJECTED, True, False),
        (Isolate.FAULTY, False, False),
        (Isolate.FAULTY, True, False),
    ],
)
async def test_what_becomes_of_a_faulty_state(isolate: Isolate, *, blind: bool, refused: bool) -> None:
    envoys = Envoys(blind=blind)
    found = programmer(envoys)
    await found.apply(SOUND)
    if refused:
        with pytest.raises(Refused) as told:
            await found.apply(FAULTY, isolate)
        assert [problem.path for problem in told.value.problems] == ["routes[1].path"]
        assert envoys.served == [{"good"}]
        return
    (problem,) = await found.apply(FAULTY, isolate)
    assert (problem.path, WORDS in problem.message) == ("routes[1].path", True)
    assert envoys.served[-1] == {"good", "bad"}  # the second answers that it is not there
    assert all("good" in served for served in envoys.served)


async def test_what_is_held_stays_held_over_changes_of_others_and_is_lifted_by_its_own() -> None:
    found = programmer(Envoys(blind=False))
    await found.apply(FAULTY, Isolate.FAULTY)
    other = decode(
        b"pools: [{name: p}, {name: q}]\nroutes: [{id: good, path: /good, backends: [p]}, {id: bad, path: {regex: '/b(?=x)'}, backends: [p]}]"
    )
    assert len(await found.apply(other)) == 1
    assert await found.rehearse(other, Isolate.NOTHING) == ()
    assert len(await found.rehearse(other, Isolate.REJECTED)) == 1  # as a document it is a new one
    assert await found.apply(SOUND) == ()
    assert found.quarantine.held == {}


async def test_a_rehearsal_changes_nothing() -> None:
    envoys = Envoys(blind=False)
    found = programmer(envoys)
    await found.apply(SOUND)
    (problem,) = await found.rehearse(FAULTY, Isolate.NOTHING)
    assert problem.path == "routes[1].path"
    assert envoys.served == [{"good"}]


async def test_an_isolation_that_is_cut_short_is_undone() -> None:
    around, envoys = Around(), Envoys(blind=True)
    found = Programmer(envoys, around, clock=VirtualClock())  # type: ignore[arg-type]
    await found.apply(SOUND)

    async def interrupted(_: Snapshot) -> None:
        raise asyncio.CancelledError

    serve, envoys.publish = envoys.publish, interrupted  # type: ignore[method-assign]

    async def first_refuses(snapshot: Snapshot) -> None:
        envoys.publish = interrupted  # type: ignore[method-assign]
        await serve(snapshot)

    envoys.publish = first_refuses  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await found.apply(FAULTY, Isolate.REJECTED)
    assert around.changed.is_set()  # what was applied is published again


class Judge:
    def __init__(self, verdict: tuple[Fault, ...] | Unjudged) -> None:
        self.verdict = verdict

    async def check(self, _: Snapshot) -> tuple[Fault, ...]:
        if isinstance(self.verdict, Unjudged):
            raise self.verdict
        return self.verdict


BUILDER = Builder([ListenerSpec("http", "127.0.0.1", 10000)])


@pytest.mark.parametrize("judge", [None, Judge(()), Judge(Unjudged("out of memory"))])
async def test_what_nobody_objects_to_is_let_through(judge: Judge | None) -> None:
    publication = Publication(Publisher(AdsServer(), "alb"), BUILDER, judge)  # type: ignore[arg-type]
    assert (await publication.judge(Inputs(SOUND))).of(ResourceType.ROUTE)


async def test_an_objection_is_raised_with_all_its_faults() -> None:
    faults = (
        Fault(ResourceType.ROUTE, "routes", "good", "no"),
        Fault(ResourceType.CLUSTER, "pool.p", "", "no"),
    )
    publication = Publication(Publisher(AdsServer(), "alb"), BUILDER, Judge(faults))  # type: ignore[arg-type]
    with pytest.raises(Rejected) as rejected:
        await publication.judge(Inputs(SOUND))
    assert (rejected.value.faults, rejected.value.beforehand) == (faults, True)


@pytest.mark.parametrize(
    ("port", "adopted", "served"),
    [(10000, False, True), (10000, True, True), (1, False, False), (1, True, True)],
)
def test_the_last_good_snapshot_is_served_where_its_listeners_are_still_wanted(
    port: int, *, adopted: bool, served: bool, tmp_path: Path
) -> None:
    last_good = check(Builder([ListenerSpec("http", "127.0.0.1", port)]).build(SOUND))
    publisher = Publisher(AdsServer(), "alb", store=tmp_path / "snapshot.bin")
    resume(publisher, last_good, BUILDER, adopted=adopted)
    assert publisher.current is (last_good if served else EMPTY)
    resume(publisher, None, BUILDER, adopted=adopted)
    assert publisher.current is (last_good if served else EMPTY)


class Renewed(Around):
    """A certificate was renewed, and Envoy takes the one before only."""

    spoilt = True

    def take_back(self, faults: Sequence[Fault]) -> bool:
        taken, self.spoilt = self.spoilt and any(fault.type is ResourceType.SECRET for fault in faults), False
        return taken


async def test_a_file_that_envoy_refuses_is_no_fault_of_the_document() -> None:
    around, envoys = Renewed(), Envoys(blind=True)
    publish = envoys.publish

    async def publish_if_good(snapshot: Snapshot) -> None:
        if around.spoilt:
            raise Rejected([Fault(ResourceType.SECRET, "c", "", "not this one")], snapshot, beforehand=False)
        await publish(snapshot)

    envoys.publish = publish_if_good  # type: ignore[method-assign]
    found = Programmer(envoys, around, clock=VirtualClock())  # type: ignore[arg-type]
    assert await found.apply(SOUND) == ()
    assert envoys.served == [{"good"}]
    with pytest.raises(Refused):  # a fault of the document is told as ever
        await found.apply(FAULTY)
