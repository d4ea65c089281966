"""Versions of PostgreSQL pools that get their traffic step by step, and instances of a DBLB that come and go."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.real.support.dblb import Databases, databases
from tests.real.support.postgres_cluster import Node, postgres_cluster
from tests.real.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = (20, 50, 100)
GOOD, WRONG, ORDERS = "select colour from colours", "selec colour", "select count(*) from orders"
#: One in ten is the client's own mistake, on every colour.
USUAL = (*[GOOD] * 4, WRONG, *[GOOD] * 5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def colours() -> AsyncIterator[Mapping[str, Node]]:
    async with postgres_cluster(replicas=0) as blue, postgres_cluster(replicas=0) as green:
        nodes = {"blue": blue.primary, "green": green.primary}
        for colour, node in nodes.items():
            await node.ask("create table colours (colour text)")
            await node.ask(f"insert into colours values ('{colour}')")
            await node.ask("create table orders (number int, amount int)")
        yield nodes


@dataclass
class Rig:
    """A DBLB with blue, which is v1, and green, v2."""

    system: Databases
    module: Any

    async def weigh(self, share: int, route: str) -> None:
        """Give green a share."""
        request = pb.SetTrafficWeightRequest(version="v2", weight=share, route_id=route)
        answer = await self.module.SetTrafficWeight(request, timeout=10)
        assert answer.success, answer

    async def promote(self, route: str) -> None:
        analysis = types_pb2.RolloutAnalysis(
            interval=Duration(nanos=500_000_000),
            min_requests=40,
            max_error_percent=5,
            max_error_increase_percent=1,
        )
        request = pb.PromoteVersionRequest(version="v2", steps=STEPS, route_id=route, analysis=analysis)
        answer = await self.module.PromoteVersion(request, timeout=10)
        assert answer.success, answer

    async def ends(self, route: str, phase: str) -> types_pb2.RolloutStatus:
        """The rollout of a route, once it is decided."""
        async with asyncio.timeout(30):
            while (rollout := (await self.active(route)).rollouts[0]).phase == "ramping":
                await asyncio.sleep(0.05)
        assert rollout.phase == phase, rollout
        return rollout

    async def active(self, route: str) -> pb.GetActiveVersionResponse:
        return await self.module.GetActiveVersion(pb.GetActiveVersionRequest(route_id=route), timeout=10)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(colours: Mapping[str, Node], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("rollout")
    async with databases(folder, document(colours, folder), workers=1) as system, system.asked() as module:
        yield Rig(system, module)


def document(colours: Mapping[str, Node], folder: Path) -> dict[str, Any]:
    """`app` has its sessions divided, `reads` what it reads."""
    users = folder / "users.txt"
    users.write_text('"app" "none is asked for"\n')
    watched = {"users": str(users), "monitor": "app", "monitor_database": "app", "probe_interval": 0.2}
    route = {
        "protocol": "postgres",
        "module": "dblb",
        "backends": [{"pool": "blue", "weight": 100}, {"pool": "green", "weight": 0}],
    }
    reads = {"databases": ["reads"], "rename": "app", "writes": "blue", "split_reads": True}
    return {
        "pools": [
            {
                "name": colour,
                "version": version,
                "protocol": "postgres",
                "endpoints": [colours[colour].address],
                "database": {"size": 8, "wait": 1, **watched},
            }
            for colour, version in (("blue", "v1"), ("green", "v2"))
        ],
        "routes": [
            {"id": "app", **route, "database": {"databases": ["app"]}},
            {"id": "reads", **route, "database": reads},
        ],
    }


async def connect(port: int, database: str = "app") -> psycopg.AsyncConnection:
    dsn = f"host=127.0.0.1 port={port} user=app dbname={database} sslmode=disable"
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True)


async def colour_of(client: psycopg.AsyncConnection) -> str:
    row = await (await client.execute(GOOD)).fetchone()
    assert row is not None
    return row[0]


@dataclass
class Clients:
    """Sessions that come, ask, and go, a few at a time."""

    port: int
    database: str
    statements: Sequence[str]
    answered: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        while not self.stop.is_set():
            try:
                async with await connect(self.port, self.database) as client:
                    for statement in self.statements:
                        await self._ask(client, statement)
            except psycopg.OperationalError:
                self._note("lost")

    async def _ask(self, client: psycopg.AsyncConnection, statement: str) -> None:
        try:
            await client.execute(statement)
            self.answered += 1
        except psycopg.ProgrammingError as error:
            self._note(error.sqlstate or "")

    def _note(self, what: str) -> None:
        self.failed[what] = self.failed.get(what, 0) + 1

    async def more(self, number: int) -> None:
        goal = self.answered + number
        await until(lambda: self.answered >= goal, 30)


@asynccontextmanager
async def clients(rig: Rig, statements: Sequence[str], database: str = "app") -> AsyncIterator[Clients]:
    found = Clients(rig.system.direct, database, statements)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(found.run()) for _ in range(6)]
        try:
            yield found
        finally:
            found.stop.set()
            for task in tasks:
                task.cancel()


def shares(rollout: types_pb2.RolloutStatus) -> list[int]:
    return [d.percent_after for d in rollout.decisions if d.verdict == "advanced"]


async def test_what_is_the_clients_own_mistake_keeps_no_canary_back(rig: Rig) -> None:
    await rig.weigh(0, "app")
    async with await connect(rig.system.direct) as old:
        assert await colour_of(old) == "blue"
        async with clients(rig, USUAL) as load:
            await load.more(50)
            await rig.promote("app")
            rollout = await rig.ends("app", "promoted")
            assert shares(rollout) == list(STEPS)
            assert load.failed.keys() == {"42601"}
        async with await connect(rig.system.direct) as new:
            assert await colour_of(new) == "green"
        assert await colour_of(old) == "blue"  # a session stays with its pool


async def test_a_canary_that_lacks_a_table_is_rolled_back(rig: Rig, colours: Mapping[str, Node]) -> None:
    await rig.weigh(0, "app")
    await colours["green"].ask("drop table orders")
    try:
        async with clients(rig, [*USUAL[:6], ORDERS, *USUAL[6:], ORDERS, ORDERS]):
            await rig.promote("app")
            rollout = await rig.ends("app", "rolled_back")
    finally:
        await colours["green"].ask("create table orders (number int, amount int)")
    assert shares(rollout) == [STEPS[0]]
    assert "of the baseline" in rollout.reason
    assert dict((await rig.active("app")).version_weights) == {"v1": 100, "v2": 0}


async def test_a_canary_whose_server_dies_is_rolled_back(rig: Rig, colours: Mapping[str, Node]) -> None:
    await rig.weigh(0, "app")
    async with clients(rig, USUAL) as load:
        await load.more(20)
        await rig.promote("app")
        await colours["green"].crash()
        try:
            rollout = await rig.ends("app", "rolled_back")
            await load.more(100)
            async with await connect(rig.system.direct) as new:
                assert await colour_of(new) == "blue"
        finally:
            await colours["green"].start()
    assert rollout.decisions[-1].canary.failures > rollout.decisions[-1].canary.rejected


async def _read(rig: Rig) -> str:
    async with await connect(rig.system.direct, "reads") as client:
        return await colour_of(client)


async def _reads_green(rig: Rig) -> bool:
    return await _read(rig) == "green"


async def test_reads_have_a_canary_that_no_client_can_hear_of(rig: Rig, colours: Mapping[str, Node]) -> None:
    await rig.weigh(0, "reads")
    assert await _read(rig) == "blue"
    await rig.weigh(100, "reads")
    await until(lambda: _reads_green(rig))
    async with await connect(rig.system.direct, "reads") as client:
        assert await colour_of(client) == "green"
        await client.execute("insert into orders values (1, 1)")
        assert await colour_of(client) == "blue"  # who has written reads there
    assert await colours["blue"].ask("delete from orders returning 1") == [(1,)]
    assert await colours["green"].ask("select 1 from orders") == []
    await rig.weigh(0, "reads")
    await colours["green"].ask("drop table orders")
    try:
        async with clients(rig, [ORDERS, GOOD], "reads") as load:
            await rig.promote("reads")
            rollout = await rig.ends("reads", "rolled_back")
            assert load.failed == {}
    finally:
        await colours["green"].ask("create table orders (number int, amount int)")
    assert shares(rollout) == [STEPS[0]]
