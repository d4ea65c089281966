"""Traces: of a request through NLB and ALB to a backend, and of a change from the command to Envoy's acknowledgement."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml

from marchproxy.contract.pb import module_pb2 as pb
from tests.collector import Collector, Span
from tests.ports import free_port
from tests.real.support.alb import Alb
from tests.real.support.backends import Backend, serving
from tests.real.support.certificates import make_certificate
from tests.real.support.process import kill_left
from tests.real.support.up import Up, run

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def state(backend: Backend) -> dict[str, Any]:
    return {
        "pools": [{"name": "shop", "endpoints": [backend.address]}],
        "routes": [{"id": "all", "backends": ["shop"]}],
    }


def whole(folder: Path, collector: Collector, backend: Backend, port: int) -> dict[str, Any]:
    """A system whose NLB reads HTTP: two kinds of module at one address."""
    anywhere = {"admin": "127.0.0.1:0"}
    alb = {
        "id": "alb-1",
        "type": "alb",
        "version": "v2",
        "grpc": f"127.0.0.1:{free_port()}",
        "health": f"127.0.0.1:{free_port()}",
        "metrics": f"127.0.0.1:{free_port()}",
        "traffic": None,
        "proxy_traffic": "127.0.0.1:0",
        "envoy": {**anywhere, "concurrency": 1},
        "access_log": {"path": str(folder / "access.log"), "fields": ["request_id", "trace_id"]},
        "heartbeat_interval": 1,
        "drain_seconds": 0,
    }
    nlb = {
        "grpc": f"127.0.0.1:{free_port()}",
        "metrics": f"127.0.0.1:{free_port()}",
        "envoy": anywhere,
        "heartbeat_interval": 1,
        "drain_seconds": 0,
    }
    address = f"127.0.0.1:{port}"
    listeners = [
        {"name": "web", "address": address, "module": "alb"},
        {"name": "llm", "address": address, "module": "ailb"},
    ]
    tracing = {"endpoint": collector.endpoint, "sample_percent": 0, "headers": {"x-key": "50%"}}
    return {"tracing": tracing, "nlb": nlb, "modules": [alb], "listeners": listeners, **state(backend)}


@asynccontextmanager
async def up(folder: Path, document: dict[str, Any], port: int) -> AsyncIterator[Up]:
    system = Up(folder, {"8000": port, "50050": 0})
    system.file.write_text(yaml.safe_dump(document))
    await system.launch()
    try:
        async with asyncio.timeout(60):
            while not await system.serves():
                assert system.process.running, system.process.log.read_text()
                await asyncio.sleep(0.05)
        yield system
    finally:
        await system.process.end()
        kill_left(system.state)


@asynccontextmanager
async def alb(folder: Path, backend: Backend, endpoint: str, **more: Any) -> AsyncIterator[Alb]:
    one = Alb(folder, state(backend), tracing={"endpoint": endpoint, **more}, drain_seconds=0)
    try:
        yield await one.start()
    finally:
        await one.close()


async def ask(port: int, path: str = "/echo", **headers: str) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.get(f"http://127.0.0.1:{port}{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    seen: dict[str, Any] = json.loads(answer.text)["headers"]
    return seen


def lineage(spans: list[Span], last: Span) -> list[Span]:
    """A span and those above it, the outermost first."""
    by_id = {span.id: span for span in spans}
    found = [last]
    while (above := by_id.get(found[0].parent)) is not None:
        found.insert(0, above)
    return found


async def test_one_trace_of_a_request_and_one_of_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with Collector() as collector:
        async with serving("shop") as (backend,):
            document = whole(tmp_path, collector, backend, port)
            async with up(tmp_path, document, port) as system:
                await _of_a_request(collector, system, port)
                await _of_a_change(collector, system, document)
                monkeypatch.setenv("MARCHPROXY_TRACING__ENDPOINT", collector.endpoint)
                await _of_a_command(collector, document["nlb"]["grpc"])


async def _of_a_request(collector: Collector, system: Up, port: int) -> None:
    seen = await ask(
        port, "/echo/a?secret=1", traceparent=f"00-{TRACE}-{PARENT}-01", **{"x-request-id": "mine"}
    )
    assert seen["x-request-id"] == "mine"
    trace, above, flags = seen["traceparent"].split("-")[1:]
    assert (trace, flags) == (TRACE, "01")

    def of_the_trace() -> list[Span]:
        return [span for span in collector.spans if span.trace == TRACE]

    await collector.until(lambda: len(of_the_trace()) == 4)
    (innermost,) = [span for span in of_the_trace() if span.id == above]
    path = lineage(of_the_trace(), innermost)
    assert [(span.service, span.kind) for span in path] == [
        ("marchproxy-nlb", "server"),
        ("marchproxy-nlb", "client"),
        ("marchproxy-alb", "server"),
        ("marchproxy-alb", "client"),
    ]
    assert path[0].parent == PARENT
    assert {span.name for span in path[2:]} == {"all"}  # called as the route is
    assert path[1].tags["marchproxy.listener"] == "web"
    assert path[1].tags["marchproxy.instance"] == "alb-1"
    assert (path[3].tags["marchproxy.route"], path[3].tags["marchproxy.pool"]) == ("all", "shop")
    assert (path[3].resource["service.instance.id"], path[3].resource["service.version"]) == ("alb-1", "v2")
    assert not [span for span in path if "secret" in str(span.tags)]
    assert any(headers.get("x-key") == "50%" for headers in collector.headers)
    log = system.folder / "access.log"
    async with asyncio.timeout(30):
        while TRACE not in log.read_text():
            await asyncio.sleep(0.05)


async def _of_a_change(collector: Collector, system: Up, document: dict[str, Any]) -> None:
    changed = {**document, "routes": [{"id": "other", "backends": ["shop"]}]}
    system.file.write_text(yaml.safe_dump(changed))
    system.process.send(signal.SIGHUP)
    await system.says("is in force everywhere", within=60)
    await collector.until(lambda: collector.named("reload") and _published(collector) >= {"nlb", "alb"})
    (reload,) = collector.named("reload")
    assert reload.service == "marchproxy-up"
    mine = [span for span in collector.spans if span.trace == reload.trace]
    wanted = {"nlb": ("compile", "publish"), "alb": ("compile", "validate", "publish")}
    for service, names in wanted.items():
        for step in names:
            steps = [span for span in mine if (span.service, span.name) == (f"marchproxy-{service}", step)]
            assert steps, (service, step)
            path = lineage(mine, steps[-1])
            assert path[0] == reload
            assert [span.kind for span in path][:3] == ["internal", "client", "server"]
            assert path[1].tags["rpc.method"] in {"UpdateConfig", "UpdateNLBConfig"}
    logged = [json.loads(line) for line in (system.state / "logs" / "nlb-1.log").read_text().splitlines()]
    assert reload.trace in {line.get("trace_id") for line in logged if line["event"] == "plan in force"}
    assert not [
        span for span in collector.spans if span.name.endswith("Heartbeat")
    ]  # no share of calls is drawn


async def _of_a_command(collector: Collector, nlb: str) -> None:
    code, _, words = await run("set", "weight", "v1", "100", "--nlb", nlb)
    assert code == 0, words
    await collector.until(lambda: collector.named("change"))
    (change,) = collector.named("change")
    assert change.service == "marchproxy-cli"

    def answered() -> list[Span]:
        return [
            span
            for span in collector.named("marchproxy.ModuleService/SetTrafficWeight")
            if (span.trace, span.service, span.kind) == (change.trace, "marchproxy-alb", "server")
        ]

    await collector.until(answered)
    assert lineage(collector.spans, answered()[0])[0] == change


def _published(collector: Collector) -> set[str]:
    (reload,) = collector.named("reload")
    return {
        span.service.removeprefix("marchproxy-")
        for span in collector.named("publish")
        if span.trace == reload.trace
    }


async def test_a_refusal_is_told_with_its_code(tmp_path: Path) -> None:
    with Collector() as collector:
        async with (
            serving("shop") as (backend,),
            alb(tmp_path, backend, collector.endpoint, sample_percent=100) as one,
        ):
            answer = await one.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="nobody"))
            assert not answer.success
            await collector.until(lambda: collector.named("marchproxy.ModuleService/DeleteRoute"))
            (span,) = collector.named("marchproxy.ModuleService/DeleteRoute")
    assert span.tags["marchproxy.refusal"] == "not_found"


@pytest.mark.parametrize("percent", [0, 30])
async def test_a_share_is_traced_and_who_is_not_is_told_so(tmp_path: Path, percent: int) -> None:
    requests = 400
    with Collector() as collector:
        async with (
            serving("shop") as (backend,),
            alb(tmp_path, backend, collector.endpoint, sample_percent=percent) as one,
        ):
            async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
                url = f"http://127.0.0.1:{one.port}/echo"
                seen = [json.loads((await client.get(url)).text)["headers"] for _ in range(requests)]
                # an id that a client chose decides nothing
                forced = {"x-request-id": "f0000000-0000-9000-8000-000000000000", "x-client-trace-id": "a"}
                await client.get(url, headers=forced)
            drawn = {h["traceparent"].split("-")[1] for h in seen if h["traceparent"].endswith("-01")}
            await collector.until(lambda: drawn <= {span.trace for span in collector.spans})
    expected = requests * percent / 100
    # 4.5 standard deviations: 7 in a million
    assert abs(len(drawn) - expected) <= 4.5 * (expected * (1 - percent / 100)) ** 0.5
    assert len({h["traceparent"] for h in seen}) == requests
    if percent == 0:
        assert not [span for span in collector.spans if span.kind in {"server", "client"}]


async def test_a_client_that_wants_no_trace_has_none(tmp_path: Path) -> None:
    with Collector() as collector:
        async with (
            serving("shop") as (backend,),
            alb(tmp_path, backend, collector.endpoint, sample_percent=100) as one,
        ):
            seen = await ask(one.port, traceparent=f"00-{TRACE}-{PARENT}-00")
            assert seen["traceparent"].startswith(f"00-{TRACE}-")
            assert seen["traceparent"].endswith("-00")
            last = await ask(one.port)
            await collector.until(
                lambda: last["traceparent"].split("-")[1] in {s.trace for s in collector.spans}
            )
    assert TRACE not in {span.trace for span in collector.spans}


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):  # takes whatever comes, and says nothing
        pass


async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 418 I am no collector\r\n\r\n" * 100)
    await writer.drain()


@asynccontextmanager
async def behaving(behave: Any) -> AsyncIterator[str]:
    """The endpoint of something that is no collector; None: of nothing."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        try:
            with suppress(ConnectionError):
                await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        if behave is None:
            server.close()
        yield endpoint
    finally:
        server.close()
        await asyncio.gather(*talks, return_exceptions=True)  # who traced has gone, so they end by themselves


