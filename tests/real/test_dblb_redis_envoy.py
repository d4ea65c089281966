"""Envoy as the carrier of Redis routes: the resources as Envoy judges them, and a real Cluster behind a DBLB."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.redis.envoy_resources import (
    Copies,
    Prefix,
    RedisListener,
    RedisPool,
    clusters,
    listener,
)
from tests.ports import free_port
from tests.real.support.databases import redis, run, served
from tests.real.support.dblb import databases
from tests.real.support.process import naming

pytestmark = pytest.mark.timeout(90)
SOCKET = Path("/tmp/redis.sock")


def at(*ports: int) -> tuple[HostPort, ...]:
    return tuple(HostPort("127.0.0.1", port) for port in ports)


@pytest.mark.parametrize(
    "spec",
    [
        RedisListener("one", SOCKET, (RedisPool("a", at(1)),), Prefix("", "a")),
        RedisListener(
            "cluster", SOCKET, (RedisPool("a", at(1, 2), cluster=True),), Prefix("", "a"), reads="REPLICA"
        ),
        RedisListener(
            "prefixes",
            SOCKET,
            (RedisPool("a", at(1)), RedisPool("b", at(2), user="u", password="p")),
            prefixes=(Prefix("x:", "a", (Copies("b", 12.5),)),),
        ),
        RedisListener(
            "tls",
            SOCKET,
            (RedisPool("a", at(1), tls=UpstreamTls()), RedisPool("b", at(2), tls=UpstreamTls(insecure=True))),
            Prefix("", "a"),
            (Prefix("x:", "b"),),
        ),
    ],
    ids=lambda spec: spec.name,
)
async def test_envoy_accepts(spec, tmp_path):
    config = tmp_path / "envoy.json"
    config.write_text(
        json.dumps({"static_resources": {"listeners": [listener(spec)], "clusters": clusters(spec)}})
    )
    await run(str(find_envoy(None)), "--mode", "validate", "-c", str(config), "--disable-hot-restart")


def pool(name: str, *ports: int, **database) -> dict[str, object]:
    endpoints = [f"127.0.0.1:{port}" for port in ports]
    return {"name": name, "protocol": "redis", "endpoints": endpoints, "database": database}


def route(name: str, to: str, **more) -> dict[str, object]:
    return {"id": name, "protocol": "redis", "module": "dblb", "backends": [{"pool": to}], **more}


async def test_prefixes_mirrors_and_a_change_of_them(tmp_path):
    port = free_port()
    async with redis() as first, redis() as second, redis() as third:
        document = {
            "pools": [pool("first", first), pool("second", second), pool("third", third)],
            "routes": [
                route("others", "first"),
                route("s", "second", database={"prefixes": ["s:"]}, mirrors=[{"pool": "third"}]),
            ],
        }
        async with (
            databases(tmp_path, document, workers=2, redis=f"127.0.0.1:{port}") as system,
            Redis(port=port, protocol=2) as one,
        ):
            await one.set("a", "1")
            await one.set("s:b", "2")
            assert await value(first, "a") == b"1"
            assert await value(second, "s:b") == b"2"
            await until_value(third, "s:b", b"2")  # a mirror is not waited for
            assert await one.mget("a", "s:b") == [b"1", b"2"]
            with pytest.raises(ResponseError):
                await one.execute_command("HELLO", 3)
            system.document["routes"][1]["database"] = {"prefixes": ["s:", "t:"]}
            system.save()
            system.dblb.process.send(signal.SIGHUP)
            async with asyncio.timeout(30):
                while await value(second, "t:c") is None:
                    await one.set("t:c", "3")
            await until_value(third, "t:c", b"3")
            (envoy,) = envoys(system)
            envoy.kill()  # it is started again
            await answering(one)
            system.document["routes"] = [route("others", "first")]
            system.save()
            system.dblb.process.send(signal.SIGHUP)
            async with asyncio.timeout(30):
                while envoys(system):
                    await asyncio.sleep(0.1)
            assert await one.set("s:b", "first")
            assert await value(first, "s:b") == b"first"


def envoys(system) -> list[psutil.Process]:
    """Those that serve Redis."""
    found = naming(system.dblb.folder / "envoy")
    return [process for process in found if "envoy" in Path(process.info["cmdline"][0]).name]


async def test_a_cluster_of_three_behind_a_login(tmp_path):
    port, users = free_port(), tmp_path / "users"
    users.write_text('"app" "secret"\n')
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(member(tmp_path)) for _ in range(3)]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        await run("redis-cli", "--cluster", "create", *addresses, "--cluster-yes")
        document = {
            "pools": [pool("c", *ports, cluster=True)],
            "authentication": [{"name": "list", "kind": "userlist", "file": str(users)}],
            "routes": [route("c", "c", authentication=["list"])],
        }
        await stack.enter_async_context(databases(tmp_path, document, workers=1, redis=f"127.0.0.1:{port}"))
        nobody = await stack.enter_async_context(Redis(port=port, protocol=2))
        with pytest.raises(RedisError, match="Authentication"):
            await nobody.get("k")
        one = await stack.enter_async_context(Redis(port=port, protocol=2, username="app", password="secret"))
        await answering(one)
        for number in range(60):
            assert await one.set(f"k{number}", number)
        assert [await one.get(f"k{number}") for number in range(60)] == [
            b"%d" % number for number in range(60)
        ]
        sizes = [int(await run("redis-cli", "-p", str(port), "dbsize")) for port in ports]
        assert sum(sizes) == 61
        assert all(sizes)


@asynccontextmanager
async def member(folder) -> AsyncIterator[int]:
    port, bus = free_port(), free_port()
    own = folder / str(port)
    own.mkdir()
    options = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--bind", "127.0.0.1", "--save", "")
    async with served(("redis-server", "--port", str(port), "--dir", str(own), *options), own, port):
        yield port


async def answering(one: Redis) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await one.set("ready", "1")
            except RedisError:
                await asyncio.sleep(0.1)
            else:
                return


async def value(port: int, key: str) -> bytes | None:
    async with Redis(port=port) as server:
        return await server.get(key)


async def until_value(port: int, key: str, wanted: bytes) -> None:
    async with asyncio.timeout(20):
        while await value(port, key) != wanted:
            await asyncio.sleep(0.02)
