"""Redis' port of the DBLB between real clients and real servers: each test through the proxy, as an application would."""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import MappingProxyType

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.redis.service import RedisService
from tests.ports import free_port
from tests.real.support.databases import redis, run, served
from tests.real.support.dblb_services import plan_of, serving
from tests.real.support.waiting import until

pytestmark = pytest.mark.timeout(60)
NOTHING: Mapping[str, object] = MappingProxyType({})


def document(*servers: int, pool: Mapping[str, object] = NOTHING, **route) -> dict[str, object]:
    """One pool and one route to it."""
    endpoints = [f"127.0.0.1:{port}" for port in servers]
    database = {"probe_interval": "0.1s", **pool}
    ways = [{"name": "list", "kind": "userlist", "file": "/users"}] if "authentication" in route else []
    return {
        "pools": [{"name": "p", "endpoints": endpoints, "protocol": "redis", "database": database}],
        "authentication": ways,
        "routes": [{"id": "r", "protocol": "redis", "backends": [{"pool": "p"}], **route}],
    }


@asynccontextmanager
async def proxy(*servers: int, users: bytes = b"", **given) -> AsyncIterator[tuple[int, RedisService]]:
    async with serving(RedisService, plan_of(document(*servers, **given), {"/users": users})) as served:
        await served.service.ready()
        yield served.port, served.service


def client(port: int, **options) -> Redis:
    return Redis(port=port, **({"socket_timeout": 20, "retry": None} | options))


def roles(service: RedisService):
    (servers,) = service.upstreams.values()
    return servers.roles


@pytest.fixture
async def direct() -> AsyncIterator[int]:
    async with redis() as port:
        yield port


@pytest.mark.parametrize("version", [2, 3])
async def test_the_same_answers_as_without_a_proxy(direct, version):
    async with proxy(direct) as (port, service), AsyncExitStack() as stack:
        answers = []
        for at in (direct, port):
            one = await stack.enter_async_context(client(at, protocol=version))
            await one.flushall()
            answers.append(
                [
                    await one.set("a", "1"),
                    await one.get("a"),
                    await one.get("none"),
                    await one.hset("h", mapping={"x": 1, "y": 2}),
                    await one.hgetall("h"),
                    await one.zadd("z", {"m": 1.5}),
                    await one.zrange("z", 0, -1, withscores=True),
                    await one.mget("a", "none"),
                    await one.eval("return {1, {2, 'x'}}", 0),
                    await one.set("big", b"x" * 3_000_000),
                    await one.get("big"),
                    await one.xadd("s", {"f": "v"}, id="1-1"),
                    await one.xread({"s": "0"}),
                    [await piped(one)],
                ]
            )
        assert answers[0] == answers[1]
        assert sum(gauge.connections - gauge.idle for gauge in service.gauges()) == 1


async def piped(one: Redis) -> list[object]:
    pipe = one.pipeline(transaction=False)
    for number in range(300):
        pipe.set(f"k{number}", number)
        pipe.get(f"k{number}")
    return await pipe.execute()


async def test_many_clients_share_one_connection_and_each_hears_its_own(direct):
    async with proxy(direct) as (port, _service):

        async def one(number: int) -> None:
            async with client(port) as mine:
                for turn in range(20):
                    assert await mine.set(f"c{number}", turn)
                    assert await mine.get(f"c{number}") == b"%d" % turn

        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(one(number))
        async with client(direct) as seen:
            assert len(await seen.client_list()) <= 3  # the shared one, the one that watches, and this one


async def test_transactions_have_a_connection_of_their_own_for_as_long_as_they_last(direct):
    async with proxy(direct) as (port, service), client(port) as one, client(port) as other:
        async with one.pipeline() as pipe:
            await pipe.watch("k")
            await other.set("k", "neighbour")
            pipe.multi()
            pipe.set("k", "mine")
            with pytest.raises(Exception, match="Watched variable changed"):
                await pipe.execute()
        async with one.pipeline() as pipe:
            pipe.incr("n")
            pipe.incr("n")
            assert await pipe.execute() == [1, 2]
        assert all(not session.own.pin.reason for session in service.sessions)