@pytest.mark.parametrize("behave", [None, silent, garbage])
async def test_a_bad_collector_harms_no_request_and_no_stop(tmp_path: Path, behave: Any) -> None:
    async with (
        behaving(behave) as endpoint,
        serving("shop") as (backend,),
        alb(tmp_path, backend, endpoint, sample_percent=100) as one,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        for _ in range(500):
            assert (await client.get(f"http://127.0.0.1:{one.port}/")).status_code == 200
        await one.stub.GetStats(pb.GetStatsRequest(), timeout=30)
        one.process.send(signal.SIGTERM)
        assert await one.process.ended(20) == 0
        assert one.log.read_text().count("traces are not delivered") == 1


async def test_over_tls_the_collector_must_be_who_it_should_be(tmp_path: Path) -> None:
    right, wrong = (make_certificate(tmp_path, name) for name in ("localhost", "other.test"))
    key = right.with_suffix(".key").read_bytes()
    credentials = grpc.ssl_server_credentials([(key, right.read_bytes())])
    with Collector(tls=credentials) as collector:
        endpoint = f"https://localhost:{collector.port}"
        async with serving("shop") as (backend,):
            async with alb(tmp_path, backend, endpoint, sample_percent=100, ca=str(wrong)) as one:
                await ask(one.port)
                await one.stub.GetStats(pb.GetStatsRequest(), timeout=30)
                one.process.send(signal.SIGTERM)  # what is left is sent at the end
                await one.process.ended(20)
            assert collector.spans == []
            async with alb(tmp_path, backend, endpoint, sample_percent=100, ca=str(right)) as one:
                await ask(one.port)
                await one.stub.GetStats(pb.GetStatsRequest(), timeout=30)
                await collector.until(
                    lambda: {"all", "marchproxy.ModuleService/GetStats"} <= {s.name for s in collector.spans}
                )


async def test_another_collector_needs_no_other_envoy(tmp_path: Path) -> None:
    with Collector() as first, Collector() as second:
        async with (
            serving("shop") as (backend,),
            alb(tmp_path, backend, first.endpoint, sample_percent=100) as one,
        ):
            await ask(one.port)
            await first.until(lambda: first.named("all"))
            before = one.envoys()
            await one.kill()
            one.settings["tracing"]["endpoint"] = second.endpoint
            one.write(state(backend))
            await one.start()
            assert one.envoys() == before
            await ask(one.port)
            await second.until(lambda: second.named("all"))
