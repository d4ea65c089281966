"""Envoy as the carrier of Redis routes: the resources as Envoy judges them, and a real Cluster behind a real Envoy."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from marchproxy.engines.envoy.binary import find_envoy
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.redis.envoy_resources import Prefix, RedisListener, RedisPool, clusters, listener
from tests.ports import free_port
from tests.real.support.databases import redis, run, served

pytestmark = pytest.mark.timeout(90)


def bootstrap(spec: RedisListener) -> str:
    return json.dumps({"static_resources": {"listeners": [listener(spec)], "clusters": clusters(spec)}})


def at(*ports: int) -> tuple[HostPort, ...]:
    return tuple(HostPort("127.0.0.1", port) for port in ports)


@asynccontextmanager
async def envoy(folder, spec: RedisListener) -> AsyncIterator[None]:
    config = folder / "envoy.json"
    config.write_text(bootstrap(spec))
    command = (
        str(find_envoy(None)),
        "-c",
        str(config),
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "-l",
        "error",
    )
    async with served(command, folder, spec.address.port):
        yield


@pytest.mark.parametrize(
    "spec",
    [
        RedisListener("one", *at(10000), (RedisPool("a", at(1)),), default="a"),
        RedisListener(
            "c", *at(10000), (RedisPool("a", at(1, 2), cluster=True),), default="a", reads="REPLICA"
        ),
        RedisListener(
            "p",
            *at(10000),
            (RedisPool("a", at(1)), RedisPool("b", at(2))),
            prefixes=(Prefix("x:", "a", strip=True, mirror="b"),),
        ),
    ],
    ids=lambda spec: spec.name,
)
async def test_envoy_accepts(spec, tmp_path):
    config = tmp_path / "envoy.json"
    config.write_text(bootstrap(spec))
    await run(str(find_envoy(None)), "--mode", "validate", "-c", str(config), "--disable-hot-restart")


async def test_prefixes_and_mirrors(tmp_path):
    async with redis() as first, redis() as second, redis() as third:
        pools = (
            RedisPool("first", at(first)),
            RedisPool("second", at(second)),
            RedisPool("third", at(third)),
        )
        prefixes = (Prefix("s:", "second", strip=True, mirror="third"),)
        spec = RedisListener("p", *at(free_port()), pools, default="first", prefixes=prefixes)
        async with envoy(tmp_path, spec), Redis(port=spec.address.port, protocol=2) as one:
            await answering(one)
            await one.set("a", "1")
            await one.set("s:b", "2")
            assert await value(first, "a") == b"1"
            assert await value(second, "b") == b"2"
            async with asyncio.timeout(20):
                while await value(third, "b") != b"2":  # a mirror is not waited for
                    await asyncio.sleep(0.02)


async def test_a_cluster_of_three(tmp_path):
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(member(tmp_path)) for _ in range(3)]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        await run("redis-cli", "--cluster", "create", *addresses, "--cluster-yes")
        spec = RedisListener("c", *at(free_port()), (RedisPool("c", at(*ports), cluster=True),), default="c")
        await stack.enter_async_context(envoy(tmp_path, spec))
        one = await stack.enter_async_context(Redis(port=spec.address.port, protocol=2))
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
