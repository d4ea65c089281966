"""MongoDB through the proxy: real drivers, a server that keeps data, and servers that do as they are told."""

import asyncio
import base64
import hashlib
import os
import signal
import struct

import bson
import psutil
import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import AutoReconnect, CursorNotFound, OperationFailure
from pymongo.read_preferences import Nearest, Secondary, SecondaryPreferred
from pymongo.write_concern import WriteConcern
from scramp import ScramMechanism

from marchproxy.modules.dblb.gate import OpenGate, Refusal, RefusalKind
from tests.ports import free_port
from tests.real.mongo_rig import HEADER, Told, document, members, proxy
from tests.real.support.databases import mongodb
from tests.real.support.dblb_services import plan_of
from tests.real.support.waiting import until

ONE_LINK = {"size": 1}
#: The client says where it reads.
SPLIT = {"split_reads": True}


def plan(*ports, users=b"", **more):
    """One pool for all databases."""
    return plan_of(document({"*": ports}, **more), {"/users": users})


def async_client(through, **options):
    return AsyncMongoClient(
        through.url(**options), serverSelectionTimeoutMS=15000, connectTimeoutMS=10000, socketTimeoutMS=20000
    )


@pytest.mark.parametrize("options", [{}, {"compressors": "zlib"}, {"loadBalanced": "true"}])
async def test_what_an_application_does(options):
    async with (
        mongodb() as port,
        proxy(plan(port)) as through,
        async_client(through, **options) as client,
    ):
        things = client.test.things
        await things.insert_many([{"_id": n, "text": "x" * 100} for n in range(300)])
        assert await things.count_documents({}) == 300
        await things.update_one({"_id": 3}, {"$set": {"text": "three"}})
        assert (await things.find_one({"_id": 3}))["text"] == "three"
        await things.delete_one({"_id": 4})
        found = [thing["_id"] async for thing in things.find({}, batch_size=50)]
        assert sorted(found) == [n for n in range(300) if n != 4]
        grouped = await (await things.aggregate([{"$group": {"_id": None, "n": {"$sum": 1}}}])).to_list()
        assert grouped == [{"_id": None, "n": 299}]
        with pytest.raises(OperationFailure):
            await client.test.command("no such command")
        assert await things.count_documents({}) == 299


async def test_a_client_without_asyncio():
    def use(url):
        with MongoClient(url, serverSelectionTimeoutMS=15000) as client:
            client.test.things.insert_many([{"_id": n} for n in range(100)])
            return sorted(thing["_id"] for thing in client.test.things.find(batch_size=7))

    async with mongodb() as port, proxy(plan(port)) as through:
        assert await asyncio.to_thread(use, through.url()) == list(range(100))


async def test_batches_of_many_clients_over_one_link():
    async with mongodb() as port, proxy(plan(port, pool=ONE_LINK)) as through:

        async def read(number):
            async with async_client(through) as client:
                things = client.test[f"things{number}"]
                await things.insert_many([{"n": n, "of": number} for n in range(60)])
                return sorted([(thing["of"], thing["n"]) async for thing in things.find(batch_size=9)])

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(number)) for number in range(5)]
        for number, task in enumerate(tasks):
            assert task.result() == [(number, n) for n in range(60)]
        [member] = members(through)
        assert member.pools[""].links == 1
        assert len(through.service.registry.cursors) == 0


async def test_transactions():
    async with mongodb() as port, proxy(plan(port)) as through, async_client(through) as client:
        things = client.test.things
        await things.insert_one({"_id": 0})
        async with client.start_session() as session:
            async with await session.start_transaction():
                await things.insert_one({"_id": 1}, session=session)
            assert await things.count_documents({}) == 2
            assert len(through.service.registry.transactions) == 0


async def test_a_transaction_stays_where_it_began():
    async with Told("a").running() as a, Told("b").running() as b, proxy(plan(a.port, b.port)) as through:
        await until(lambda: all(member.facts for member in members(through)))
        async with async_client(through) as client, client.start_session() as session:
            async with await session.start_transaction():
                for n in range(6):
                    await client.test.things.insert_one({"n": n}, session=session)
            assert sorted([len(a.asked("insert")), len(b.asked("insert"))]) == [0, 6]
            where = a if a.asked("insert") else b
            assert len(where.asked("commitTransaction")) == 1


