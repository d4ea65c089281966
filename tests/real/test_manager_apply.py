"""Revisions against an NLB and an ALB: in force everywhere or nowhere, whoever dies meanwhile."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from marchproxy.contract.document import decode
from marchproxy.contract.fleet import takers
from marchproxy.contract.pb import module_pb2, nlb_pb2
from marchproxy.manager.revising import PartPhase, PartsRefused, Phase, Revisions, applier
from marchproxy.model.problem import RefusalCode
from marchproxy.model.revision import RevisionHead
from marchproxy.model.state import DesiredState
from marchproxy.store import Sealer, Store, StoreSettings, StoreUnavailable, open_store
from tests.real.support.postgres_cluster import Node, postgres_cluster
from tests.real.support.process import start
from tests.real.support.proposing import ANN, MOMENTS, call_at, revising
from tests.real.support.system import System, two_versions
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = {"id": "hello", "path": "/hello", "response": {"status": 200, "body": "one"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with two_versions(tmp_path_factory.mktemp("apply")) as system:
        yield system


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Store]:
    async with open_store(*where(folder)) as store:
        yield store


def where(folder: Path) -> tuple[StoreSettings, Sealer]:
    return StoreSettings(f"sqlite:///{folder}/manager.db"), Sealer.of_file(folder / "secret.key")


@pytest_asyncio.fixture(loop_scope="module")
async def revisions(system: System, tmp_path: Path) -> AsyncIterator[Revisions]:
    """Those of a new store, whose first revision is what the parts run already."""
    async with sqlite(tmp_path) as store, of_system(store, system) as revisions:
        yield revisions


@asynccontextmanager
async def of_system(store: Store, system: System) -> AsyncIterator[Revisions]:
    async with revising(store, nlb_of(system), await desired(system)) as revisions:
        await agreed(system, revisions.current.head)
        yield revisions


def nlb_of(system: System) -> str:
    return f"127.0.0.1:{system.nlb.grpc}"


async def desired(system: System) -> DesiredState:
    answer = await system.nlb_stub().GetNLBConfig(nlb_pb2.GetNLBConfigRequest(), timeout=20)
    return decode(answer.configs[0].config_data)


async def checksums(system: System) -> set[str]:
    """What both parts say that they run."""
    nlb = await system.nlb_stub().GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), timeout=20)
    alb = await system.alb_stub().GetStatus(module_pb2.GetStatusRequest(), timeout=20)
    return {nlb.config_checksum, alb.instance.config_checksum}


async def agreed(system: System, head: RevisionHead) -> None:
    """Wait until all of them run it."""

    async def agree() -> bool:
        return await checksums(system) == {head.checksum}

    await until(agree, within=60)


async def hello(system: System) -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.get(f"http://127.0.0.1:{system.port}/hello")
    return answer.status_code, answer.text


async def says(system: System, text: str) -> None:
    """Wait until traffic shows it."""

    async def shown() -> bool:
        try:
            return await hello(system) == (200, text)
        except httpx.TransportError:
            return False

    await until(shown, within=40)


def saying(text: str) -> dict[str, Any]:
    return {**HELLO, "response": {"status": 200, "body": text}}


async def test_what_is_proposed_is_seen_in_traffic(system: System, revisions: Revisions) -> None:
    rehearsed = await revisions.put("routes", "hello", saying("a"), by=ANN, reason="", dry_run=True)
    assert {(part.name, part.kind, part.would_change) for part in rehearsed.parts} == {
        ("alb-1", "alb", True),
        ("nlb", "nlb", True),
    }
    assert (await hello(system))[1] != "a"
    outcome = await revisions.put("routes", "hello", saying("a"), by=ANN, reason="say a")
    assert await hello(system) == (200, "a")
    assert await checksums(system) == {outcome.revision.checksum}
    await until(lambda: revisions.progress is not None and revisions.progress.phase is Phase.DONE)
    assert revisions.progress is not None
    assert revisions.progress.parts == {"alb-1": PartPhase.REPORTS, "nlb": PartPhase.REPORTS}
    await revisions.restore(outcome.revision.parent, by=ANN, reason="back")
    assert (await hello(system))[1] != "a"


async def test_what_one_part_refuses_is_nowhere(system: System, revisions: Revisions) -> None:
    before = revisions.current
    with socket.create_server(("127.0.0.1", 0)) as taken:
        item = {"name": "second", "address": f"127.0.0.1:{taken.getsockname()[1]}", "protocol": "http"}
        with pytest.raises(PartsRefused) as refused:
            await revisions.put("listeners", "second", item, by=ANN, reason="")
    assert [part.name for part in refused.value.parts if part.problems] == ["nlb"]
    assert revisions.current is before
    assert await checksums(system) == {before.head.checksum}
    outcome = await revisions.put("routes", "hello", saying("after"), by=ANN, reason="")
    assert await hello(system) == (200, "after")
    await agreed(system, outcome.revision)


async def test_a_canary_goes_on_while_something_else_is_edited(system: System, revisions: Revisions) -> None:
    promote = module_pb2.PromoteVersionRequest(version="v2", steps=[10, 100], route_id="web")
    promote.analysis.interval.seconds = 600
    stub = system.alb_stub()
    assert (await stub.PromoteVersion(promote, timeout=20)).success
    outcome = await revisions.put("routes", "hello", saying("beside"), by=ANN, reason="")
    assert await hello(system) == (200, "beside")
    await agreed(system, outcome.revision)
    active = await stub.GetActiveVersion(module_pb2.GetActiveVersionRequest(route_id="web"), timeout=20)
    assert (dict(active.version_weights), len(active.rollouts)) == ({"v1": 90, "v2": 10}, 1)
    web = next(item for item in revisions.current.document["routes"] if item["id"] == "web")
    weights = [{"pool": "blue", "weight": 100}, {"pool": "green", "weight": 0}]
    edited = {**web, "backends": [{"pool": "blue", "weight": 50}, {"pool": "green", "weight": 50}]}
    await revisions.put("routes", "web", edited, by=ANN, reason="by hand")
    await revisions.put("routes", "web", {**web, "backends": weights}, by=ANN, reason="and back")
    active = await stub.GetActiveVersion(module_pb2.GetActiveVersionRequest(route_id="web"), timeout=20)
    assert (dict(active.version_weights), len(active.rollouts)) == ({"v1": 100, "v2": 0}, 0)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_manager_killed_in_the_middle(system: System, tmp_path: Path, moment: str) -> None:
    async with sqlite(tmp_path) as store, of_system(store, system) as revisions:
        before = revisions.current.head
    text = moment.replace(" ", "-")
    settings, sealer = where(tmp_path)
    command = (sys.executable, "-m", "tests.real.support.proposing", settings.url, str(sealer.path))
    arguments = (nlb_of(system), "routes", json.dumps(saying(text)), moment)
    process = await start((*command, *arguments), tmp_path / "proposing.log")
    try:
        assert await process.ended(60) == -signal.SIGKILL, process.log.read_text()
    finally:
        await process.end()
    async with sqlite(tmp_path) as store, revising(store, nlb_of(system), DesiredState()) as revisions:
        await until(lambda: revisions.current.head.number > before.number or moment == "before begin", 40)
        head = revisions.current.head
        assert await store.pending() is None
        await agreed(system, head)
        assert (head.checksum == before.checksum) is (moment == "before begin")
        assert ((await hello(system))[1] == text) is (moment != "before begin")


async def test_a_part_that_stands_still_in_the_middle(
    system: System, revisions: Revisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run the new document when it goes on, though everybody has been told that nobody does."""
    monkeypatch.setattr(takers, "_SECONDS", 1.0)
    before, process = revisions.current.head, system.alb.process
    assert process is not None

    async def stop() -> None:
        process.send(signal.SIGSTOP)

    call_at("after begin", revisions._store, stop, monkeypatch.setattr)
    try:
        with pytest.raises(PartsRefused, match="alb-1: ") as refused:
            await revisions.put("routes", "hello", saying("never"), by=ANN, reason="")
        assert refused.value.code is RefusalCode.UNAVAILABLE
        assert revisions.current.head == before
    finally:
        process.send(signal.SIGCONT)
    monkeypatch.undo()

    async def goes_on() -> bool:
        try:
            await revisions.put("routes", "hello", saying("again"), by=ANN, reason="")
        except PartsRefused:
            return False
        return True

    await until(goes_on, within=60)
    await agreed(system, revisions.current.head)
    await says(system, "again")