async def test_a_client_that_dies_in_a_transaction_leaves_nothing_behind(direct):
    async with proxy(direct) as (port, service):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"MULTI\r\nSET k lost\r\n")
        assert await reader.readexactly(14) == b"+OK\r\n+QUEUED\r\n"
        assert [session.own.pin.reason for session in service.sessions] == ["MULTI"]
        writer.transport.abort()
        await until(lambda: not service.sessions)
        async with client(port) as one, one.pipeline() as pipe:
            pipe.get("k")
            assert await pipe.execute() == [None]


async def test_a_blocked_client_holds_up_nobody(direct):
    async with proxy(direct) as (port, _service), client(port) as waits, client(port) as other:
        async with asyncio.TaskGroup() as group:
            popped = group.create_task(waits.blpop(["queue"], timeout=20))
            for number in range(20):
                await other.set("k", number)
            await other.rpush("queue", "x")
        assert popped.result() == (b"queue", b"x")
        assert await waits.get("k") == b"19"


@pytest.mark.parametrize("version", [2, 3])
async def test_subscribers_hear_what_is_published(direct, version):
    async with (
        proxy(direct) as (port, _service),
        client(port, protocol=version) as one,
        one.pubsub() as heard,
    ):
        await heard.subscribe("news")
        assert (await heard.get_message(timeout=10))["type"] == "subscribe"
        await one.publish("news", "hello")
        assert (await heard.get_message(timeout=10))["data"] == b"hello"


async def test_users_are_let_in_by_the_proxy(direct):
    digest = hashlib.sha256(b"secret").hexdigest()
    users = f'"app" "#{digest}"\n"default" "plain"'.encode()
    async with proxy(direct, users=users, authentication=["list"]) as (port, _service):
        async with client(port) as nobody:
            with pytest.raises(AuthenticationError):
                await nobody.get("k")
        async with client(port, username="app", password="wrong") as wrong:
            with pytest.raises(AuthenticationError):
                await wrong.get("k")
        for version in (2, 3):
            async with client(port, username="app", password="secret", protocol=version) as app:
                assert await app.set("k", "v")


async def test_databases_are_kept_apart(direct):
    async with proxy(direct) as (port, _service), client(port) as zero, client(port, db=3) as three:
        await zero.set("k", "zero")
        assert await three.get("k") is None
        with pytest.raises(ResponseError, match="out of range"):
            await zero.execute_command("SELECT", 99)


async def test_what_operators_do_is_refused_in_a_transaction_too(direct):
    async with proxy(direct) as (port, _service), client(port) as one:
        with pytest.raises(ResponseError, match="does not pass on CONFIG"):
            await one.config_get("*")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"MULTI\r\nCONFIG GET *\r\nEXEC\r\nPING\r\n")
        lines = [await reader.readline() for _ in range(4)]
        assert lines[1].startswith(b"-ERR unknown command 'refused-by-the-proxy'")
        assert lines[2].startswith(b"-EXECABORT")
        assert lines[3] == b"+PONG\r\n"
        writer.close()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"*2\r\n$3\r\nGET\r\n$536870913\r\n", b"invalid bulk length"),
        (b"*1048577\r\n$3\r\nGET\r\n", b"invalid multibulk length"),
        (b"*1\r\nxx\r\n", b"array begins"),
        (b"x" * 70000, b"too big inline"),
    ],
)
async def test_garbage_is_refused_early(direct, sent, answer):
    async with proxy(direct) as (port, _service):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(20):
            assert answer in await reader.read()
        writer.close()


async def test_a_server_that_dies_fails_what_it_was_asked_and_nothing_else(tmp_path):
    port_of = free_port()
    command = ("redis-server", "--port", str(port_of), "--save", "", "--dir", str(tmp_path))
    async with AsyncExitStack() as stack:
        async with served(command, tmp_path, port_of) as server:
            port, service = await stack.enter_async_context(proxy(port_of, pool={"wait": "1s"}))
            one = await stack.enter_async_context(client(port))
            idle = await stack.enter_async_context(client(port))
            for each in (one, idle):
                assert await each.set("k", "v")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"MULTI\r\n")
            assert await reader.readline() == b"+OK\r\n"
            server.send(signal.SIGSTOP)
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(failing(one))
                await until(lambda: any(session._owed for session in service.sessions))
                server.send(signal.SIGKILL)
            assert "connection to the server was lost" in asked.result()
        with pytest.raises(ResponseError, match="no connection to the server became free"):
            await one.get("k")
        async with served(command, tmp_path, port_of):
            for each in (one, idle):
                assert await each.set("k", "again")
            writer.write(b"EXEC\r\n")
            assert await reader.read() == b""  # not half a transaction elsewhere
            writer.close()


