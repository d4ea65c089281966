"""Redis' service while things change: plans, pauses, primaries; and servers and clients that fail."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError

from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.gate import OpenGate, Refusal, RefusalKind, Shut
from marchproxy.modules.dblb.redis.service import RedisService
from tests.ports import free_port
from tests.real.support.certificates import make_certificate
from tests.real.support.databases import redis, served
from tests.real.support.dblb_services import Served, plan_of, serving
from tests.real.support.waiting import until

pytestmark = pytest.mark.timeout(60)
ROUTE = RouteId("r")


def document(pools: dict[str, list[int]], tls: dict[str, object] | None = None, **route) -> dict:
    database = {"probe_interval": "0.1s", "wait": "10s", **route.pop("pool", {})}
    return {
        "pools": [
            {
                "name": name,
                "protocol": "redis",
                "endpoints": [f"127.0.0.1:{port}" for port in ports],
                "database": database,
                **({"tls": tls} if tls else {}),
            }
            for name, ports in pools.items()
        ],
        "routes": [{"id": "r", "protocol": "redis", "backends": [{"pool": next(iter(pools))}], **route}],
    }


@asynccontextmanager
async def proxy(described: dict) -> AsyncIterator[Served]:
    async with serving(RedisService, plan_of(described)) as found:
        await found.service.ready()
        yield found


def client(port: int, **options) -> Redis:
    return Redis(port=port, protocol=2, socket_timeout=30, retry=None, **options)


async def test_a_pause_lets_transactions_end_and_everything_else_wait():
    async with redis() as port, proxy(document({"p": [port]})) as through:
        service: RedisService = through.service
        async with client(through.port) as one, client(through.port) as other:
            reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
            writer.write(b"MULTI\r\nSET k mine\r\n")
            assert await reader.readexactly(14) == b"+OK\r\n+QUEUED\r\n"
            await other.ping()
            service.pause(ROUTE)
            assert service.busy(ROUTE) == 1
            waiting = asyncio.create_task(other.get("k"))
            writer.write(b"EXEC\r\nGET k\r\n")
            assert await reader.readexactly(9) == b"*1\r\n+OK\r\n"
            await until(lambda: service.busy(ROUTE) == 0)
            late = asyncio.create_task(one.get("k"))  # it comes while everything is paused
            await until(lambda: len(service.sessions) == 3)
            assert not waiting.done()
            service.resume(ROUTE)
            assert await waiting == b"mine"
            assert await late == b"mine"
            assert await reader.readexactly(10) == b"$4\r\nmine\r\n"
            writer.close()


async def test_a_new_plan_moves_clients_that_are_connected():
    async with redis() as first, redis() as second, proxy(document({"p": [first]})) as through:
        async with client(through.port) as one, client(first) as at_first, client(second) as at_second:
            await at_first.set("k", "first")
            await at_second.set("k", "second")
            assert await one.get("k") == b"first"
            reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
            writer.write(b"MULTI\r\nGET k\r\n")
            assert await reader.readexactly(14) == b"+OK\r\n+QUEUED\r\n"
            through.service.apply(plan_of(document({"p": [second]})))
            assert await one.get("k") == b"second"
            writer.write(b"EXEC\r\n")
            assert await reader.readexactly(15) == b"*1\r\n$5\r\nfirst\r\n"  # it ends where it began
            writer.write(b"GET k\r\n")
            assert await reader.readexactly(12) == b"$6\r\nsecond\r\n"
            through.service.apply(plan_of(document({"q": [first]})))
            assert await one.get("k") == b"first"
            through.service.apply(plan_of({"pools": [], "routes": []}))
            assert await reader.readline() == b"-NOPERM no route takes this client any more\r\n"
            writer.close()
        await until(lambda: not through.service.sessions)
        assert through.service.gauges() == []


async def test_a_paused_primary_is_replaced_by_a_promoted_replica(tmp_path):
    port = free_port()
    command = ("redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path))
    async with served(command, tmp_path, port) as primary, redis() as second, client(second) as replica:
        await replica.replicaof("127.0.0.1", port)
        await until(lambda: linked(replica))
        async with proxy(document({"p": [port, second]})) as through, client(through.port) as one:
            assert await one.set("k", "v")
            primary.send(signal.SIGSTOP)
            await replica.replicaof("NO", "ONE")
            (servers,) = through.service.upstreams.values()
            try:
                await one.set("k", "lost")
            except RedisError as error:
                assert "lost" in str(error)  # noqa: PT017 - it may also have been late enough to go to the new one
            assert await one.set("k", "new")
            assert await replica.get("k") == b"new"
            assert servers.roles.primary.port == second
            primary.send(signal.SIGCONT)
            reports = await through.service.check()
            assert sorted(report.role for report in reports) == ["primary", "primary"]


async def linked(replica: Redis) -> bool:
    return (await replica.info("replication"))["master_link_status"] == "up"


async def test_a_route_to_replicas_refuses_writes_and_says_how_far_they_are():
    async with redis() as first, redis() as second, client(second) as replica, client(first) as primary:
        await replica.replicaof("127.0.0.1", first)
        await until(lambda: linked(replica))
        await primary.set("k", "v")
        described = document({"p": [first, second]}, database={"target": "replica"})
        async with proxy(described) as through, client(through.port) as one:
            assert await one.ping()
            await until(lambda: has(one))
            with pytest.raises(ReadOnlyError):
                await one.set("k", "w")
            (report,) = [one for one in through.service.servers() if one.role == "replica"]
            assert report.lag is not None
            assert report.latency is not None
            (tally,) = through.around.tallies.kept.values()
            assert tally.to_replicas >= 1
            assert tally.errors == 1
            assert tally.clients == 1


async def has(one: Redis) -> bool:
    return await one.get("k") == b"v"


async def test_a_client_that_dies_while_it_blocks_leaves_no_connection():
    async with redis() as port, proxy(document({"p": [port]})) as through, client(port) as direct:
        _reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
        writer.write(b"BLPOP queue 0\r\n")
        await until(lambda: blocked(direct, 1))
        writer.transport.abort()
        await until(lambda: blocked(direct, 0))
        assert await direct.rpush("queue", "x") == 1
        assert await direct.llen("queue") == 1  # nobody took it
        (tally,) = through.around.tallies.kept.values()
        assert tally.pins == {"BLPOP": 1}


async def blocked(direct: Redis, wanted: int) -> bool:
    return (await direct.info("clients"))["blocked_clients"] == wanted


@pytest.mark.parametrize(
    "nonsense", [b"\xff\r\n", b"+OK\r\n+more than was asked\r\n", b"$-7\r\n", b"*1\r\n" * 200]
)
async def test_a_server_that_talks_nonsense_costs_what_it_was_asked(nonsense):
    async def talk(reader, writer):
        writer.write(b"+OK\r\n")  # to SELECT, or ROLE
        await reader.read(1024)
        while await reader.read(1024):
            writer.write(nonsense)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with proxy(document({"p": [port]})) as through:
        reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
        writer.write(b"GET k\r\n")
        async with asyncio.timeout(20):
            said = await reader.readline()
            assert said.startswith((b"-ERR the connection to the server was lost", b"+OK")) or not said
        writer.close()
    server.close()


async def test_sessions_of_their_own():
    async with redis() as port, client(port) as direct:
        described = document({"p": [port]}, pool={"pooling": "session"})
        async with (
            proxy(described) as through,
            client(through.port) as one,
            client(through.port, db=2) as other,
        ):
            for number in range(3):
                await one.set("k", number)
                await other.set("k", -number)
            assert (await one.get("k"), await other.get("k")) == (b"2", b"-2")
            (first, second) = through.service.gauges()
            assert (first.connections, second.connections) == (1, 1)
            await one.execute_command("SELECT", 2)
            assert await one.get("k") == b"-2"
        assert await direct.get("k") == b"2"


async def test_tls_to_servers(tmp_path):
    certificate = make_certificate(tmp_path, "redis.test")
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_suffix(".key")))
    options = ("--tls-port", str(port), "--port", "0", "--tls-auth-clients", "no", "--save", "")
    command = ("redis-server", *options, *files, "--dir", str(tmp_path))
    async with served(command, tmp_path, port):
        trusted = document({"p": [port]}, {"ca": str(certificate), "server_name": "redis.test"})
        async with proxy(trusted) as through, client(through.port) as one:
            assert await one.set("k", "v")
        doubted = document({"p": [port]}, {"insecure": False}, pool={"wait": "0.5s"})
        async with proxy(doubted) as through, client(through.port) as one:
            with pytest.raises(RedisError, match="certificate"):
                await one.set("k", "v")


class Strict(OpenGate):
    """Refuses every GET of `secret`; counts what it was asked about."""

    looks = True

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def enter(self, _route, who, _tally):
        if who.application == "banned":
            raise Shut(Refusal("too many clients", RefusalKind.LIMITED))
        return self

    def refuses(self, statement):
        self.asked.append(statement)
        return Refusal("not that one", RefusalKind.BLOCKED) if statement == b"GET secret" else None

    def leave(self):
        """Nobody counts."""


async def test_what_a_gate_refuses():
    gate = Strict()

    def change(around):
        around.gate = gate

    async with (
        redis() as port,
        serving(RedisService, plan_of(document({"p": [port]})), change=change) as through,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
        writer.write(b"SET k v\r\nGET secret\r\nGET k\r\nMULTI\r\nGET secret\r\nEXEC\r\nGET k\r\n")
        lines = [await reader.readline() for _ in range(9)]
        assert lines[:4] == [b"+OK\r\n", b"-NOPERM not that one\r\n", b"$1\r\n", b"v\r\n"]
        assert lines[4] == b"+OK\r\n"
        assert lines[5].startswith(b"-ERR unknown command 'refused-by-the-proxy'")
        assert b"not that one" in lines[5]
        assert lines[6].startswith(b"-EXECABORT")
        assert lines[7:] == [b"$1\r\n", b"v\r\n"]
        assert gate.asked.count(b"GET secret") == 2  # once for each, however often it had to wait
        writer.write(b"CLIENT SETNAME banned\r\n")
        assert await reader.read() == b"-ERR too many clients\r\n"
        writer.close()
        (tally,) = [one for one in through.around.tallies.kept.values() if one.queries]
        assert tally.transactions == 1
        assert tally.clients == 0


async def test_a_drained_worker_interrupts_nothing():
    async with redis() as port, proxy(document({"p": [port]})) as through:
        idle, other = await asyncio.open_connection("127.0.0.1", through.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
        writer.write(b"MULTI\r\n")
        assert await reader.readline() == b"+OK\r\n"
        through.service.drain()
        assert await idle.read() == b""
        other.close()
        writer.write(b"SET k v\r\nEXEC\r\n")
        assert await reader.read() == b"+QUEUED\r\n*1\r\n+OK\r\n"
        writer.close()
        await until(lambda: not through.service.sessions)


async def test_a_server_that_does_not_read_stops_who_sends_to_it():
    going_on = asyncio.Event()

    async def hold(reader, writer):
        while b"SELECT" not in await reader.read(1024):
            writer.write(b"+OK\r\n")
        writer.write(b"+OK\r\n")
        writer.transport.pause_reading()
        await going_on.wait()
        writer.transport.abort()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with proxy(document({"p": [port]})) as through:
        _reader, writer = await asyncio.open_connection("127.0.0.1", through.port)
        writer.write(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n" + bytes(50_000_000))
        (session,) = await sessions_of(through)
        await until(lambda: session.own.link is not None and session.own.link.congested)
        for _ in range(200):  # time enough for the rest to come
            await asyncio.sleep(0)
        assert session.own.link.transport.get_write_buffer_size() < 4_000_000
        writer.transport.abort()
        going_on.set()
        await until(lambda: not through.service.sessions)
    server.close()


async def sessions_of(through: Served):
    await until(lambda: through.service.sessions)
    return through.service.sessions