async def test_a_part_that_was_away_is_brought_up_to_date(system: System, revisions: Revisions) -> None:
    await system.alb.kill()
    refusals = []

    async def applied() -> bool:
        try:
            await revisions.put("routes", "hello", saying("missed"), by=ANN, reason="")
        except PartsRefused as refused:
            refusals.append(refused.code)
            return False
        return True

    await until(applied, within=60)  # as soon as nobody counts upon it any more
    assert set(refusals) <= {RefusalCode.UNAVAILABLE}
    await system.alb.start()
    await agreed(system, revisions.current.head)
    await says(system, "missed")


async def test_without_an_nlb_nothing_is_put_in_force(tmp_path: Path) -> None:
    async with sqlite(tmp_path) as store, revising(store, "127.0.0.1:1", DesiredState()) as revisions:
        with pytest.raises(PartsRefused, match=r"nobody answers at 127\.0\.0\.1:1") as refused:
            await revisions.put("pools", "p", {}, by=ANN, reason="")
        assert refused.value.code is RefusalCode.UNAVAILABLE
        assert await store.pending() is None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Node]:
    async with postgres_cluster(replicas=0) as cluster:
        yield cluster.primary


@pytest_asyncio.fixture(loop_scope="module")
async def shared(node: Node, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    schema = f"test{abs(hash(request.node.nodeid)):x}"
    await node.ask(f"create schema {schema}")
    url = f"postgresql://app@{node.address}/app?search_path={schema}"
    async with open_store(StoreSettings(url), Sealer.of_file(tmp_path / "key")) as store:
        yield store


async def test_a_database_that_crashes_in_the_middle_and_comes_back(
    system: System, shared: Store, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with of_system(shared, system) as revisions, asyncio.TaskGroup() as group:

        async def come_back() -> None:
            await asyncio.sleep(1.0)
            await node.start()

        async def crash() -> None:
            await node.crash()
            group.create_task(come_back())

        call_at("after part 1", shared, crash, monkeypatch.setattr)
        text = "over a crash"
        outcome = await revisions.put("routes", "hello", saying(text), by=ANN, reason="")
        assert await hello(system) == (200, text)
        await agreed(system, outcome.revision)
        assert await shared.head() == outcome.revision


async def test_two_managers_of_one_database(system: System, shared: Store) -> None:
    async with of_system(shared, system) as one, of_system(shared, system) as other:
        web = next(item for item in one.current.document["routes"] if item["id"] == "web")
        ours = one.put("routes", "web", {**web, "timeout": 7}, by=ANN, reason="", base_item=web)
        theirs = other.put(
            "routes", "web", {**web, "metadata": {"by": "other"}}, by=ANN, reason="", base_item=web
        )
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(ours), group.create_task(theirs)]
        outcomes = sorted((task.result() for task in answers), key=lambda found: found.revision.number)
        assert [outcome.merged for outcome in outcomes] == [False, True]
        newest = outcomes[-1].revision
        await until(lambda: {one.current.head, other.current.head} == {newest}, within=40)
        (route,) = [item for item in one.current.document["routes"] if item["id"] == "web"]
        assert (route["timeout"], route["metadata"]) == (7.0, {"by": "other"})
        await agreed(system, newest)


@pytest.mark.parametrize(("moment", "new"), [("before begin", False), ("before commit", True)])
async def test_a_database_that_stays_away(
    system: System, shared: Store, node: Node, moment: str, new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "_STORE_SECONDS", 0.0)
    async with of_system(shared, system) as revisions:
        before, text = revisions.current.head, moment.replace(" ", "-") + "-away"
        call_at(moment, shared, node.crash, monkeypatch.setattr)
        with pytest.raises(StoreUnavailable):
            await revisions.put("routes", "hello", saying(text), by=ANN, reason="")
        with pytest.raises(StoreUnavailable):  # nothing else until it is known what became of that
            await revisions.put("routes", "hello", saying("other"), by=ANN, reason="")
        await node.start()
        await until(lambda: not revisions._applier.in_doubt, within=40)
        await until(lambda: (revisions.current.head.number > before.number) is new, within=40)
        await agreed(system, revisions.current.head)
        assert ((await hello(system))[1] == text) is new
        assert await shared.pending() is None