async def test_reads_go_where_they_may_and_writes_to_the_primary():
    async with (
        mongodb() as first,
        Told("second", "secondary").running() as second,
        proxy(plan(first, second.port, database=SPLIT)) as through,
        async_client(through) as client,
    ):
        await until(lambda: all(member.facts for member in members(through)))
        things = client.test.things
        await things.insert_one({"_id": 1, "from": "first"})
        assert (await things.find_one())["from"] == "first"
        for preference in (Secondary(), SecondaryPreferred()):
            elsewhere = things.with_options(read_preference=preference)
            assert (await elsewhere.find_one())["from"] == "second"
            await elsewhere.insert_one({"from": "first"})
        assert await things.count_documents({}) == 3
        tagged = things.with_options(read_preference=SecondaryPreferred(tag_sets=[{"dc": "x"}]))
        assert (await tagged.find_one())["from"] == "first"
        with pytest.raises(OperationFailure, match="tag sets") as caught:
            await things.with_options(read_preference=Nearest(tag_sets=[{"dc": "x"}])).find_one()
        assert caught.value.code == 133
        assert not second.asked("insert")


async def test_databases_have_servers_of_their_own():
    async with Told("a").running() as a, Told("b").running() as b:
        routes = plan_of(document({"*": [a.port], "shop": [b.port]}))
        async with proxy(routes) as through, async_client(through) as client:
            assert (await client.shop.things.find_one())["from"] == "b"
            assert (await client.other.things.find_one())["from"] == "a"


async def test_cursors_of_the_same_number_on_two_servers():
    async with Told("a").running() as a, Told("b").running() as b:
        routes = plan_of(document({"*": [a.port], "shop": [b.port]}))
        async with proxy(routes) as through, async_client(through) as client:
            first = client.test.things.find(batch_size=1)
            second = client.shop.things.find(batch_size=1)
            for _ in range(3):
                assert (await anext(first))["from"] == "a"
                assert (await anext(second))["from"] == "b"
            assert first.cursor_id != second.cursor_id
            await first.close()
            await until(lambda: a.asked("killCursors"))
            assert a.asked("killCursors")[0]["cursors"] == [7]
            assert (await anext(second))["from"] == "b"
            with pytest.raises(OperationFailure) as caught:
                await client.test.command({"getMore": bson.Int64(7), "collection": "things"})
            assert isinstance(caught.value, CursorNotFound)
            assert not b.asked("killCursors")


async def test_a_client_that_is_gone_leaves_no_cursor():
    async with Told("a").running() as a, proxy(plan(a.port)) as through:
        client = async_client(through)
        cursor = client.test.things.find(batch_size=1)
        await anext(cursor)
        assert len(through.service.registry.cursors) == 1
        await cut(through)
        await until(lambda: a.asked("killCursors"))
        assert a.asked("killCursors")[0]["cursors"] == [7]
        assert len(through.service.registry.cursors) == 0
        await client.close()


async def cut(through):
    """End every connection of clients as if they had died."""
    for transport in list(through.sessions):
        transport.abort()
    await asyncio.sleep(0)


async def test_a_primary_that_dies_and_a_secondary_that_takes_over():
    async with (
        Told("b", "secondary").running() as b,
        Told("a").running() as a,
        proxy(plan(a.port, b.port)) as through,
        async_client(through) as client,
    ):
        await until(lambda: all(member.facts for member in members(through)))
        things = client.test.things
        await things.insert_one({"n": 1})
        a.role, b.role = "secondary", "primary"
        await things.insert_one({"n": 2})
        assert (len(a.asked("insert")), len(b.asked("insert"))) == (
            2,
            1,
        )  # tried again; the driver saw nothing
        b.hold.clear()
        waiting = asyncio.create_task(things.insert_one({"n": 3}))
        await until(lambda: len(b.asked("insert")) == 2)
        b.cut()
        b.hold.set()
        await waiting
        assert len(b.asked("insert")) == 3


async def test_a_server_that_is_killed_and_comes_back():
    port = free_port()
    async with proxy(plan(port)) as through, async_client(through, retryWrites="false") as client:
        told = Told("a")
        told.port = port
        async with told.running():
            await client.test.things.insert_one({})
            told.hold.clear()
            waiting = asyncio.create_task(client.test.things.insert_one({}))
            await until(lambda: len(told.asked("insert")) == 2)
            told.cut()
            with pytest.raises((OperationFailure, AutoReconnect), match="server is gone"):
                await waiting
            told.hold.set()
        again = Told("again")
        again.port = port
        waiting = asyncio.create_task(client.test.things.insert_one({}))
        async with again.running():
            await waiting
            assert len(again.asked("insert")) == 1


