"""MongoDB's service while things change: plans, pauses, other workers, users; and what it counts."""

import asyncio
import os
import signal

import psutil
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from pymongo.read_preferences import Secondary, SecondaryPreferred

from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.mongodb.settings import MongoLimits
from tests.ports import free_port
from tests.real.mongo_rig import Told, document, members, proxy
from tests.real.support.databases import mongodb
from tests.real.support.dblb import databases
from tests.real.support.dblb_services import plan_of
from tests.real.support.waiting import until
from tests.real.test_dblb_mongodb import ask, async_client

ROUTE = RouteId("r-p0")


async def test_a_pause_holds_what_is_new_and_lets_cursors_end():
    async with (
        Told("a").running() as a,
        proxy(plan_of(document({"*": [a.port]}))) as through,
        async_client(through) as client,
    ):
        cursor = client.test.things.find(batch_size=1)
        await anext(cursor)
        through.service.pause(ROUTE)
        waiting = asyncio.create_task(client.test.things.insert_one({}))
        assert (await anext(cursor))["from"] == "a"
        await until(lambda: through.service.busy(ROUTE) == 0)
        assert not a.asked("insert")
        through.service.resume(ROUTE)
        await waiting
        assert len(a.asked("insert")) == 1


async def test_a_new_plan_moves_clients_that_are_connected():
    async with (
        Told("a").running() as a,
        Told("b").running() as b,
        proxy(plan_of(document({"*": [a.port]}))) as through,
        async_client(through) as client,
    ):
        assert (await client.test.things.find_one())["from"] == "a"
        through.service.apply(plan_of(document({"*": [b.port]})))
        assert (await client.test.things.find_one())["from"] == "b"
        through.service.apply(plan_of(document({"shop": [a.port]})))
        assert (await client.shop.things.find_one())["from"] == "a"
        with pytest.raises(OperationFailure, match="requires authentication") as caught:
            await client.test.things.find_one()
        assert caught.value.code == 13
        await client.admin.command("ping")  # it goes where the client's other database is
        assert a.asked("ping")
        assert {report.address for report in through.service.servers()} == {f"127.0.0.1:{a.port}"}


async def test_who_reads_where():
    async with (
        Told("a").running() as a,
        Told("b", "secondary").running() as b,
        proxy(plan_of(document({"*": [a.port, b.port]}))) as through,
        async_client(through) as client,
    ):
        await until(lambda: all(member.facts for member in members(through)))
        things = client.test.things
        for preference, name in ((SecondaryPreferred(), "a"), (Secondary(), "b")):
            found = await things.with_options(read_preference=preference).find_one()
            assert found["from"] == name  # without split_reads the primary answers whoever takes that
        target = plan_of(document({"*": [a.port, b.port]}, database={"target": "replica"}))
        through.service.apply(target)
        assert (await things.find_one())["from"] == "b"
        with pytest.raises(OperationFailure, match="takes only reads"):
            await things.insert_one({})
        reports = {report.address: report.role for report in await through.service.check()}
        assert reports == {f"127.0.0.1:{a.port}": "primary", f"127.0.0.1:{b.port}": "replica"}
        (tally,) = through.around.tallies.kept.values()
        assert tally.to_replicas == 2


async def test_users_have_databases_and_applications_routes_of_their_own():
    users = b'"anna" "pencil"\n"bert" "eraser"'
    async with Told("a").running() as a, Told("b").running() as b:
        described = document({"*": [a.port], "shop": [b.port]}, authentication=["list"])
        described["routes"][0]["database"] = {"users": ["anna"], "applications": ["report*"]}
        async with proxy(plan_of(described, {"/users": users})) as through:
            url = through.url(appname="reports").replace("//", "//anna:pencil@")
            async with AsyncMongoClient(url, serverSelectionTimeoutMS=15000) as client:
                assert (await client.test.things.find_one())["from"] == "a"
                assert (await client.shop.things.find_one())["from"] == "a"  # that route says more of it
            for who, options in (("bert:eraser", {"appname": "reports"}), ("anna:pencil", {})):
                url = through.url(**options).replace("//", f"//{who}@")
                async with AsyncMongoClient(url, serverSelectionTimeoutMS=15000) as client:
                    assert (await client.shop.things.find_one())["from"] == "b"
                    with pytest.raises(OperationFailure, match="not authorized on test"):
                        await client.test.things.find_one()


async def test_many_large_messages_wait_for_each_other():
    limits = MongoLimits(orphan=0.1, held=1_000_000)
    async with (
        Told("a").running() as a,
        proxy(plan_of(document({"*": [a.port]}, pool={"size": 1})), limits=limits) as through,
        async_client(through) as client,
    ):
        a.hold.clear()
        inserts = [
            asyncio.create_task(client.test.things.insert_one({"data": bytes(900_000)})) for _ in range(12)
        ]
        await until(lambda: a.asked("insert"))
        most = 0
        for _ in range(50):
            most = max(most, through.service.allowance.held)
            await asyncio.sleep(0)
        a.hold.set()
        await asyncio.gather(*inserts)
        assert len(a.asked("insert")) == 12
        assert most < 3_000_000
        await until(lambda: through.service.allowance.held == 0)


@pytest.mark.timeout(90)
async def test_any_worker_finds_a_cursor(tmp_path):
    port = free_port()
    pool = {"name": "p", "protocol": "mongodb"}
    async with mongodb() as server:
        described = {
            "pools": [{**pool, "endpoints": [f"127.0.0.1:{server}"]}],
            "routes": [{"id": "r", "protocol": "mongodb", "module": "dblb", "backends": [{"pool": "p"}]}],
        }
        async with databases(tmp_path, described, workers=2, mongodb=f"127.0.0.1:{port}"):
            links = [await asyncio.open_connection("127.0.0.1", port) for _ in range(16)]
            try:
                many = [{"_id": n} for n in range(100)]
                await ask(*links[0], {"insert": "things", "documents": many, "$db": "test"})
                opened = await ask(*links[0], {"find": "things", "batchSize": 2, "$db": "test"})
                found = opened["cursor"]["firstBatch"]
                number = opened["cursor"]["id"]
                for reader, writer in links:  # some of them are the other worker's
                    asked = {"getMore": number, "collection": "things", "batchSize": 2, "$db": "test"}
                    more = await ask(reader, writer, asked)
                    found += more["cursor"]["nextBatch"]
                assert [one["_id"] for one in found] == list(range(34))
                killed = await ask(*links[1], {"killCursors": "things", "cursors": [number], "$db": "test"})
                assert killed["cursorsKilled"] == [number]
                async with asyncio.timeout(20):
                    while (await ask(*links[2], asked))["ok"]:
                        await asyncio.sleep(0.02)
            finally:
                for _, writer in links:
                    writer.close()


async def test_a_server_that_stands_still_is_left_for_another():
    async with mongodb() as port, Told("b", "secondary").running() as b:
        described = document({"*": [port, b.port]}, pool={"wait": "20s"})
        async with proxy(plan_of(described)) as through, async_client(through, retryWrites="true") as client:
            await client.test.things.insert_one({"_id": 1})
            [server] = {
                c.pid
                for c in psutil.net_connections("tcp")
                if c.status == psutil.CONN_LISTEN and c.laddr.port == port
            }
            os.kill(server, signal.SIGSTOP)
            try:
                b.role = "primary"
                await until(lambda: any(m.facts is None for m in members(through)))
                await client.test.things.insert_one({"_id": 2})
                assert b.asked("insert")
            finally:
                os.kill(server, signal.SIGCONT)
