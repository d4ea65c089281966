"""`marchproxy xds` and files that Envoy refuses: judged beforehand, tried on one node, and the last good one kept."""

import asyncio
import json
import re
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.real.support.process import start
from tests.real.xds_rig import Envoy, backend, running_envoy
from tests.real.xds_service_rig import PATIENCE, Service

AHEAD = "/a(?=b).*"  # sound in Python; Envoy's RE2 knows no look-ahead


def document(port: int, listening: list[int], *routes: dict, **xds) -> dict:
    """One pool and one listener for each port."""
    names = [f"edge-{number}" for number in range(len(listening))]
    return {
        "listeners": [
            {"name": name, "address": f"127.0.0.1:{number}"}
            for name, number in zip(names, listening, strict=True)
        ],
        "routes": [{"id": "all", "path": "/v1", "backends": ["p"]}, *routes],
        "pools": [{"name": "p", "endpoints": [f"127.0.0.1:{port}"]}],
        "xds": xds,
    }


def answering(name: str, **fields) -> dict:
    return {"id": name, "path": f"/{name}", "response": {"status": 200, "body": name}, **fields}


def bad(name: str, **fields) -> dict:
    """A route that our own checks find nothing wrong with."""
    return {"id": name, "path": {"regex": AHEAD}, "backends": ["p"], **fields}


