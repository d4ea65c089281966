"""The life of an ALB process and its Envoy: killed, stopped, adopted, drained, refused to start."""

import asyncio
import signal
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from marchproxy.contract.document import checksum
from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.real.support.alb import Alb, route
from tests.real.support.backends import Backend, serving
from tests.real.support.load import Tally, ask, load
from tests.unit.modules.base.nlb_double import NlbDouble
from tests.unit.modules.base.nlb_double import serving as serving_nlb

Make = Callable[..., Alb]


@pytest.fixture
async def backends() -> AsyncIterator[list[Backend]]:
    async with serving("blue", "green") as backends:
        yield backends


@pytest.fixture
async def make(tmp_path: Path, backends: list[Backend]) -> AsyncIterator[Make]:
    """Makes the ALB of a test, not started yet, with a route that gives blue everything and green nothing."""
    made: list[Alb] = []

    def make(**settings: Any) -> Alb:
        made.append(Alb(tmp_path, state(backends), **settings))
        return made[-1]

    yield make
    for alb in made:
        await alb.close()


def state(backends: list[Backend], **more: Any) -> dict[str, Any]:
    return {
        "routes": [{"id": "web", "hosts": ["web.test"], "backends": [{"pool": "blue"}, {"pool": "green", "weight": 0}]}],
        "pools": [
            {"name": "blue", "version": "v1", "endpoints": [backends[0].address]},
            {"name": "green", "version": "v2", "endpoints": [backends[1].address]},
        ],
        **more,
    }  # fmt: skip


@pytest.fixture
async def alb(make: Make) -> Alb:
    return await make().start()


