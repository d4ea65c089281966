"""What the manager sees of a running system, and what it does to it: an NLB, two ALBs, and traffic."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from marchproxy.contract.fleet.explaining import conclusion, read_question
from marchproxy.contract.pb import module_pb2
from marchproxy.manager.operating import NotDone, Pace, Target
from marchproxy.model.judging import RolloutLimits
from marchproxy.model.module import HealthStatus
from marchproxy.model.revision import Author
from tests.real.support import waiting
from tests.real.support.backends import Backend
from tests.real.support.load import load
from tests.real.support.manager_rooms import Rooms, rooms
from tests.real.support.system import System, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
OPERATOR = Author("ada", "user")
WEB = Target("route", "web")
QUICK = {"heartbeat_interval": 0.4}
PATIENT = {**QUICK, "missed_unhealthy": 20, "missed_removed": 100}  # a busy machine is no failure


until = partial(waiting.until, within=60)


@dataclass
class Watched:
    """A system and the manager's rooms."""

    system: System
    rooms: Rooms

    async def sees(self, instance: str, health: HealthStatus) -> None:
        """Wait until the instance is that well."""
        await until(lambda: (part := self.rooms.view.part(instance)) is not None and part.health is health)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("live")
    blue, green = Backend("blue"), Backend("green")
    async with AsyncExitStack() as stack:
        for backend in (blue, green):
            await backend.start()
            stack.push_async_callback(backend.stop)
        state = {
            "routes": [
                {"id": "web", "backends": [{"pool": "blue", "weight": 100}, {"pool": "green", "weight": 0}]}
            ],
            "pools": [
                {"name": "blue", "version": "v1", "endpoints": [blue.address]},
                {"name": "green", "version": "v2", "endpoints": [green.address]},
            ],
        }
        versions = {"alb-1": "v1", "alb-2": "v2"}
        system = await stack.enter_async_context(
            running(folder, state, versions, PATIENT, {**QUICK, "metrics_interval": 0.5, "stats_window": 1})
        )
        document = yaml.safe_dump(system.state()).encode()
        nlbs = [f"127.0.0.1:{system.nlb.grpc}"]
        (folder / "manager").mkdir()
        found = Watched(system, await stack.enter_async_context(rooms(folder / "manager", document, nlbs)))
        for name in versions:
            await found.sees(name, HealthStatus.HEALTHY)
        yield found


async def test_traffic_is_seen_everywhere_it_goes(watched: Watched) -> None:
    rooms = watched.rooms
    async with load(watched.system.port, connections=6, pause=0.01, keep_alive=False) as tally:
        await until(
            lambda: (
                rooms.view.route("web").requests > 1
                and rooms.view.pools["blue"].stats.requests > 1
                and rooms.view.listeners[0].accepted > 1
                and all(part.stats.requests > 0 for part in rooms.view.parts)
            )
        )
        view = rooms.view
    assert tally.bad() == []
    assert view.total.requests == pytest.approx(sum(part.stats.requests for part in view.parts))
    assert view.total.errors == 0
    assert view.route("web").p99_ms > 0
    assert view.listeners[0].name == "web"
    assert not view.is_stale
    assert view.pools["blue"].sound == 1
    assert view.pools["blue"].instances == ("alb-1", "alb-2")
    for part in view.parts:
        assert part.is_current
        assert part.memory > 0
        assert part.silent == ""
    now = time.time()
    await until(lambda: "routes/web/requests" in rooms.live.names())
    past = rooms.live.series(("routes/web/requests", "total/requests"), now - 60, time.time() + 2, 2)
    assert max(value or 0 for value in past.values["routes/web/requests"]) > 1
    await until(lambda: rooms.view.route("web").requests == 0)  # nobody asks any more


async def test_health_goes_from_the_database_to_every_module(watched: Watched) -> None:
    health = await watched.rooms.live.health()
    assert (health.status, health.message) == (HealthStatus.HEALTHY, "all is well")
    database, nlb = health.parts
    assert (database.kind, database.status) == ("database", HealthStatus.HEALTHY)
    assert {module.name: module.status for module in nlb.parts} == {
        "alb-1": HealthStatus.HEALTHY,
        "alb-2": HealthStatus.HEALTHY,
    }


