"""EnvoyProcess with the real Envoy: every Envoy here serves one static listener, so readiness needs no xDS."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h2.connection
import httpx
import psutil
import pytest
import uvloop

from marchproxy.engines.envoy.admin import AdminUnreachable, ServerState
from marchproxy.engines.envoy.binary import EnvoyMissing
from marchproxy.engines.envoy.bootstrap import BootstrapSpec, render
from marchproxy.engines.envoy.handle import find_by_option, read_start_ticks
from marchproxy.engines.envoy.process import (
    EnvoyProcess,
    EnvoySettings,
    EnvoyStartError,
    EnvoyState,
    HandOverFailed,
    LastExit,
)
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings.types import HostPort
from tests.ports import free_port

ANY_PORT = HostPort("127.0.0.1", 0)
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def static_bootstrap(*, port: int, admin: HostPort, answer: str = "hello") -> bytes:
    """One listener on `port` that answers by itself."""
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": answer}}}
    connection_manager = {
        "@type": HCM,
        "stat_prefix": "test",
        "route_config": {
            "name": "r",
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
    }
    listener = {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": connection_manager}]}],
    }
    document: dict[str, Any] = {
        "admin": {"address": {"socket_address": {"address": admin.host, "port_value": admin.port}}},
        "static_resources": {"listeners": [listener]},
        "stats_flush_interval": "0.1s",
    }
    return json.dumps(document).encode()


class Envoys:
    """Makes supervisors of one run directory, and knows what is left running of it."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.port = free_port()

    def make(
        self,
        *,
        admin: HostPort = ANY_PORT,
        answer: str = "hello",
        bootstrap: bytes | None = None,
        **settings: Any,
    ) -> EnvoyProcess:
        chosen = EnvoySettings(
            **(
                {"node_id": "n", "cluster": "c", "admin": admin, "run_dir": self.run_dir, "drain_seconds": 1}
                | settings
            )
        )
        given = bootstrap or static_bootstrap(port=self.port, admin=admin, answer=answer)
        return EnvoyProcess(chosen, bootstrap=given, clock=SystemClock())

    async def get(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.port}/", timeout=2)).text

    async def get_within(self, seconds: float) -> float:
        """Ask until it answers; return after how many seconds it did."""
        started = time.monotonic()
        async with asyncio.timeout(seconds):
            while True:
                try:
                    await self.get()
                except httpx.HTTPError:
                    await asyncio.sleep(0.01)
                else:
                    return time.monotonic() - started

    async def refused_within(self, seconds: float) -> None:
        """Ask until nobody answers."""
        async with asyncio.timeout(seconds):
            with suppress(httpx.HTTPError):
                while True:
                    await self.get()
                    await asyncio.sleep(0.01)

    def pids(self) -> list[int]:
        """Return the Envoys of this directory that exist, zombies included."""
        found = find_by_option("--admin-address-path", str(self.run_dir / "envoy.admin"))
        zombies = [
            child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE
        ]
        return found + zombies

    def files(self) -> set[str]:
        return {path.name for path in self.run_dir.iterdir()}


@pytest.fixture
async def envoys(tmp_path: Path) -> AsyncIterator[Envoys]:
    found = Envoys(tmp_path / "run")
    yield found
    left = found.pids()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


