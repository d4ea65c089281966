"""Hot restart with the real Envoy, when something fails: a binary, a successor, a supervisor, a keeper."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import websockets

from marchproxy.engines.envoy.process import EnvoyState
from tests.real.hot_rig import Hot, arguments, copy_binary, hot, script, until
from tests.real.support.echo import grpc_echo, websocket_echo
from tests.real.support.load import ask, load


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


async def test_another_bootstrap_takes_over_without_a_cut(rig):
    async with rig.make() as first:
        await first.wait_ready(20)
        pid = first.status().pid
        await first.release()
    async with load(rig.port, pause=0.002) as tally:
        await tally.more(50)
        async with rig.make(answer="changed") as second:
            assert (second.status().pid, second.status().adopted) == (pid, True)
            await until(lambda: second.status().epoch == 1)
            assert not second.status().adopted
            await rig.only(second.status().pid)
            tally.answers.clear()
            await tally.more(50)
            assert (tally.share("changed"), tally.bad()) == (100, [])
            await second.release()
        third = rig.make(answer="changed")
        await third.start()  # what was restarted hot is adopted as well, and can be again
        assert (third.status().adopted, third.status().epoch) == (True, 1)
        await third.hand_over()
        await tally.more(50)
        assert (third.status().epoch, tally.bad()) == (2, [])
    await third.stop()


async def test_a_binary_that_is_replaced_takes_over(rig, tmp_path):
    binary = copy_binary(tmp_path / "bin")
    async with rig.make(binary=binary) as envoy, load(rig.port) as tally:
        await envoy.wait_ready(20)
        tally.clear()
        copy_binary(tmp_path / "bin")
        await until(lambda: envoy.status().epoch == 1)
        await tally.more(100)
        assert (tally.bad(), envoy.status().trouble) == ([], "")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("exit 3", "fails with exit code 3"),
        ("exec sleep 60", "does not end within 3 s"),
        ("echo 12.104", "speaks version 12.104 of the hot restart"),
        ("yes", "does not end within 3 s"),
    ],
)
async def test_a_bad_binary_is_told_and_tried_once(rig, tmp_path, monkeypatch, program, words):
    monkeypatch.setattr("marchproxy.engines.envoy.trial._SECONDS", 3.0)
    binary, tries = copy_binary(tmp_path / "bin"), tmp_path / "tries"
    async with rig.make(binary=binary) as envoy:
        await envoy.wait_ready(20)
        pid = envoy.status().pid
        script(binary, f"echo x >>{tries}\n{program}")
        await until(lambda: envoy.status().trouble)
        assert words in envoy.status().trouble
        await asyncio.sleep(1)  # five looks
        assert tries.read_text() == "x\n"
        assert (envoy.status().pid, await envoy.admin.ready()) == (pid, True)
        assert (await ask(rig.port, 5)).bad() == []
        monkeypatch.setattr("marchproxy.engines.envoy.trial._SECONDS", 30.0)
        copy_binary(tmp_path / "bin")
        await until(lambda: envoy.status().epoch == 1 and not envoy.status().trouble, 40)


def waiting_for_ever(rig: Hot) -> bytes:
    """A bootstrap that is sound, and of which no Envoy ever becomes ready."""
    from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render  # noqa: PLC0415
    from marchproxy.kit.settings.types import HostPort  # noqa: PLC0415

    spec = BootstrapSpec("n", "c", HostPort("127.0.0.1", 0), rig.run_dir / "nobody.sock")
    return render(spec)


async def test_a_successor_that_never_gets_ready_is_undone(rig, monkeypatch):
    monkeypatch.setattr("marchproxy.engines.envoy.handover._READY_SECONDS", 1.0)
    async with rig.make() as first:
        await first.wait_ready(20)
        await first.release()
    async with load(rig.port, pause=0.01) as tally:
        await tally.more(20)
        async with rig.make(start_from=waiting_for_ever(rig)) as envoy:
            await until(lambda: envoy.status().trouble)
            assert "1 s passed before it was ready" in envoy.status().trouble
            monkeypatch.setattr("marchproxy.engines.envoy.handover._READY_SECONDS", 10.0)
            await until(lambda: envoy.status().epoch == 1, 60)  # its like, with an open admin API
            assert await envoy.admin.ready()
            assert "hot restart failed" in envoy.status().trouble
            await tally.more(20)
            assert tally.bad() == []
            await envoy.release()
    async with rig.make() as last:
        await last.wait_ready(20)
        assert last.status().adopted


async def test_a_supervisor_killed_while_a_successor_starts(rig, monkeypatch):
    async with rig.make() as first:
        await first.wait_ready(20)
        await first.release()
    with_successor = rig.make(start_from=waiting_for_ever(rig))
    await with_successor.start()
    launcher = with_successor._launcher
    record = launcher.directory.read_record()
    left = launcher.spawn_next(record, 60)
    await until(
        lambda: rig.run_dir.joinpath("hot_parent_" + arguments(left.record.pid)["--base-id"] + "1").exists()
    )
    await with_successor.release()
    left.handle.close()
    async with load(rig.port, pause=0.01) as tally:
        await tally.more(20)
        async with rig.make(handover_seconds=2) as envoy:
            await until(lambda: rig.pids() == [envoy.status().pid] and envoy.status().trouble == "", 30)
            assert await envoy.admin.ready()
            await tally.more(50)
            assert tally.bad() == []
            await envoy.release()
    async with rig.make():
        pass


async def test_a_supervisor_killed_just_after_a_successor_took_over(rig, monkeypatch):
    monkeypatch.setattr("marchproxy.engines.envoy.handover.promote", lambda *_: None)
    async with load(rig.port, pause=0.01) as tally:
        async with rig.make() as first:
            await first.wait_ready(20)
            old = first.status().pid
            tally.clear()
            await first.hand_over()
            successor = first.status().pid
            await first.release()
        monkeypatch.undo()
        async with rig.make(handover_seconds=2) as envoy:
            assert (envoy.status().pid, envoy.status().retired_pid) == (successor, old)
            assert envoy.status().epoch == 1
            await tally.more(50)
            await rig.only(successor)
            assert tally.bad() == []
            await envoy.release()
    async with rig.make():
        pass


async def test_a_successor_that_dies_is_started_again_beside_the_one_that_finishes(echoing):
    async with (
        echoing.make() as envoy,
        websockets.connect(f"ws://127.0.0.1:{echoing.port}/ws") as socket,
    ):
        await envoy.hand_over()
        os.kill(envoy.status().pid, signal.SIGKILL)
        await until(lambda: envoy.status().restarts == 1 and envoy.status().state is EnvoyState.RUNNING)
        await envoy.wait_ready(20)
        assert (await ask(echoing.port, 5)).bad() == []
        await socket.send("still")
        assert await socket.recv() == "still"
        assert len(echoing.pids()) == 2


async def test_a_keeper_that_is_killed_takes_its_envoy_along_and_both_come_back(rig):
    async with rig.make() as envoy:
        await envoy.wait_ready(20)
        parent = psutil.Process(envoy.status().pid).parent()
        assert parent is not None
        parent.kill()
        await until(lambda: envoy.status().restarts == 1 and envoy.status().state is EnvoyState.RUNNING)
        await envoy.wait_ready(20)
        assert (await ask(rig.port, 5)).bad() == []


async def test_a_crash_loop_is_told_with_the_last_words_and_ends(rig, tmp_path):
    binary = copy_binary(tmp_path / "bin")
    async with rig.make(binary=binary) as envoy:
        await envoy.wait_ready(20)
        script(binary, "echo 'cannot open the pod bay doors'; exit 7")
        os.kill(envoy.status().pid, signal.SIGKILL)
        await until(lambda: envoy.status().crash_loop)
        trouble = envoy.status().trouble
        assert "crash loop" in trouble
        assert "last by exit code 7: cannot open the pod bay doors" in trouble
        copy_binary(tmp_path / "bin")
        await until(lambda: envoy.status().state is EnvoyState.RUNNING, 30)
        await envoy.wait_ready(20)