async def failing(one: Redis) -> str:
    try:
        await one.get("k")
    except RedisError as error:
        return str(error)
    return ""


async def test_reads_go_to_a_replica_and_writes_follow_a_promotion():
    async with redis() as first, redis() as second, client(second) as replica, client(first) as primary:
        await replica.replicaof("127.0.0.1", first)
        async with (
            proxy(first, second, database={"split_reads": True}) as (port, service),
            client(port) as one,
        ):
            await until(lambda: roles(service).followers)
            assert roles(service).primary == HostPort("127.0.0.1", first)
            await one.set("k", "v")
            await until(lambda: wait_for(replica, b"v"))
            await until(lambda: reads_at(replica, one))
            before = (await replica.info("commandstats"))["cmdstat_get"]["calls"]
            for _ in range(10):
                assert await one.get("k") == b"v"
            after = (await replica.info("commandstats"))["cmdstat_get"]["calls"]
            assert after - before == 10
            await replica.replicaof("NO", "ONE")
            await primary.replicaof("127.0.0.1", second)
            await until(lambda: roles(service).primary == HostPort("127.0.0.1", second))
            with suppress(RedisError):
                await one.set("k", "lost")
            assert await one.set("k", "new")
            assert await replica.get("k") == b"new"


async def reads_at(replica: Redis, one: Redis) -> bool:
    """Whether the client's read went there: it may when the replica is known to have what the client wrote."""
    await replica.config_resetstat()
    await one.get("k")
    return "cmdstat_get" in await replica.info("commandstats")


async def wait_for(replica: Redis, value: bytes) -> bool:
    return await replica.get("k") == value


async def test_a_slow_subscriber_does_not_fill_memory(direct):
    async with proxy(direct) as (port, service), client(direct) as publisher:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"SUBSCRIBE news\r\n")
        await reader.readline()
        await publisher.config_set("client-output-buffer-limit", "pubsub 4mb 2mb 1")
        (session,) = service.sessions
        highest = 0
        for _ in range(200):  # 40 MB: the server gives up on it
            await publisher.publish("news", b"x" * 200_000)
            highest = max(highest, session.transport.get_write_buffer_size())
        assert highest < 4_000_000
        await until(lambda: publisher_dropped(publisher))
        writer.transport.abort()


async def publisher_dropped(publisher: Redis) -> bool:
    return (await publisher.pubsub_numsub("news"))[0][1] == 0


async def test_a_client_that_does_not_read_is_dropped_before_it_fills_memory(direct):
    async with proxy(direct) as (port, service), client(port) as other:
        await other.set("big", b"x" * 1_000_000)
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        await until(lambda: len(service.sessions) == 2)
        writer.write(b"GET big\r\n" * 100)
        await until(lambda: len(service.sessions) == 1)
        assert await other.get("big") == b"x" * 1_000_000
        writer.transport.abort()


async def test_wait_counts_what_the_client_wrote_over_the_shared_connection():
    async with redis() as first, redis() as second, client(second) as replica:
        await replica.replicaof("127.0.0.1", first)
        async with proxy(first, second) as (port, service), client(port) as one:
            await until(lambda: roles(service).followers)
            await one.set("k", "v")
            assert await one.wait(1, 15000) == 1
            assert await replica.get("k") == b"v"


async def test_redis_cli(direct):
    async with proxy(direct) as (port, _service):
        assert (await run("redis-cli", "-p", str(port), "set", "a", "1")).strip() == "OK"
        assert (await run("redis-cli", "-3", "-p", str(port), "get", "a")).strip() in ("1", '"1"')
