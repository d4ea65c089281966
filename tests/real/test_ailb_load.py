"""Engines are asked how they are, while they work, hang, die, come back, or say something else."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.tasks import Isolating
from marchproxy.model.ai import AiPool, Provider
from marchproxy.model.pool import BackendPool
from marchproxy.modules.ailb.load import Engine, EngineLoad, Watches
from tests.ports import free_port
from tests.real.support.engines import Engines, engines
from tests.real.support.waiting import until


class Ear:
    """What was said of one engine."""

    def __init__(self) -> None:
        self.loads: list[EngineLoad] = []
        self.asks = 0
        self.knows: bool | None = None

    def asked(self) -> None:
        self.asks += 1

    def heard(self, load: EngineLoad, now: float) -> None:
        assert now > 0
        self.loads.append(load)
        self.knows = True

    def silent(self) -> None:
        self.knows = False


def engine(address: str, path: str = "/metrics") -> Engine:
    found = Engine.of(BackendPool("p", ai=AiPool(Provider.VLLM, metrics_path=path)), address)
    assert found is not None
    return found


@asynccontextmanager
async def watches(told: Callable[[str], None] = lambda _: None) -> AsyncIterator[Watches]:
    async with Isolating() as group:
        watching = Watches(group, told, SystemClock())
        try:
            yield watching
        finally:
            watching.close()


async def test_engines_are_heard_hang_die_and_come_back(tmp_path: Path) -> None:
    ear, told = Ear(), list[str]()
    async with engines(tmp_path, num_gpu_blocks=100) as started, watches(told.append) as watching:
        watching.follow({engine(started.addresses[0]): ear})
        await until(lambda: len(ear.loads) >= 5)
        assert ear.loads[-1] == EngineLoad(0, 0, 0, 1600)
        assert set(told) == {"p"}
        assert await connections(started) == 1
        pause(started, signal.SIGSTOP)
        await until(lambda: ear.knows is False)
        pause(started, signal.SIGCONT)
        await until(lambda: ear.knows)
        await started.kill()
        await until(lambda: ear.knows is False)
        await started.start()
        await until(lambda: ear.knows)
        watching.follow({})
        await asyncio.sleep(0)
        asks = ear.asks
        await until(lambda: no_connections(started))
        assert ear.asks == asks


async def no_connections(started: Engines) -> bool:
    return await connections(started) == 0


async def connections(started: Engines) -> int:
    """Of ours to the engine."""
    port = started.ports[0]
    lines = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
    established = [line.split() for line in lines.splitlines() if " 01 " in line]
    return sum(int(fields[2].rpartition(":")[2], 16) == port for fields in established)


def pause(started: Engines, number: signal.Signals) -> None:
    assert started._process is not None
    started._process.send(number)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        b"\x16\x03\x01 garbage",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 2_000_000,
    ],
)
async def test_who_says_something_else_is_silent_and_asked_again(answer: bytes) -> None:
    ear = Ear()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, watches() as watching:
        watching.follow({engine(address): ear})
        await until(lambda: ear.asks >= 3)
    assert ear.knows is False
    assert not ear.loads


async def test_where_nobody_is_is_silence_and_another_path_is_another_engine(tmp_path: Path) -> None:
    nobody, wrong, right = Ear(), Ear(), Ear()
    async with engines(tmp_path) as started, watches() as watching:
        address = started.addresses[0]
        watching.follow({engine(f"127.0.0.1:{free_port()}"): nobody, engine(address, "/health"): wrong})
        await until(lambda: nobody.knows is False and wrong.knows is False)
        watching.follow({engine(address): right})
        await until(lambda: right.knows)
        assert not nobody.loads
        assert not wrong.loads


async def test_a_new_listener_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    before, after = Ear(), Ear()
    async with engines(tmp_path) as started, watches() as watching:
        one = engine(started.addresses[0])
        watching.follow({one: before})
        await until(lambda: before.knows)
        watching.follow({one: after})
        await until(lambda: after.knows)
        heard = len(before.loads)
        await until(lambda: len(after.loads) > 3)
        assert len(before.loads) == heard