async def until_state(envoy: EnvoyProcess, state: EnvoyState, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while envoy.status().state is not state:
            await asyncio.sleep(0.01)


async def test_start_ready_use_stop(envoys):
    async with envoys.make() as envoy:
        await envoy.wait_admin(5)
        await envoy.wait_ready(20)
        status = envoy.status()
        assert (status.state, status.restarts, status.adopted, status.last_exit) == (
            EnvoyState.RUNNING,
            0,
            False,
            None,
        )
        assert await envoys.get() == "hello"
        info = await envoy.admin.server_info()
        assert (info.node_id, info.cluster, info.drain_seconds) == ("n", "c", 1.0)
        assert (await envoy.admin.stats(r"^http\.test\.")).counter("http.test.downstream_rq_2xx") == 1
        assert (await envoy.admin.listeners())[0].addresses == (HostPort("127.0.0.1", envoys.port),)
        assert await envoy.admin.warming() == 0
        assert (await envoy.admin.memory()).allocated > 1_000_000
        assert b"envoy_server_live" in await envoy.admin.prometheus()
        assert envoy.usage().memory_bytes > 10e6
        assert os.getsid(status.pid) not in {status.pid, os.getsid(0)}
    assert envoy.status().state is EnvoyState.STOPPED
    assert envoy.status().last_exit == LastExit(code=0)
    assert envoy.usage().memory_bytes == 0
    assert envoys.files() == {"envoy.json", "envoy.lock", "envoy.log"}
    await envoy.stop()
    with pytest.raises(AdminUnreachable):
        await envoy.admin.ready()


async def test_quantiles_appear_after_a_flush(envoys):
    async with envoys.make() as envoy:
        await envoy.wait_ready(20)
        for _ in range(20):
            await envoys.get()
        async with asyncio.timeout(20):
            while True:
                times = (await envoy.admin.stats("rq_time$", detailed=True)).histogram(
                    "http.test.downstream_rq_time"
                )
                if times is not None and times.samples == 20:
                    break
                await asyncio.sleep(0.05)
    assert times.p50 <= times.p99 <= times.maximum
    assert times.mean is not None


async def test_our_bootstrap_is_not_ready_before_its_first_xds_answers(envoys, tmp_path):
    spec = BootstrapSpec(node_id="n", cluster="c", admin=ANY_PORT, ads_socket=tmp_path / "ads.sock")
    async with envoys.make(bootstrap=render(spec)) as envoy:
        assert (await envoy.admin.server_info()).state in (
            ServerState.PRE_INITIALIZING,
            ServerState.INITIALIZING,
        )
        with pytest.raises(EnvoyStartError, match=r"0\.3 s passed without becoming ready"):
            await envoy.wait_ready(0.3)
        assert envoy.status().state is EnvoyState.RUNNING
    log = (envoys.run_dir / "envoy.log").read_text()
    assert "downstream connections" not in log
    assert "deprecated" not in log


async def test_run_ends_with_the_event(envoys):
    stop, envoy = asyncio.Event(), envoys.make()
    async with asyncio.TaskGroup() as group:
        await envoy.start()
        task = group.create_task(envoy.run(stop))
        await envoy.wait_ready(20)
        stop.set()
        await asyncio.wait_for(task, 5)
    assert envoy.status().state is EnvoyState.STOPPED


async def test_an_error_of_the_block_comes_out_as_it_is(envoys):
    async def fail() -> None:
        async with envoys.make() as envoy:
            await envoy.wait_ready(20)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_cancelled_while_running(envoys):
    async def serve(envoy: EnvoyProcess) -> None:
        async with envoy:
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        envoy = envoys.make()
        task = group.create_task(serve(envoy))
        await until_state(envoy, EnvoyState.RUNNING)
        task.cancel()
    assert task.cancelled()
    assert envoy.status().state is EnvoyState.STOPPED


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.02, 0.05])
async def test_cancelled_while_starting(envoys, delay):
    envoy = envoys.make()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(envoy.start())
        await asyncio.sleep(delay)
        task.cancel()
    await envoy.stop()
    assert envoys.pids() == []


async def test_killed_is_back_in_two_seconds_with_its_history(envoys):
    async with envoys.make() as envoy:
        await envoy.wait_ready(20)
        first = envoy.status().pid
        for restarts in (1, 2):
            os.kill(envoy.status().pid, signal.SIGKILL)
            async with asyncio.timeout(20):
                while envoy.status().restarts < restarts:
                    await asyncio.sleep(0.005)
            assert await envoys.get_within(2) < 2
        await envoy.wait_ready(20)
        await until_state(envoy, EnvoyState.RUNNING)
        status = envoy.status()
        assert (status.state, status.restarts, status.last_exit) == (
            EnvoyState.RUNNING,
            2,
            LastExit(signal=9),
        )
        assert status.pid != first
        assert await envoy.admin.ready()  # the port of its admin API has changed


async def test_uvloop_watches_as_well(tmp_path):
    envoys = Envoys(tmp_path / "run")

    async def kill_once() -> float:
        async with envoys.make() as envoy:
            await envoy.wait_ready(20)
            os.kill(envoy.status().pid, signal.SIGKILL)
            await until_state(envoy, EnvoyState.STARTING)
            return await envoys.get_within(2)

    assert await asyncio.to_thread(uvloop.run, kill_once()) < 2
    assert envoys.pids() == []