async def answers_within(alb: Alb, seconds: float) -> float:
    """Ask until it answers 200; how long that took."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while True:
            try:
                async with asyncio.timeout(1):
                    tally = await ask(alb.port, 1)
                if tally.bad() == []:
                    return time.monotonic() - started
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                pass
            await asyncio.sleep(0.01)


async def until(true: Callable[[], bool], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.02)


async def shift(alb: Alb, percent: int) -> pb.SetTrafficWeightResponse:
    return await alb.stub.SetTrafficWeight(
        pb.SetTrafficWeightRequest(version="v2", weight=percent, route_id="web")
    )


# --- what dies


async def test_a_killed_envoy_is_back_in_two_seconds(alb: Alb) -> None:
    await alb.put(route("added", green=100))
    (pid,) = alb.envoys()
    psutil.Process(pid).kill()
    assert await answers_within(alb, 5) < 2
    assert alb.envoys() != [pid]
    assert (await ask(alb.port, 1, host="added.test")).answers == {(200, "green"): 1}
    assert (await shift(alb, 100)).success
    assert (await ask(alb.port, 1)).answers == {(200, "green"): 1}


async def test_a_killed_alb_fails_no_request_and_its_state_is_taken_up(alb: Alb) -> None:
    assert (await shift(alb, 100)).success
    await alb.put(route("added", green=100))
    kept = alb.directory / "s/alb-1/state.json"  # written behind the changes
    await until(lambda: kept.exists() and "added.test" in kept.read_text())
    envoys = alb.envoys()
    async with load(alb.port, pause=0.001) as tally:
        await tally.more(100)
        await alb.kill()
        await tally.more(200)
        await alb.start()
        await tally.more(200)
        status = await alb.stub.GetStatus(pb.GetStatusRequest())
        assert status.details["config_modified"] == "true"
        assert alb.envoys() == envoys
        assert (await shift(alb, 0)).success
        await tally.more(100)
    assert tally.bad() == []
    assert tally.answers[200, "blue"] >= 90
    assert (await ask(alb.port, 1, host="added.test")).answers == {(200, "green"): 1}
    assert (await ask(alb.port, 1)).answers == {(200, "blue"): 1}


async def test_an_adopted_envoy_whose_snapshot_is_lost_goes_on(alb: Alb) -> None:
    await alb.kill()
    (alb.directory / "s/alb-1/snapshot.bin").unlink()
    envoys = alb.envoys()
    async with load(alb.port, pause=0.001) as tally:
        await alb.start()
        assert (await shift(alb, 100)).success
        await tally.more(50)
    assert tally.bad() == []
    assert alb.envoys() == envoys


async def test_a_stopped_envoy_takes_a_change_back(alb: Alb) -> None:
    (pid,) = alb.envoys()
    psutil.Process(pid).suspend()
    try:
        started = time.monotonic()
        answer = await shift(alb, 100)
        assert time.monotonic() - started < 8
        assert (answer.success, answer.error.code) == (False, types_pb2.STATUS_CODE_UNAVAILABLE)
        assert "Envoy did not acknowledge the change, which is taken back" in answer.message
        active = await alb.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id="web"))
        assert active.active_version == "v1"
        status = await alb.stub.GetStatus(pb.GetStatusRequest(), timeout=1)  # asks nobody
        assert status.instance.instance_id == "alb-1"
    finally:
        psutil.Process(pid).resume()
    # the change may have been on its way already; then it comes and goes
    async with asyncio.timeout(20):
        while (await ask(alb.port, 20)).answers != {(200, "blue"): 20}:
            await asyncio.sleep(0.02)
    assert (await shift(alb, 100)).success
    assert (await ask(alb.port, 20)).answers == {(200, "green"): 20}


# --- how it ends


async def test_a_graceful_shutdown_lets_a_response_end(alb: Alb) -> None:
    async with asyncio.TaskGroup() as group:
        long = group.create_task(ask(alb.port, 1, path="/slow/1.2"))
        await asyncio.sleep(0.2)
        answer = await alb.stub.Shutdown(pb.ShutdownRequest(graceful=True, timeout_seconds=10))
        assert answer.success
    assert long.result().answers == {(200, "blue"): 1}
    assert alb.process is not None
    assert await alb.process.ended(20) == 0
    assert alb.envoys() == []


async def test_a_shutdown_that_is_not_graceful_waits_for_nobody(alb: Alb) -> None:
    async def slow() -> Tally | None:
        try:
            return await ask(alb.port, 1, path="/slow/20")
        except (OSError, asyncio.IncompleteReadError):
            return None

    async with asyncio.TaskGroup() as group:
        long = group.create_task(slow())
        await asyncio.sleep(0.2)
        started = time.monotonic()
        assert (await alb.stub.Shutdown(pb.ShutdownRequest())).success
        assert alb.process is not None
        assert await alb.process.ended(20) == 0
        assert time.monotonic() - started < 8
    assert long.result() is None
    assert alb.envoys() == []


async def test_sigterm_and_the_nlb(make: Make) -> None:
    async with serving_nlb(NlbDouble()) as nlb:
        alb = await make(nlbs=[nlb.address], heartbeat_interval=0.2).start()
        registered = await nlb.until("RegisterModule")
        assert registered.instance.instance_id == "alb-1"
        assert [item.route_id for item in registered.initial_routes] == ["web"]
        beat = await nlb.until("Heartbeat", 2)
        assert beat.status == types_pb2.HEALTH_STATUS_HEALTHY
        await alb.put(route("added", green=100))
        update = await nlb.until("UpdateRouting")
        assert [item.route_id for item in update.routes] == ["added"]  # only what has changed
        assert alb.process is not None
        alb.process.send(signal.SIGTERM)
        assert await alb.process.ended(20) == 0
        assert nlb.names()[-1] == "UnregisterModule"
    assert alb.envoys() == []


# --- what it is told


async def test_update_config_and_sighup(alb: Alb, backends: list[Backend]) -> None:
    document = (
        b"routes: [{id: other, hosts: [other.test], backends: [g]}]\npools: [{name: g, endpoints: ['%s']}]"
    )
    data = document % backends[1].address.encode()
    config = types_pb2.ConfigUpdate(config_data=data, checksum=checksum(data))
    assert (await alb.stub.UpdateConfig(pb.UpdateConfigRequest(config=config))).success
    assert (await ask(alb.port, 1, host="other.test")).answers == {(200, "green"): 1}
    assert (await ask(alb.port, 1)).answers == {(404, ""): 1}
    assert alb.process is not None

    async def says(host: str, status: int) -> None:
        async with asyncio.timeout(20):
            while [key[0] for key in (await ask(alb.port, 1, host=host)).answers] != [status]:
                await asyncio.sleep(0.02)

    alb.process.send(signal.SIGHUP)
    await says("web.test", 200)
    await says("other.test", 404)
    alb.write({"routes": [{"id": "broken", "backends": ["nowhere"]}]})
    alb.process.send(signal.SIGHUP)
    await until(lambda: "reload refused" in alb.log.read_text())
    await says("web.test", 200)
    answer = await alb.stub.Reload(pb.ReloadRequest())
    assert not answer.success
    assert "nowhere" in answer.message


async def test_scale(alb: Alb) -> None:
    def replicas() -> list[int]:
        assert alb.process is not None
        found = []
        for child in psutil.Process(alb.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it is ending; so is a zombie
                if "--replica" in child.cmdline():
                    found.append(child.pid)
        return found

    config = types_pb2.ScalingConfig(min_instances=2, max_instances=3)
    answer = await alb.stub.Scale(pb.ScaleRequest(config=config, immediate=True))
    assert (answer.success, answer.current_instances, answer.desired_instances) == (True, 2, 2)
    await until(lambda: len(alb.envoys()) == 2, within=15)
    assert len(replicas()) == 1
    config = types_pb2.ScalingConfig(min_instances=1, max_instances=1)
    answer = await alb.stub.Scale(pb.ScaleRequest(config=config, immediate=True), timeout=30)
    assert (answer.success, answer.current_instances) == (True, 1)
    await until(lambda: replicas() == [], within=15)  # the answer does not wait for drains
    await until(lambda: len(alb.envoys()) == 1)


# --- the listener behind an NLB


def header(client: str) -> bytes:
    """PROXY protocol v2, TCP over IPv4 (haproxy.org/download/3.2/doc/proxy-protocol.txt, section 2.2)."""
    addresses = socket.inet_aton(client) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 4000, 80)
    return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11, len(addresses)) + addresses


GET = b"GET /echo HTTP/1.1\r\nhost: web.test\r\nconnection: close\r\n\r\n"


async def say(port: int, data: bytes, source: str) -> bytes:
    """What comes back until the other side closes; empty when it resets or says nothing."""
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            writer.write(data)
            answer = await reader.read()
            writer.close()
            return answer
    except ConnectionError:
        return b""


async def test_proxied_listener(make: Make) -> None:
    nlb, foreign = "127.0.0.2", "127.0.0.3"
    alb = await make(proxied=True, proxy_sources=[f"{nlb}/32"]).start()
    status = await alb.stub.GetStatus(pb.GetStatusRequest())
    assert [item.proxy_protocol for item in status.instance.traffic_endpoints] == [False, True]
    answer = await say(alb.proxied, header("203.0.113.9") + GET, nlb)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b'"x-forwarded-for": "203.0.113.9"' in answer
    refused: dict[str, Awaitable[bytes]] = {
        "no header": say(alb.proxied, GET, nlb),
        "v1": say(alb.proxied, b"PROXY TCP4 203.0.113.9 127.0.0.1 4000 80\r\n" + GET, nlb),
        "foreign": say(alb.proxied, header("203.0.113.9") + GET, foreign),
        "foreign that claims to be an NLB": say(alb.proxied, header(nlb) + GET, foreign),
        "foreign without a header": say(alb.proxied, GET, foreign),
        "half a header": say(alb.proxied, header("203.0.113.9")[:14], nlb),
    }
    for what, words in refused.items():
        assert await words == b"", what
    forged = GET.replace(b"connection", b"x-forwarded-for: 198.51.100.1\r\nconnection")
    answer = await say(alb.proxied, header("203.0.113.9") + forged, nlb)
    assert b"203.0.113.9" in answer.partition(b"x-forwarded-for")[2]


# --- what keeps it from starting


async def refuses(alb: Alb) -> str:
    """Start it; it must end by itself, not with 0, and leave nothing. Returns what it said."""
    process = await alb.launch()
    assert await process.ended(15) == 1
    said = alb.log.read_text()
    assert "Traceback" not in said, said
    assert alb.envoys() == []
    return said


@pytest.mark.parametrize("setting", ["grpc", "health", "metrics", "traffic"])
async def test_a_port_in_use(make: Make, setting: str) -> None:
    alb = make()
    host, port = str(alb.settings[setting]).split(":")
    with socket.create_server((host, int(port)), reuse_port=setting == "traffic"):
        said = await refuses(alb)
    assert f"{setting}: cannot listen on 127.0.0.1:{port}: already in use" in said


async def test_a_missing_envoy(make: Make) -> None:
    said = await refuses(make(envoy={"binary": "/nowhere/envoy"}))
    assert "/nowhere/envoy" in said


async def test_a_state_folder_that_cannot_be_made(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = await refuses(make(state_dir=str(tmp_path / "file")))
    assert f"state_dir: {tmp_path}/file/alb-1 cannot be used" in said


async def test_a_kept_state_of_garbage_is_passed_over(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "s/alb-1"
    folder.mkdir(parents=True)
    for name in ("state.json", "snapshot.bin"):
        (folder / name).write_bytes(b"\x00garbage")
    alb = await make().start()
    assert (await ask(alb.port, 1)).answers == {(200, "blue"): 1}
    assert "the kept state cannot be used" in alb.log.read_text()


async def test_a_file_with_faults(make: Make, backends: list[Backend]) -> None:
    alb = make()
    alb.write(state(backends, rate_limits=[{"id": "l", "target": "nowhere", "requests_per_second": -1}]))
    said = await refuses(alb)
    assert "rate_limits[0].target" in said
    assert "rate_limits[0].requests_per_second" in said