async def test_nobody_waits_for_ever():
    async with (
        proxy(plan(free_port(), pool={"wait": "0.2s"})) as through,
        async_client(through, retryWrites="false") as client,
    ):
        with pytest.raises(OperationFailure, match=r"within 0.2 s: no server") as caught:
            await client.test.things.insert_one({})
        assert caught.value.code == 133


async def test_a_killed_process():
    async with (
        mongodb() as port,
        proxy(plan(port, pool={"wait": "0.5s"})) as through,
        async_client(through, retryWrites="false", retryReads="false") as client,
    ):
        await client.test.things.insert_one({})
        [server] = {
            c.pid
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr.port == port
        }
        os.kill(server, signal.SIGKILL)
        with pytest.raises(OperationFailure) as caught:
            await client.test.things.insert_one({})
        assert caught.value.code in {6, 133}


async def test_unacknowledged_writes_come_in_order_and_free_their_link():
    async with (
        Told("a").running() as a,
        proxy(plan(a.port, pool=ONE_LINK)) as through,
        async_client(through) as client,
        async_client(through) as other,
    ):
        careless = client.test.get_collection("things", write_concern=WriteConcern(w=0))
        for _ in range(50):
            await careless.insert_one({})
        assert (await other.test.things.find_one())["from"] == "a"  # over the same link
        await client.test.things.insert_one({"last": True})
        assert len(a.asked("insert")) == 51
        assert a.asked("insert")[-1].get("writeConcern") is None


async def test_exhaust_replies_keep_their_link():
    async with Told("a").running() as a, proxy(plan(a.port, pool=ONE_LINK)) as through:
        reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
        opened = await ask(reader, writer, {"find": "things", "batchSize": 1, "$db": "test"})
        number = opened["cursor"]["id"]
        more = {"getMore": number, "collection": "things", "batchSize": 99, "$db": "test"}
        found = [await ask(reader, writer, more, flags=1 << 16)]
        found += [await answer(reader) for _ in range(3)]
        assert [batch["cursor"]["id"] for batch in found] == [number] * 3 + [0]
        assert (await ask(reader, writer, {"ping": 1, "$db": "test"}))["ok"] == 1
        writer.close()


async def ask(reader, writer, document, flags=0):
    body = struct.pack("<I", flags) + b"\0" + bson.encode(document)
    writer.write(HEADER.pack(16 + len(body), 1, 0, 2013) + body)
    return await answer(reader)


async def answer(reader):
    async with asyncio.timeout(20):
        length, *_ = HEADER.unpack(await reader.readexactly(16))
        return bson.decode((await reader.readexactly(length - 16))[5:])


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(48_000_001, 1, 0, 2013),
        HEADER.pack(15, 1, 0, 2013),
        HEADER.pack(16, 1, 0, 2013),
        HEADER.pack(21, 1, 0, 9999) + bytes(5),
        HEADER.pack(26, 1, 0, 2013) + bytes(10),
        HEADER.pack(26, 1, 0, 2013) + b"\4\0\0\0\0\5\0\0\0\0",
        HEADER.pack(30, 1, 0, 2012) + struct.pack("<iiB", 2013, 47_999_000, 2) + bytes(5),
        HEADER.pack(30, 1, 0, 2012) + struct.pack("<iiB", 2013, 26, 1) + bytes(5),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_garbage_ends_its_connection_and_no_other(data):
    async with Told("a").running() as a, proxy(plan(a.port)) as through, async_client(through) as client:
        await client.test.command("ping")
        reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
        writer.write(data)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
        assert (await client.test.things.find_one())["from"] == "a"


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 64, HEADER.pack(26, 1, 12345, 2013) + bytes(10)], ids=["noise", "to-another"]
)
async def test_a_server_that_talks_nonsense(garbage):
    async def nonsense(reader, writer):
        await reader.read(1)
        writer.write(garbage)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        proxy(plan(port, pool={"wait": "0.3s"})) as through,
        async_client(through, retryWrites="false") as client,
    ):
        with pytest.raises(OperationFailure) as caught:
            await client.test.things.insert_one({})
        assert caught.value.code == 133
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
async def test_logging_in_on_both_sides(mechanism):
    towards = "secret"
    stored = hashlib.md5(b"anna:mongo:secret").hexdigest() if mechanism == "SCRAM-SHA-1" else towards
    verifier = verifier_line("pencil")
    users = f'"anna" "{verifier}"\n"bert" "eraser"'.encode()
    pool = {"users": "/towards"}
    files = {"/users": users, "/towards": f'"anna" "{towards}"'.encode()}
    async with (
        Told("a", password=stored, mechanism=mechanism).running() as a,
        proxy(plan_of(document({"*": [a.port]}, pool=pool, authentication=["list"]), files)) as through,
    ):
        for options in ({}, {"authMechanism": "SCRAM-SHA-256"}):
            url = through.url(**options).replace("//", "//anna:pencil@")
            async with AsyncMongoClient(url, serverSelectionTimeoutMS=15000) as client:
                assert (await client.test.things.find_one())["from"] == "a"
        for who in ("anna:wrong", "nobody:pencil"):
            url = through.url().replace("//", f"//{who}@")
            async with AsyncMongoClient(url, serverSelectionTimeoutMS=15000) as client:
                with pytest.raises(OperationFailure, match="Authentication failed"):
                    await client.test.things.find_one()
        async with async_client(through) as client:
            with pytest.raises(OperationFailure, match="requires authentication"):
                await client.test.things.find_one()
        assert a.logged_in >= 1