async def test_a_released_envoy_is_adopted_and_watched(envoys):
    first = envoys.make()
    async with first:
        await first.wait_ready(20)
        pid = first.status().pid
        await first.release()
    assert await envoys.get() == "hello"
    async with envoys.make() as second:
        assert (second.status().pid, second.status().adopted) == (pid, True)
        assert second.status().state is EnvoyState.RUNNING
        assert await second.admin.ready()
        os.kill(pid, signal.SIGKILL)
        await until_state(second, EnvoyState.STARTING)
        assert await envoys.get_within(2) < 2
        assert not second.status().adopted


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from marchproxy.engines.envoy.process import EnvoyProcess, EnvoySettings
from marchproxy.kit import logs
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings.types import HostPort

async def main(run_dir, bootstrap):
    settings = EnvoySettings(node_id="n", cluster="c", admin=HostPort("127.0.0.1", 0), run_dir=run_dir, drain_seconds=1)
    async with EnvoyProcess(settings, bootstrap=bootstrap.read_bytes(), clock=SystemClock()) as envoy:
        await envoy.wait_ready(20)
        print(envoy.status().pid, flush=True)
        await asyncio.Event().wait()

logs.configure(level="warning")
asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


async def test_a_killed_supervisor_leaves_an_envoy_that_is_adopted(envoys, tmp_path):
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_bytes(static_bootstrap(port=envoys.port, admin=HostPort("127.0.0.1", 0)))
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, str(envoys.run_dir), str(bootstrap), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert supervisor.stdout is not None
        pid = int(await asyncio.wait_for(supervisor.stdout.readline(), 15))
        with pytest.raises(EnvoyStartError, match=f"process {supervisor.pid} already supervises"):
            await envoys.make().start()
    finally:
        supervisor.kill()
        await supervisor.wait()
    assert await envoys.get() == "hello"
    async with envoys.make() as envoy:
        status = envoy.status()
        assert (status.pid, status.adopted) == (pid, True)
        await envoy.wait_ready(20)
    assert read_start_ticks(pid) is None  # gone, or a zombie that init has not collected yet
    assert envoy.status().last_exit is not None


@pytest.mark.parametrize("damage", ["lost", "garbage", "of another process"])
async def test_an_envoy_without_its_pid_file_is_replaced(envoys, damage):
    first = envoys.make()
    async with first:
        await first.wait_ready(20)
        await first.release()
    pid_file = envoys.run_dir / "envoy.pid"
    record = json.loads(pid_file.read_text())
    match damage:
        case "lost":
            pid_file.unlink()
        case "garbage":
            pid_file.write_text("{]")
        case _:
            pid_file.write_text(json.dumps(record | {"pid": os.getpid()}))
    async with envoys.make() as second:
        await second.wait_ready(20)
        assert envoys.pids() == [second.status().pid] != [record["pid"]]
        assert not second.status().adopted


async def test_another_bootstrap_replaces_an_envoy_without_hot_restart(envoys, monkeypatch):
    monkeypatch.setattr("marchproxy.engines.envoy.shared_memory.reserve", lambda _: None)
    first = envoys.make()
    async with first:
        await first.wait_ready(20)
        await first.release()
    async with envoys.make(answer="changed") as second:
        await second.wait_ready(20)
        assert await envoys.get() == "changed"
        assert (second.status().adopted, envoys.pids()) == (False, [second.status().pid])
        with pytest.raises(HandOverFailed, match="without hot restart"):
            await second.hand_over()


@pytest.mark.parametrize("state", ["draining", "stopped by a signal"])
async def test_an_envoy_that_cannot_serve_is_not_adopted(envoys, state):
    first = envoys.make()
    async with first:
        await first.wait_ready(20)
        if state == "draining":
            await first.admin.fail_healthcheck()
        else:
            os.kill(first.status().pid, signal.SIGSTOP)
        await first.release()
    async with envoys.make() as second:
        await second.wait_ready(20)
        assert (second.status().adopted, envoys.pids()) == (False, [second.status().pid])


