"""Hot restart of an ALB's Envoy: asked for by Reload, by another binary, by other settings; over TCP and QUIC."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import websockets

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.engines.envoy.handle import find_by_option
from tests.authority import Authority, Issued
from tests.real.hot_rig import arguments, copy_binary, script, until
from tests.real.support.alb import Alb, pool, route
from tests.real.support.backends import Backend, serving
from tests.real.support.echo import websocket_echo
from tests.real.support.http3 import http3
from tests.real.support.https import SecureAlb
from tests.real.support.load import ask, load

HOST = "web.test"


@pytest.fixture
async def backends() -> AsyncIterator[list[Backend]]:
    async with serving("a", "b") as found:
        yield found


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Authority, Issued]:
    authority = Authority(tmp_path)
    return authority, authority.issue("default", [HOST])


def state(backends: list[Backend], **pools: int) -> dict[str, object]:
    addresses = {"a": backends[0].address, "b": backends[1].address}
    addresses |= {name: f"127.0.0.1:{port}" for name, port in pools.items()}
    return {
        "routes": [
            {"id": "web", "hosts": [HOST], "backends": ["a"]},
            *({"id": name, "hosts": [f"{name}.test"], "backends": [name]} for name in pools),
        ],
        "pools": [{"name": name, "endpoints": [address]} for name, address in addresses.items()],
    }


def envoys(alb: Alb) -> list[int]:
    """Its Envoys, without those that only look at a configuration."""
    return find_by_option("--admin-address-path", str(alb.directory / "s/alb-1/envoy/envoy.admin"))


async def metric(alb: Alb, name: str) -> float:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{alb.metrics}/metrics")).text
    found = [line for line in text.splitlines() if line.startswith(f"marchproxy_envoy_{name} ")]
    assert len(found) == 1, (name, found)
    return float(found[0].split()[1])


async def reload(alb: Alb, finish_seconds: int = 0) -> pb.ReloadResponse:
    request = pb.ReloadRequest(graceful=True, timeout_seconds=finish_seconds)
    return await alb.stub.Reload(request, timeout=60)


async def test_reload_replaces_envoy_under_load_and_changes_arrive_meanwhile(tmp_path, backends):
    async with websocket_echo() as port:
        alb = Alb(tmp_path, state(backends, chat=port))
        try:
            await alb.start()
            (old,) = envoys(alb)
            url = f"ws://chat.test:{alb.port}/"
            async with (
                load(alb.port, pause=0.001) as kept,
                load(alb.port, connections=1, keep_alive=False, pause=0.001) as fresh,
                websockets.connect(url, host="127.0.0.1") as socket,
            ):
                await kept.more(50)
                answer = await reload(alb)
                assert answer.success, answer
                assert "without a cut" in answer.message
                assert len(envoys(alb)) == 2
                # what is published now is what the new one serves; the old one is fed as well
                for number in range(20):
                    await alb.put(route(f"added-{number}", b=100))
                    said = await ask(alb.port, 1, host=f"added-{number}.test")
                    assert said.answers == {(200, "b"): 1}
                again = await reload(alb)
                assert not again.success
                assert "the Envoy before this one finishes" in again.message
                await socket.send("x")
                assert await socket.recv() == "x"
                assert await metric(alb, "processes") == 2
                await kept.more(100)
                await fresh.more(50)
            await until(lambda: len(envoys(alb)) == 1, 30)
            assert envoys(alb) != [old]
            assert (kept.bad(), fresh.bad()) == ([], [])
            assert await metric(alb, "hot_restarts_total") == 1
            assert await metric(alb, "epoch") == 1
            assert await metric(alb, "restarts_total") == 0
            assert await metric(alb, "resident_memory_bytes") > 1e7
        finally:
            await alb.close()


async def test_quic_goes_on_through_a_hot_restart(tmp_path, backends, certificate):
    authority, issued = certificate
    alb = SecureAlb(tmp_path, state(backends), http3=True, https={"certificates": [issued.settings]})
    alb.settings["envoy"]["concurrency"] = 2
    alb.write(state(backends))
    try:
        await alb.start()
        async with http3(alb.tls, HOST, authority.certificate) as open_before:
            assert (await open_before.ask("/", host=HOST)).status == 200
            answer = await reload(alb, 4)
            assert answer.success, answer
            while len(envoys(alb)) == 2:
                try:
                    assert (await open_before.ask("/", host=HOST)).status == 200
                except ConnectionError:
                    break  # its process has ended after its time
                async with http3(alb.tls, HOST, authority.certificate) as fresh:
                    assert (await fresh.ask("/", host=HOST)).status == 200
                await asyncio.sleep(0.2)
        await until(lambda: len(envoys(alb)) == 1, 30)
        for _ in range(5):  # the new one reads the socket itself now
            async with http3(alb.tls, HOST, authority.certificate) as fresh:
                assert (await fresh.ask("/", host=HOST)).status == 200
    finally:
        await alb.close()


async def test_a_bad_binary_is_told_in_health_and_metrics(tmp_path, backends):
    alb = Alb(tmp_path, state(backends))
    binary = copy_binary(tmp_path / "bin")
    alb.settings["envoy"]["binary"] = str(binary)
    alb.write(state(backends))
    try:
        await alb.start()
        script(binary, "echo no such thing as a free lunch; exit 3")

        async def status() -> pb.GetStatusResponse:
            return await alb.stub.GetStatus(pb.GetStatusRequest())

        async with asyncio.timeout(30):
            while (found := await status()).status is not types_pb2.HEALTH_STATUS_DEGRADED:
                await asyncio.sleep(0.1)
        assert "free lunch" in found.details["envoy"]
        assert "serves on" in found.message
        assert await metric(alb, "trouble") == 1
        assert (await ask(alb.port, 5)).bad() == []
        refused = await reload(alb)
        assert not refused.success
        assert "exit code 3" in refused.message
        copy_binary(tmp_path / "bin")
        async with asyncio.timeout(30):
            while (await status()).status is not types_pb2.HEALTH_STATUS_HEALTHY:
                await asyncio.sleep(0.1)
        assert await metric(alb, "epoch") == 1
    finally:
        await alb.close()


async def test_other_settings_take_over_without_a_cut_even_after_a_kill_in_the_middle(tmp_path, backends):
    alb = Alb(tmp_path, state(backends))
    try:
        await alb.start()
        (old,) = envoys(alb)
        async with load(alb.port, pause=0.001) as tally:
            await tally.more(50)
            await alb.kill()
            alb.settings["stats_window"] = 2
            alb.settings["envoy"]["handover_seconds"] = 3
            alb.write(state(backends))
            await alb.launch()
            await until(lambda: len(envoys(alb)) == 2, 30)  # the successor has been started
            await alb.kill()
            await alb.start()
            await until(lambda: len(envoys(alb)) == 1 and envoys(alb) != [old], 60)
            await tally.more(100)
            assert tally.bad() == []
        assert int(arguments(envoys(alb)[0])["--restart-epoch"]) >= 1
        await alb.put(route("added", later=100), pools=(pool("later", backends[1].address),))
        assert (await ask(alb.port, 1, host="added.test")).answers == {(200, "b"): 1}
    finally:
        await alb.close()