async def test_a_question_is_answered_as_by_the_command(watched: Watched) -> None:
    question = read_question(f"http://web.test:{watched.system.port}/", "GET", [])
    found = await watched.rooms.operations.explain(question)
    assert found.served
    assert 'route "web"' in conclusion(found)


async def test_a_canary_is_promoted_and_becomes_a_revision(watched: Watched) -> None:
    rooms = watched.rooms
    before = rooms.revisions.current.head
    pace = Pace(steps=(50, 100), limits=RolloutLimits(interval=0.5, min_requests=5))
    async with load(watched.system.port, connections=6, pause=0.01, keep_alive=False) as tally:
        done = await rooms.operations.promote(WEB, "v2", pace, by=OPERATOR)
        assert {name for name, _ in done.by} == {"alb-1", "alb-2"}
        with pytest.raises(NotDone, match="is being rolled out"):
            await rooms.operations.set_weight(WEB, "v2", 10, by=OPERATOR)
        await until(lambda: rooms.revisions.current.head.number != before.number)
        await until(lambda: tally.answers[200, "green"])
        tally.clear()
        await tally.more(50)
    assert {body for _, body in tally.answers} == {"green"}
    head = rooms.revisions.current.head
    assert (head.author, head.parent) == (Author("ada", "rollout"), before.number)
    assert "v2 promoted" in head.reason
    (route,) = rooms.revisions.current.state.routes
    assert {backend.pool: backend.weight for backend in route.backends} == {"blue": 0, "green": 100}

    async def forgotten() -> bool:
        return not await rooms.store.started_rollouts()

    await until(forgotten)
    assert "v2 by ada" in await rooms.told("rollout.started", "route/web", by="ada")
    await rooms.told("revision.applied", str(head.number))
    await until(lambda: all(part.is_current for part in rooms.view.parts))


async def test_a_weight_that_is_set_is_a_revision(watched: Watched) -> None:
    rooms = watched.rooms
    done = await rooms.operations.set_weight(WEB, "v1", 100, by=OPERATOR)
    assert done.revision is not None
    async with load(watched.system.port, connections=2, pause=0.01, keep_alive=False) as tally:
        await tally.more(30)
    assert {body for _, body in tally.answers} == {"blue"}
    with pytest.raises(NotDone, match="no rollout is under way"):
        await rooms.operations.rollback(WEB, by=OPERATOR)
    with pytest.raises(NotDone, match="there is no route"):
        await rooms.operations.promote(Target("route", "shop"), "v2", Pace(10), by=OPERATOR)


async def test_a_rollout_is_taken_back_by_hand(watched: Watched) -> None:
    rooms = watched.rooms
    before = rooms.revisions.current.head
    slow = Pace(steps=(30, 100), limits=RolloutLimits(interval=600))
    await rooms.operations.promote(WEB, "v2", slow, by=OPERATOR)
    await until(lambda: any(one.phase == "ramping" and one.percent == 30 for one in rooms.view.rollouts))
    done = await rooms.operations.rollback(WEB, by=OPERATOR)
    assert {name for name, _ in done.by} == {"alb-1", "alb-2"}
    async with load(watched.system.port, connections=2, pause=0.01, keep_alive=False) as tally:
        await tally.more(50)
    assert {body for _, body in tally.answers} == {"blue"}
    assert rooms.revisions.current.head == before


async def test_so_is_one_of_the_modules_behind_a_listener(watched: Watched) -> None:
    rooms = watched.rooms
    listener = Target("listener", "web")
    before = rooms.revisions.current.head
    done = await rooms.operations.set_weight(listener, "v1", 100, by=OPERATOR)
    assert done.revision is not None
    await watched.system.targets({"alb-1"})
    pace = Pace(steps=(50, 100), limits=RolloutLimits(interval=0.5, min_requests=5))
    async with load(watched.system.port, connections=6, pause=0.01, keep_alive=False) as tally:
        await rooms.operations.promote(listener, "v2", pace, by=OPERATOR)
        await until(lambda: rooms.revisions.current.head.number == before.number + 2)
    assert tally.bad() == []
    await watched.system.targets({"alb-2"})
    (weights,) = [one.version_weights for one in rooms.revisions.current.state.listeners]
    assert {one.version: one.weight for one in weights} == {"v2": 100}
    await rooms.operations.set_weight(listener, "v1", 50, by=OPERATOR)
    await watched.system.targets({"alb-1", "alb-2"})
    await until(lambda: rooms.view.listeners[0].weights == {"v1": 50, "v2": 50})