def verifier_line(password: str) -> str:
    """As PostgreSQL keeps a password."""
    salt, stored, server, rounds = ScramMechanism("SCRAM-SHA-256").make_auth_info(password)
    return f"SCRAM-SHA-256${rounds}:{b64(salt)}${b64(stored)}:{b64(server)}"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_limits():
    class Closed(OpenGate):
        looks = True

        def enter(self, _route, _who, _tally):
            return self

        def refuses(self, statement):
            found = statement.startswith(b"find test.things")
            return Refusal("too many of them", RefusalKind.LIMITED) if found else None

        def leave(self):
            pass

    async with (
        Told("a").running() as a,
        proxy(plan(a.port), Closed()) as through,
        async_client(through) as client,
    ):
        await client.test.things.insert_one({})
        with pytest.raises(OperationFailure, match="too many") as caught:
            await client.test.things.find_one()
        assert caught.value.code == 462


async def test_the_largest_message():
    documents = [{"_id": n, "data": bytes(11_000_000)} for n in range(4)]
    async with Told("a").running() as a, proxy(plan(a.port)) as through, async_client(through) as client:
        await client.test.things.insert_many(documents)
        assert len(a.asked("insert")) == 1  # one message of 44 MB
        assert (await client.test.things.find_one())["from"] == "a"


async def test_drivers_see_one_mongos():
    async with mongodb() as port, proxy(plan(port)) as through, async_client(through) as client:
        await client.test.command("ping")
        assert await client.is_mongos
        told = await client.admin.command("hello")
        assert (told["msg"], told["maxWireVersion"]) == ("isdbgrid", 25)


async def test_a_client_that_asks_much_and_reads_late():
    big = {"find": "things", "comment": "x" * 20_000, "$db": "test"}
    body = bytes(4) + b"\0" + bson.encode(big)
    async with Told("a").running() as a, proxy(plan(a.port)) as through:
        reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
        for number in range(300):
            writer.write(HEADER.pack(16 + len(body), number, 0, 2013) + body)
        answers = []
        async with asyncio.timeout(20):
            for _ in range(300):
                length, _, to, _ = HEADER.unpack(await reader.readexactly(16))
                await reader.readexactly(length - 16)
                answers.append(to)
        assert answers == list(range(300))
        writer.close()


async def test_a_client_that_leaves_in_the_middle_gives_its_link_back():
    async with Told("a").running() as a, proxy(plan(a.port, pool=ONE_LINK)) as through:
        a.hold.clear()
        async with async_client(through) as client:
            lost = asyncio.create_task(client.test.things.find_one())
            await until(lambda: a.asked("find"))
            lost.cancel()
            await cut(through)
            waiting = asyncio.create_task(client.other.things.find_one())
            await until(lambda: len(a.asked("find")) == 2)  # over another link: the first was given up
            a.hold.set()
            assert (await waiting)["from"] == "a"
        [member] = members(through)
        assert member.pools[""].links == 1
