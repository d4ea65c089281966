"""Hot restart with the real Envoy: what is open stays open, what is new is served, and what fails is undone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest
import websockets

from marchproxy.engines.envoy.process import HandOverFailed
from tests.real.hot_rig import Hot, arguments, calling, hot, until
from tests.real.support.echo import grpc_echo, websocket_echo
from tests.real.support.load import load


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marchproxy.engines.envoy.process._LOOK_SECONDS", 0.3)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Hot]:
    async with hot(tmp_path / "run") as made:
        yield made


@pytest.fixture
async def echoing(tmp_path: Path) -> AsyncIterator[Hot]:
    async with (
        websocket_echo() as ws,
        grpc_echo() as grpc_port,
        hot(tmp_path / "run", ws=ws, grpc=grpc_port) as made,
    ):
        yield made


async def test_several_restarts_under_load_fail_nothing(echoing):
    descriptors = psutil.Process().num_fds()
    async with echoing.make() as envoy:
        await envoy.wait_ready(20)
        async with (
            load(echoing.port, connections=4) as kept,
            load(echoing.port, connections=2, keep_alive=False) as fresh,
            calling(echoing.port) as calls,
        ):
            for epoch in (1, 2, 3, 4):
                await envoy.hand_over()
                await kept.more(100)
                await fresh.more(100)
                await echoing.only(envoy.status().pid)  # the one before has finished
                await until(lambda: envoy.status().retired_pid is None)
                assert (envoy.status().epoch, envoy.status().hand_overs) == (epoch, epoch)
            served = calls.done
            await until(lambda: calls.done > served + 20)
            await kept.more(100)
        assert (kept.bad(), fresh.bad(), calls.failures) == ([], [], [])
        assert envoy.status().restarts == 0
    assert psutil.Process().num_fds() <= descriptors + 4


async def test_what_is_open_stays_open_and_the_old_one_ends_with_it(echoing):
    async with echoing.make() as envoy:
        await envoy.wait_ready(20)
        first = envoy.status().pid
        async with websockets.connect(f"ws://127.0.0.1:{echoing.port}/ws") as socket:
            for word in ("before", "during", "after"):
                await socket.send(word)
                assert await socket.recv() == word
                if word == "before":
                    await envoy.hand_over()
                else:
                    await asyncio.sleep(2)  # longer than Envoy says goodbye
            assert envoy.status().retired_pid == first
            with pytest.raises(HandOverFailed, match=r"finishes 1 connections still, for 3\d* s at most"):
                await envoy.hand_over()
            both = envoy.usage()
        await echoing.only(envoy.status().pid)  # nothing was open any more, long before its hour was over
        await until(lambda: envoy.status().retired_pid is None)
        after = envoy.usage()
        assert after.memory_bytes < both.memory_bytes
        assert after.cpu_seconds >= both.cpu_seconds


async def test_a_stream_of_http2_goes_on(echoing):
    async with (
        echoing.make() as envoy,
        grpc.aio.insecure_channel(f"127.0.0.1:{echoing.port}") as channel,
    ):
        await envoy.wait_ready(20)
        chat = channel.stream_stream("/echo.Echo/Chat")()
        for word in (b"before", b"during", b"after"):
            await chat.write(word)
            assert await chat.read() == word
            if word == b"before":
                await envoy.hand_over()
            else:
                await asyncio.sleep(1)
        await chat.done_writing()
        assert await chat.read() is grpc.aio.EOF
        assert await chat.code() is grpc.StatusCode.OK


async def test_the_old_one_ends_at_its_deadline(echoing):
    async with echoing.make() as envoy:
        await envoy.wait_ready(20)
        async with websockets.connect(f"ws://127.0.0.1:{echoing.port}/ws") as socket:
            await envoy.hand_over(2)
            await socket.send("x")
            assert await socket.recv() == "x"
            await echoing.only(envoy.status().pid)
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()


async def test_an_old_one_that_dies_early_does_not_take_the_new_one_along(echoing):
    async with echoing.make() as envoy:
        await envoy.wait_ready(20)
        first = envoy.status().pid
        async with websockets.connect(f"ws://127.0.0.1:{echoing.port}/ws"), load(echoing.port) as tally:
            await tally.more(10)
            await envoy.hand_over(4)
            os.kill(first, signal.SIGKILL)
            await until(lambda: envoy.status().retired_pid is None)
            dead_at = tally.total
            await asyncio.sleep(6)  # over the time at which the new one tells the old one to end
            await tally.more(100)
            assert tally.total > dead_at + 100
            await envoy.hand_over()  # a third tells the second once more
            await tally.more(100)
        assert len(tally.bad()) <= 4  # the connections that were the old one's
        assert (envoy.status().restarts, envoy.status().epoch) == (0, 2)


async def test_nothing_is_left_in_memory_or_on_disk(rig):
    async with rig.make() as envoy:
        await envoy.wait_ready(20)
        base_id = arguments(envoy.status().pid)["--base-id"]
        memory = Path(f"/dev/shm/envoy_shared_memory_{base_id}0")
        assert memory.exists()
        await envoy.hand_over()
        assert memory.exists()
    assert not memory.exists()
    assert {path.name for path in rig.run_dir.iterdir()} == {"envoy.json", "envoy.lock", "envoy.log"}