async def status(port: int, path: str) -> tuple[int, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        reply = await client.get(f"http://127.0.0.1:{port}{path}")
        return reply.status_code, reply.headers.get("x-marchproxy-quarantined", reply.text)


async def until(port: int, path: str, wanted: tuple[int, str]) -> None:
    found: object = None
    try:
        async with asyncio.timeout(PATIENCE):
            while found != wanted:
                with suppress(httpx.TransportError):
                    found = await status(port, path)
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{path} answers {found}, not {wanted}")


async def until_logged(service: Service, words: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while words not in service.log.read_text():
            await asyncio.sleep(0.05)


def logged(service: Service, event: str) -> list[dict]:
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


async def metric(service: Service, name: str) -> float:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{service.metrics}/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def edges(stack: AsyncExitStack, folder: Path, service: Service, count: int) -> list[Envoy]:
    """So many Envoys, all of which listen at the same port of this machine."""
    envoys = []
    for number in range(count):
        own = folder / f"edge-{number}"
        own.mkdir()
        envoys.append(
            await stack.enter_async_context(
                running_envoy(own, service.port, "DELTA_GRPC", node=f"edge-{number}")
            )
        )
    return envoys


async def test_a_file_that_envoy_refuses_reaches_no_node_and_every_fault_is_told(tmp_path):
    async with backend("v1") as port, AsyncExitStack() as stack:
        listening = [free_port()]
        service = Service(tmp_path, document(port, listening))
        await stack.enter_async_context(service.running())
        (envoy,) = await edges(stack, tmp_path, service, 1)
        await until(listening[0], "/v1", (200, "v1"))
        service.write(document(port, listening, answering("new"), bad("odd"), bad("odder", priority=1)))
        await until_logged(service, "not put in force")
        (told,) = logged(service, "the changed file is not put in force")
        for path in ("routes[2].path", "routes[3].path"):
            assert f"{path}: route" in told["reason"], told
        assert "invalid perl operator: (?=" in told["reason"]
        assert (await status(listening[0], "/new"))[0] == 404
        assert await envoy.stat("cluster_manager.cds.update_rejected") == 0
        assert "refused resources" not in service.log.read_text()
        assert await metric(service, "marchproxy_xds_file_refused") == 1
        service.write(document(port, listening, answering("new")))
        await until(listening[0], "/new", (200, "new"))
        assert await metric(service, "marchproxy_xds_file_refused") == 0


async def test_the_first_start_with_such_a_file_fails_and_says_why(tmp_path):
    service = Service(tmp_path, document(9, [free_port()], bad("odd")))
    process = await start(service.command, service.log)
    assert await process.ended(PATIENCE) == 1
    said = service.log.read_text()
    assert "routes[1].path" in said
    assert "Envoy refused it: invalid perl operator" in said
    assert "Traceback" not in said


async def test_one_of_several_is_asked_first_and_what_it_refuses_reaches_no_other(tmp_path):
    async with backend("v1") as port, AsyncExitStack() as stack:
        listening = [free_port()]
        # nothing is judged beforehand: as if the nodes were older Envoys than ours
        wanted = document(port, listening, validate_changes=False)
        service = Service(tmp_path, wanted)
        await stack.enter_async_context(service.running())
        envoys = await edges(stack, tmp_path, service, 3)
        await until(listening[0], "/v1", (200, "v1"))
        for envoy in envoys:
            await envoy.until_connected()
        before = [await envoy.stat("http.alb.rds.edge-0.update_rejected") for envoy in envoys]
        assert before == [0, 0, 0]

        more = [answering(f"r{number}") for number in range(40)]
        service.write(document(port, listening, *more, bad("odd"), validate_changes=False))
        await until(listening[0], "/r39", (200, "r39"))
        await until(listening[0], "/a/x", (500, "route odd"))
        async with asyncio.timeout(PATIENCE):
            while not all([await accepted(envoy) for envoy in envoys]):
                await asyncio.sleep(0.05)
        refused = [await envoy.stat("http.alb.rds.edge-0.update_rejected") for envoy in envoys]
        assert sum(count > 0 for count in refused) == 1, refused  # the canary, and no other
        asked = logged(service, "a canary was asked first")
        assert {line["outcome"] for line in asked} == {"refused", "accepted"}
        assert len({line["node"] for line in asked}) == 1
        (quarantined,) = logged(service, "quarantined")
        assert quarantined["path"] == "routes[41].path"
        assert await metric(service, "marchproxy_xds_quarantined") == 1
        assert await metric(service, 'marchproxy_xds_canary_total{outcome="refused"}') >= 1

        service.write(document(port, listening, *more, validate_changes=False))
        await until(listening[0], "/a/x", (404, ""))
        assert await metric(service, "marchproxy_xds_quarantined") == 0


async def accepted(envoy: Envoy) -> bool:
    """Whether an Envoy has the route for `/r39`."""
    dump = await envoy.get("/config_dump?resource=dynamic_route_configs")
    return "/r39" in json.dumps(dump)


async def test_a_silent_canary_holds_up_the_others_for_a_while_only(tmp_path):
    async with backend("v1") as port, AsyncExitStack() as stack:
        listening = [free_port()]
        service = Service(tmp_path, document(port, listening, canary_timeout=1))
        await stack.enter_async_context(service.running())
        envoys = await edges(stack, tmp_path, service, 2)
        for envoy in envoys:
            async with asyncio.timeout(PATIENCE):
                while not await envoy.stat("listener_manager.total_listeners_active"):
                    await asyncio.sleep(0.05)
        service.write(document(port, listening, answering("first"), canary_timeout=1))
        await until_logged(service, "a canary was asked first")
        canary = int(logged(service, "a canary was asked first")[0]["node"].removeprefix("edge-"))
        with envoys[canary].paused():
            service.write(document(port, listening, answering("r39"), canary_timeout=1))
            async with asyncio.timeout(PATIENCE):
                while not await accepted(envoys[1 - canary]):
                    await asyncio.sleep(0.05)
        last = logged(service, "a canary was asked first")[-1]
        assert (last["node"], last["outcome"]) == (f"edge-{canary}", "silent")
        async with asyncio.timeout(PATIENCE):
            while not await accepted(envoys[canary]):
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("spoilt", ["routes: [{id: r}]\n", None], ids=["a fault", "Envoy's fault"])
async def test_a_start_with_a_spoilt_file_serves_what_nodes_were_given_last(tmp_path, spoilt):
    async with backend("v1") as port, AsyncExitStack() as stack:
        listening = [free_port()]
        service = Service(tmp_path, document(port, listening))
        async with service.running():
            pass
        if spoilt is None:
            service.write(document(port, listening, bad("odd")))
        else:
            service.file.write_text(spoilt + service.file.read_text().split("routes:")[0])
            service.file.write_text(service.file.read_text() + f"\nxds: {json.dumps(service.own)}\n")
        await stack.enter_async_context(service.running())
        assert logged(service, "the file cannot be used; nodes are given what they were given last")
        await edges(stack, tmp_path, service, 1)
        await until(listening[0], "/v1", (200, "v1"))
        assert await metric(service, "marchproxy_xds_file_refused") == 1
        service.write(document(port, listening, answering("new")))
        await until(listening[0], "/new", (200, "new"))


async def test_a_file_that_is_no_yaml_is_started_from_what_was_kept(tmp_path):
    async with backend("v1") as port, AsyncExitStack() as stack:
        listening = [free_port()]
        service = Service(tmp_path, document(port, listening))
        async with service.running():
            pass
        service.file.write_text("routes: [")
        service.env = {"MARCHPROXY_XDS__STATE_DIR": str(tmp_path / "kept")}
        await stack.enter_async_context(service.running())
        await edges(stack, tmp_path, service, 1)
        await until(listening[0], "/v1", (200, "v1"))


async def test_changes_in_quick_succession_are_one(tmp_path):
    async with backend("v1") as port, AsyncExitStack() as stack:
        listening = [free_port()]
        service = Service(tmp_path, document(port, listening))
        service.push_interval = 3.0
        service.write(document(port, listening))
        process = await stack.enter_async_context(service.running())
        (envoy,) = await edges(stack, tmp_path, service, 1)
        await until(listening[0], "/v1", (200, "v1"))
        count, clock = "http.alb.rds.edge-0.update_success", asyncio.get_running_loop()
        started, before = clock.time(), await envoy.stat(count)
        for number in range(6):
            service.write(document(port, listening, answering(f"r{number}")))
            process.send(1)
            async with asyncio.timeout(PATIENCE):
                while len(logged(service, "the file is in force")) <= number:
                    await asyncio.sleep(0.02)
        await until(listening[0], "/r5", (200, "r5"))
        pushes = await envoy.stat(count) - before
        assert pushes <= 1 + (clock.time() - started) / service.push_interval