async def test_a_taken_admin_port_is_named_with_its_setting(envoys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        admin = HostPort("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(
            EnvoyStartError, match=rf"admin address {admin} is in use; change the setting `envoy\.admin`"
        ):
            await envoys.make(admin=admin).start()
    assert envoys.files() == {"envoy.json", "envoy.lock", "envoy.log"}


async def test_a_broken_bootstrap_is_explained_in_envoys_words(envoys):
    envoy = envoys.make(bootstrap=b'{"admin": {"adress": 1}}')
    with pytest.raises(EnvoyStartError, match=r"(?s)ended \(exit code 1\) before .*'adress'"):
        async with envoy:
            pytest.fail("it must not start")
    assert envoy.status().state is EnvoyState.STOPPED


async def test_no_binary(envoys, tmp_path):
    with pytest.raises(EnvoyMissing, match="does not exist"):
        await envoys.make(binary=tmp_path / "nowhere").start()


async def test_a_binary_that_is_no_program(envoys, tmp_path):
    (tmp_path / "text").write_text("not a program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(EnvoyStartError, match="Exec format error"):
        await envoys.make(binary=tmp_path / "text").start()


async def test_a_program_that_never_answers_fails_to_start(envoys, tmp_path, monkeypatch):
    monkeypatch.setattr("marchproxy.engines.envoy.life._LAUNCH_SECONDS", 0.2)
    script = tmp_path / "mute"
    script.write_text("#!/bin/sh\necho thinking\nexec sleep 60\n")
    script.chmod(0o755)
    with pytest.raises(EnvoyStartError, match=r"(?s)0\.2 s passed without .*thinking"):
        await envoys.make(binary=script).start()


async def test_a_hung_envoy_is_stopped_within_the_deadline(envoys):
    async with envoys.make() as envoy:
        await envoy.wait_ready(20)
        os.kill(envoy.status().pid, signal.SIGSTOP)
        started = time.monotonic()
        await envoy.stop(0.3)
        assert time.monotonic() - started < 20  # not the minutes that it would hang
    assert envoy.status().last_exit == LastExit(signal=9)


async def test_a_cancelled_stop_leaves_nothing(envoys):
    async with envoys.make() as envoy:
        await envoy.wait_ready(20)
        os.kill(envoy.status().pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await envoy.stop(60)
        assert envoys.pids() == []
        assert envoy.status().state is EnvoyState.STOPPED


async def test_drain_waits_for_the_last_connection(envoys):
    async with envoys.make() as envoy:
        await envoy.wait_ready(20)
        reader, writer = await asyncio.open_connection("127.0.0.1", envoys.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.readuntil(b"hello")
        assert await envoy.drain(0.3) == 1  # idle, and not ours to cut
        assert envoy.status().state is EnvoyState.DRAINING
        assert not await envoy.admin.ready()
        writer.close()
        await writer.wait_closed()
        assert await envoy.drain(5) == 0
        await envoys.refused_within(5)  # the listeners close once drain_seconds are over


async def test_an_envoy_that_dies_while_draining_stays_down(envoys):
    async with envoys.make() as envoy:
        await envoy.wait_ready(20)
        _reader, writer = await asyncio.open_connection("127.0.0.1", envoys.port)
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(envoy.drain(10))
            await until_state(envoy, EnvoyState.DRAINING)
            await asyncio.sleep(0.2)
            os.kill(envoy.status().pid, signal.SIGKILL)
        assert drained.result() == 0
        writer.close()
        await until_state(envoy, EnvoyState.STOPPED)
        assert envoys.pids() == []


async def test_envoy_inherits_no_socket_of_ours(envoys):
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server, envoys.make() as envoy:
        await envoy.wait_ready(20)
        port = server.sockets[0].getsockname()[1]
        listening = {
            at.laddr.port
            for at in psutil.Process(envoy.status().pid).net_connections()
            if at.status == "LISTEN"
        }
        assert envoys.port in listening
        assert port not in listening


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(9)
    return head + await reader.readexactly(int.from_bytes(head[:3]))


async def test_a_drain_tells_clients_of_http2_to_go_and_loses_none_of_their_requests(envoys):
    async with envoys.make() as envoy:
        await envoy.wait_ready(20)
        reader, writer = await asyncio.open_connection("127.0.0.1", envoys.port)
        client = h2.connection.H2Connection()
        client.initiate_connection()
        client.increment_flow_control_window(2**30)
        headers = {":method": "GET", ":scheme": "http", ":authority": "a", ":path": "/"}
        asked = answered = 0
        goodbye = b""
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            drained = group.create_task(envoy.drain(15))
            while not goodbye or answered < asked:
                if not goodbye and asked == answered:
                    client.send_headers(client.get_next_available_stream_id(), [*headers.items()], True)
                    asked += 1
                writer.write(client.data_to_send())
                frame = await read_frame(reader)
                match frame[3]:
                    case 0 | 1:  # DATA, HEADERS
                        answered += frame[4] & 1  # END_STREAM
                    case 7:  # GOAWAY, of which the library makes an end at once
                        goodbye = frame
                if not goodbye:
                    client.receive_data(frame)
            writer.close()
        assert drained.result() == 0
        assert goodbye[13:17] == bytes(4)  # NO_ERROR
        assert answered == asked > 0