async def test_a_drained_instance_stays_so_until_it_is_undrained(watched: Watched) -> None:
    rooms, system = watched.rooms, watched.system
    async with load(system.port, connections=6, pause=0.01) as tally:
        await tally.more(20)
        done = await rooms.operations.drain("alb-2", by=OPERATOR, timeout=40)
        assert "no connections are left" in done.message
        await system.targets({"alb-1"})
        await tally.more(50)
    assert tally.bad() == []
    with pytest.raises(NotDone, match="the only alb"):
        await rooms.operations.drain("alb-1", by=OPERATOR)
    before = rooms.view.part("alb-2")
    assert before is not None
    await system.albs["alb-2"].stop()
    await rooms.told("instance.gone", "alb-2")
    await system.albs["alb-2"].launch()  # what it was told holds for the next process, too
    await until(
        lambda: (
            (part := rooms.view.part("alb-2")) is not None
            and part.since != before.since
            and part.silent == ""
        )
    )
    await watched.sees("alb-2", HealthStatus.STOPPING)
    assert "not well" not in (await rooms.live.health()).message
    head = rooms.revisions.current.head
    await rooms.operations.set_weight(WEB, "v2", 5, by=OPERATOR)  # in which it takes no part
    await rooms.operations.undrain("alb-2", by=OPERATOR)
    status = await system.alb_stub("alb-2").GetStatus(module_pb2.GetStatusRequest(), timeout=10)
    assert status.instance.config_checksum == rooms.revisions.current.head.checksum != head.checksum
    await rooms.operations.set_weight(WEB, "v2", 0, by=OPERATOR)
    await system.targets({"alb-1", "alb-2"})
    await watched.sees("alb-2", HealthStatus.HEALTHY)
    for kind in ("instance.draining", "instance.came"):
        await rooms.told(kind, "alb-2")


async def test_one_that_hangs_delays_nobody(watched: Watched) -> None:
    rooms = watched.rooms
    process = watched.system.albs["alb-2"].process
    assert process is not None
    process.send(signal.SIGSTOP)
    try:
        await until(lambda: (part := rooms.view.part("alb-2")) is not None and part.silent != "")
        version = rooms.view.version
        async with asyncio.timeout(60):
            await rooms.live.wait(version + 1)
        assert not rooms.view.is_stale
        part = rooms.view.part("alb-1")
        assert part is not None
        assert part.silent == ""
    finally:
        process.send(signal.SIGCONT)
    await until(lambda: (part := rooms.view.part("alb-2")) is not None and part.silent == "")
    await watched.sees("alb-2", HealthStatus.HEALTHY)


async def test_one_that_is_killed_is_told_of(watched: Watched) -> None:
    rooms, alb = watched.rooms, watched.system.albs["alb-2"]
    with rooms.live.subscribe() as events:
        await alb.kill()
        async with asyncio.timeout(60):
            async for event in events:
                if (event.kind, event.subject) == ("instance.unhealthy", "alb-2"):
                    break
    assert event.id > 0
    await alb.start()
    await watched.sees("alb-2", HealthStatus.HEALTHY)


async def test_an_nlb_that_is_silent_leaves_the_last_view(watched: Watched) -> None:
    rooms, process = watched.rooms, watched.system.nlb.process
    assert process is not None
    process.send(signal.SIGSTOP)
    try:
        await until(lambda: rooms.view.nlbs[0].failure != "")
        assert {part.id for part in rooms.view.parts} == {"alb-1", "alb-2"}
        health = await rooms.live.health()
        assert health.status is HealthStatus.DEGRADED
        assert health.parts[0].status is HealthStatus.HEALTHY
    finally:
        process.send(signal.SIGCONT)
    await rooms.told("nlb.back", "nlb")
    assert not rooms.view.is_stale
