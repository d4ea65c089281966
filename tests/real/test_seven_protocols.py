"""One port, seven protocols: real clients, each of which reaches its own module behind one detect listener."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pymongo

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from marchproxy.model.listener import Listener
from marchproxy.model.module import ModuleType, Protocol
from tests.ports import free_port
from tests.real.nlb_rig import nlb_process, until
from tests.real.support.backends import Backend
from tests.real.support.databases import mariadb, mongodb, postgres, psql_options, redis, run
from tests.real.support.fronts import Front, takes_traffic
from tests.real.support.streams import RtmpServer, TlsServer, publish, rtmp_server, tls_server

SECURE = "secure.example"
FRAMES = 60
_SPOKEN = {
    "http": (ModuleType.ALB, Protocol.HTTP, types_pb2.MODULE_TYPE_ALB, types_pb2.PROTOCOL_HTTP),
    "postgres": (ModuleType.DBLB, Protocol.POSTGRES, types_pb2.MODULE_TYPE_DBLB, types_pb2.PROTOCOL_POSTGRES),
    "mysql": (ModuleType.DBLB, Protocol.MYSQL, types_pb2.MODULE_TYPE_DBLB, types_pb2.PROTOCOL_MYSQL),
    "redis": (ModuleType.DBLB, Protocol.REDIS, types_pb2.MODULE_TYPE_DBLB, types_pb2.PROTOCOL_REDIS),
    "mongodb": (ModuleType.DBLB, Protocol.MONGODB, types_pb2.MODULE_TYPE_DBLB, types_pb2.PROTOCOL_MONGODB),
    "rtmp": (ModuleType.RTMP, Protocol.RTMP, types_pb2.MODULE_TYPE_RTMP, types_pb2.PROTOCOL_RTMP),
    "tls": (ModuleType.ALB, Protocol.HTTPS, types_pb2.MODULE_TYPE_ALB, types_pb2.PROTOCOL_HTTPS),
}


@dataclass(frozen=True)
class Servers:
    """The servers that the modules stand for."""

    http: Backend
    postgres: int
    mysql: int
    redis: int
    mongodb: int
    rtmp: RtmpServer
    tls: TlsServer

    def ports(self) -> dict[str, int]:
        return {
            "http": self.http.port,
            "postgres": self.postgres,
            "mysql": self.mysql,
            "redis": self.redis,
            "mongodb": self.mongodb,
            "rtmp": self.rtmp.port,
            "tls": self.tls.port,
        }


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    http = Backend("web")
    async with AsyncExitStack() as stack:
        await http.start()
        stack.push_async_callback(http.stop)
        enter = stack.enter_async_context
        yield Servers(
            http,
            await enter(postgres()),
            await enter(mariadb()),
            await enter(redis()),
            await enter(mongodb()),
            await enter(rtmp_server(_made(folder / "rtmp"))),
            await enter(tls_server(_made(folder / "tls"), SECURE)),
        )


@asynccontextmanager
async def in_front_of(ports: dict[str, int], folder: Path) -> AsyncIterator[tuple[int, NLBServiceStub]]:
    """An NLB with one address for all of them, and a module for each; the address's port."""
    port = free_port()
    listeners = [
        Listener(name, "127.0.0.1", port, protocol, module, server_names=(SECURE,) if name == "tls" else ())
        for name, (module, protocol, _, _) in _SPOKEN.items()
    ]
    fronts = [Front(name, kind, spoken, ports[name]) for name, (_, _, kind, spoken) in _SPOKEN.items()]
    async with nlb_process(folder, *listeners, heartbeat=60) as (_, stub), AsyncExitStack() as stack:
        for front in fronts:
            await stack.enter_async_context(front.registered(stub))
        await takes_traffic(stub, *fronts)
        yield port, stub


async def test_each_client_reaches_its_own_server_through_one_port(tmp_path):
    async with servers(tmp_path) as real, in_front_of(real.ports(), _made(tmp_path / "nlb")) as (port, stub):
        async with asyncio.TaskGroup() as group:
            group.create_task(curl_reaches(real.http.name, port))
            group.create_task(psql_reaches(real.postgres, port))
            group.create_task(mariadb_reaches(real.mysql, port))
            group.create_task(redis_cli_reaches(real.redis, port))
            group.create_task(asyncio.to_thread(pymongo_reaches, real.mongodb, port))
            group.create_task(ffmpeg_reaches(real.rtmp, port))
            group.create_task(openssl_reaches(real.tls, port))
        # curl, psql, mariadb, redis-cli, ffmpeg and openssl open one connection each; pymongo watches on others
        once = dict.fromkeys(_SPOKEN.keys() - {"mongodb"}, 1)
        await until(lambda: _counted(stub, once), seconds=30)


async def curl_reaches(name: str, port: int) -> None:
    assert (await run("curl", "-sS", "--max-time", "20", f"http://127.0.0.1:{port}/")).strip() == name


async def psql_reaches(server: int, port: int) -> None:
    question = "select setting from pg_settings where name = 'port'"
    assert await run("psql", *psql_options(port), "-d", "app", "-c", question) == f"{server}\n"


async def mariadb_reaches(server: int, port: int) -> None:
    options = ("--no-defaults", "-h", "127.0.0.1", "-P", str(port), "-u", "app", "-N", "-B")
    assert await run("mariadb", *options, "-e", "select @@port") == f"{server}\n"


async def redis_cli_reaches(server: int, port: int) -> None:
    answer = await run("redis-cli", "-h", "127.0.0.1", "-p", str(port), "config", "get", "port")
    assert answer.split() == ["port", str(server)]


def pymongo_reaches(server: int, port: int) -> None:
    options = {"directConnection": True, "serverSelectionTimeoutMS": 20_000}
    with (
        pymongo.MongoClient("127.0.0.1", server, **options) as straight,
        pymongo.MongoClient("127.0.0.1", port, **options) as through,
    ):
        straight.shop.items.insert_one({"name": "a ladder", "price": 40})
        assert [item["price"] for item in through.shop.items.find({"name": "a ladder"})] == [40]


async def ffmpeg_reaches(server: RtmpServer, port: int) -> None:
    await publish(port, FRAMES)
    assert await server.frames(within=20) == FRAMES


async def openssl_reaches(server: TlsServer, port: int) -> None:
    trust = ("-CAfile", str(server.ca), "-verify_return_error", "-verify_hostname", SECURE)
    command = ("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", "-servername", SECURE)
    page = await run(*command, *trust, stdin=b"GET / HTTP/1.0\r\n\r\n")
    assert page.startswith("HTTP/1.0 200 ok")
    assert f"s_server -accept 127.0.0.1:{server.port}" in page


async def _counted(stub: NLBServiceStub, expected: dict[str, int]) -> bool:
    """Whether the NLB's newest sample has these totals, and at least one connection of pymongo."""
    answer = await stub.GetNLBMetrics(nlb_pb2.GetNLBMetricsRequest(), timeout=20)
    totals = {}
    for point in answer.metrics:
        if point.name == "connections_total":
            totals[point.labels["listener"]] = int(point.value)
    mongodb = totals.pop("mongodb", 0)
    return totals == expected and mongodb >= 1


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
