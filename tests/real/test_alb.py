"""One ALB process with its real Envoy, shared by all tests here: traffic and the RPCs.

Scale and Shutdown, and whatever ends a process, are in test_alb_life.py.
Each test has a host of its own (`<route>.test`), so that none disturbs another.
"""

import asyncio
import hashlib
import itertools
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
import websockets
from google.protobuf.duration_pb2 import Duration
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.ports import free_port
from tests.real.support.alb import Alb, pool, route
from tests.real.support.backends import serving
from tests.real.support.load import ask, load

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATE = {"routes": [{"id": "web", "hosts": ["web.test"], "backends": ["blue"]}]}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def backends() -> AsyncIterator[SimpleNamespace]:
    async with serving("blue-1", "blue-2", "green") as (one, two, green):
        yield SimpleNamespace(blue=(one, two), green=green)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def alb(tmp_path_factory: pytest.TempPathFactory, backends: SimpleNamespace) -> AsyncIterator[Alb]:
    pools = [
        {"name": "blue", "version": "v1", "endpoints": [backend.address for backend in backends.blue]},
        {"name": "green", "version": "v2", "endpoints": [backends.green.address]},
    ]
    alb = Alb(tmp_path_factory.mktemp("alb"), {**STATE, "pools": pools})
    try:
        yield await alb.start()
    finally:
        await alb.close()


async def get(alb: Alb, host: str, path: str = "/", method: str = "GET", **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        headers = {"host": f"{host}.test", **options.pop("headers", {})}
        return await client.request(method, f"http://127.0.0.1:{alb.port}{path}", headers=headers, **options)


# --- traffic


async def test_curl(alb: Alb) -> None:
    command = ["curl", "-sS", "-H", "host: web.test", f"http://127.0.0.1:{alb.port}/"]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert ended.stdout in {"blue-1", "blue-2"}


async def test_no_route_is_404(alb: Alb) -> None:
    assert (await get(alb, "nowhere")).status_code == 404


async def test_an_acknowledged_change_is_what_the_next_request_sees(alb: Alb) -> None:
    for number in range(30):
        name, status = ("blue", 200) if number % 2 else ("green", 200)
        await alb.put(route("next", **{name: 100}))
        answer = await get(alb, "next")
        assert (answer.status_code, answer.text.startswith(name)) == (status, True)
    assert (await alb.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="next"))).success
    assert (await get(alb, "next")).status_code == 404


async def test_matching(alb: Alb) -> None:
    await alb.put(
        route("match", blue=100),
        types_pb2.Route(
            route_id="match-form", hosts=["match.test"], path_pattern="/form", methods=["POST"],
            backends=[types_pb2.BackendRef(pool="green")],
        ),
        types_pb2.Route(
            route_id="match-beta", hosts=["match.test"], headers={"x-beta": "1"},
            backends=[types_pb2.BackendRef(pool="green")],
        ),
        types_pb2.Route(
            route_id="match-user", hosts=["match.test"], path_pattern="~/user/[0-9]+",
            backends=[types_pb2.BackendRef(pool="green")],
        ),
        types_pb2.Route(
            route_id="match-wild", hosts=["*.match.test"], backends=[types_pb2.BackendRef(pool="green")]
        ),
    )  # fmt: skip
    for path, method, headers, name in [
        ("/", "GET", {}, "blue"),
        ("/form", "GET", {}, "blue"),
        ("/form", "POST", {}, "green"),
        ("/form/x?y=1", "POST", {}, "green"),
        ("/formal", "POST", {}, "blue"),
        ("/", "GET", {"x-beta": "1"}, "green"),
        ("/", "GET", {"x-beta": "2"}, "blue"),
        ("/user/7?tab=1", "GET", {}, "green"),
        ("/user/x", "GET", {}, "blue"),
        ("/", "GET", {"host": "a.b.match.test"}, "green"),
        ("/", "GET", {"host": "match.test:80"}, "blue"),
    ]:
        answer = await get(alb, "match", path, method, headers=headers)
        assert answer.text.startswith(name), (path, method, headers, answer.text)


async def test_weights_split_and_no_request_fails_while_they_change(alb: Alb) -> None:
    await alb.put(route("split", blue=90, green=10))
    async with load(alb.port, host="split.test") as tally:
        await tally.more(3000)
        assert tally.share("green") == pytest.approx(10, abs=2.5)
        for percent in itertools.chain(range(0, 100, 4), [50]):
            request = pb.SetTrafficWeightRequest(version="v2", weight=percent, route_id="split")
            assert (await alb.stub.SetTrafficWeight(request)).success
        tally.answers.clear()
        await tally.more(3000)
        assert tally.share("green") == pytest.approx(50, abs=4)
    assert tally.failures == []
    assert tally.bad() == []


async def test_a_hundred_megabytes(alb: Alb, tmp_path: Path) -> None:
    await alb.put(route("upload", blue=100))
    file = tmp_path / "large"
    block = bytes(range(256)) * 4096
    with file.open("wb") as out:
        for _ in range(100):
            out.write(block)
    command = ["curl", "-sS", "-T", str(file), "-H", "expect:", "-H", "host: upload.test", f"http://127.0.0.1:{alb.port}/upload"]  # fmt: skip
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    digest = hashlib.sha256()
    for _ in range(100):
        digest.update(block)
    assert json.loads(ended.stdout) == {"size": 100 * len(block), "sha256": digest.hexdigest()}


async def test_websocket(alb: Alb) -> None:
    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    port = free_port()
    async with websockets.serve(echo, "127.0.0.1", port):
        await alb.put(route("ws", ws=100), pools=(pool("ws", f"127.0.0.1:{port}"),))
        where = f"ws://ws.test:{alb.port}/chat"
        async with websockets.connect(where, host="127.0.0.1", port=alb.port, proxy=None) as client:
            for message in ("hello", "ü" * 1000, b"\x00" * 100_000):
                await client.send(message)
                assert await client.recv() == message
    assert (await alb.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="ws"))).success


async def test_grpc(alb: Alb) -> None:
    async def once(request: bytes, context: Any) -> bytes:
        return request

    async def chat(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    server = grpc.aio.server()
    handlers = {
        "Once": grpc.unary_unary_rpc_method_handler(once),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("echo.Echo", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        rpc = pool("rpc", f"127.0.0.1:{port}", protocol=types_pb2.PROTOCOL_GRPC)
        await alb.put(route("rpc", path="/echo.Echo", rpc=100), pools=(rpc,))
        options = [("grpc.default_authority", "rpc.test")]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{alb.port}", options=options) as channel:
            assert await channel.unary_unary("/echo.Echo/Once")(b"hello", timeout=5) == b"hello"
            call = channel.stream_stream("/echo.Echo/Chat")(timeout=5)
            for message in (b"one", b"two"):
                await call.write(message)
                assert await call.read() == message
            await call.done_writing()
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary("/echo.Echo/Nothing")(b"", timeout=5)
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED  # trailers come through
    finally:
        await server.stop(0)
        await alb.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="rpc"))


# --- health and retries


async def test_retry_on_connect_failure(alb: Alb, backends: SimpleNamespace) -> None:
    half = pool("half", backends.green.address, f"127.0.0.1:{free_port()}")
    await alb.put(route("half", half=100), pools=(half,))
    assert (await ask(alb.port, 100, host="half.test")).answers == {(200, "green"): 100}
    once = route("half", half=100)
    once.retry.attempts = 0
    await alb.put(once)
    assert (await ask(alb.port, 40, host="half.test")).answers[200, "green"] < 40


async def test_health_checks_eject_and_readmit(alb: Alb) -> None:
    async with serving("well", "ill") as (well, ill):
        check = types_pb2.HealthCheckConfig(
            interval=Duration(nanos=100_000_000), timeout=Duration(nanos=100_000_000), health_check_path="/healthz"
        )  # fmt: skip
        await alb.put(
            route("checked", checked=100),
            pools=(pool("checked", well.address, ill.address, health_check=check),),
        )

        async def until(names: set[str]) -> None:
            async with asyncio.timeout(20):
                while {body for _, body in (await ask(alb.port, 20, host="checked.test")).answers} != names:
                    await asyncio.sleep(0.05)

        async def seen() -> dict[str, int]:
            answer = await alb.stub.GetBackends(pb.GetBackendsRequest(names=["checked"]))
            return {item.address: item.health_status for item in answer.pools[0].endpoints}

        await until({"well", "ill"})
        ill.healthy = False
        await until({"well"})
        deep = await alb.stub.HealthCheck(pb.HealthCheckRequest(deep_check=True))
        assert deep.checks["pool:checked"] == "1 of 2 endpoints are healthy"
        async with asyncio.timeout(20):
            while await seen() != {
                well.address: types_pb2.HEALTH_STATUS_HEALTHY,
                ill.address: types_pb2.HEALTH_STATUS_UNHEALTHY,
            }:
                await asyncio.sleep(0.1)
        ill.healthy = True
        await until({"well", "ill"})
    await alb.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="checked"))
    keep = [
        item for item in (await alb.stub.GetBackends(pb.GetBackendsRequest())).pools if item.name != "checked"
    ]
    assert (await alb.stub.UpdateBackends(pb.UpdateBackendsRequest(pools=keep, replace_all=True))).success


async def test_a_dead_backend_fails_no_request(alb: Alb) -> None:
    async with serving("left", "right") as (left, right):
        await alb.put(route("pair", pair=100), pools=(pool("pair", left.address, right.address),))
        async with load(alb.port, host="pair.test", connections=2, pause=0.002) as tally:
            await tally.more(100)
            await right.stop()
            await tally.more(300)
        # a request that the dying backend had already taken may be lost; nothing may be once it is gone
        assert len(tally.bad()) <= 2
        async with load(alb.port, host="pair.test", connections=2) as tally:
            await tally.more(600)
        assert tally.bad() == []
    await alb.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="pair"))


# --- rate limits


def limit(target: str, **rates: int) -> pb.SetRateLimitRequest:
    name = "everything" if target == "*" else target
    return pb.SetRateLimitRequest(
        limit=types_pb2.RateLimit(limit_id=f"{name}.l", target=target, enabled=True, **rates)
    )


async def statuses(alb: Alb, host: str, times: int) -> list[int]:
    return [(await get(alb, host)).status_code for _ in range(times)]


async def test_rate_limit_with_its_headers(alb: Alb) -> None:
    await alb.put(route("limited", blue=100), route("free", blue=100))
    assert (await alb.stub.SetRateLimit(limit("limited", requests_per_minute=3))).success
    taken = await get(alb, "limited")
    assert taken.headers["x-ratelimit-limit"].startswith("3")
    assert taken.headers["x-ratelimit-remaining"] == "2"
    assert await statuses(alb, "limited", 3) == [200, 200, 429]
    refused = await get(alb, "limited")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "20")
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert 0 < int(refused.headers["x-ratelimit-reset"]) <= 60
    assert await statuses(alb, "free", 5) == [200] * 5
    assert (await alb.stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="limited.l"))).success
    assert await statuses(alb, "limited", 5) == [200] * 5


async def test_minute_and_hour_together(alb: Alb) -> None:
    await alb.put(route("both", blue=100))
    assert (await alb.stub.SetRateLimit(limit("both", requests_per_minute=5, requests_per_hour=3))).success
    assert await statuses(alb, "both", 5) == [200, 200, 200, 429, 429]
    assert (await alb.stub.SetRateLimit(limit("both", requests_per_minute=2, requests_per_hour=30))).success
    assert await statuses(alb, "both", 4) == [200, 200, 429, 429]


async def test_a_limit_on_everything(alb: Alb) -> None:
    await alb.put(route("all-a", blue=100), route("all-b", green=100))
    assert (await alb.stub.SetRateLimit(limit("*", requests_per_hour=4))).success
    try:
        assert await statuses(alb, "all-a", 2) + await statuses(alb, "all-b", 3) == [200, 200, 200, 200, 429]
    finally:
        assert (await alb.stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="everything.l"))).success
    assert await statuses(alb, "all-a", 3) == [200] * 3


async def test_a_limit_on_everything_holds_beside_a_routes_own(alb: Alb) -> None:
    await alb.put(route("own", blue=100))
    assert (await alb.stub.SetRateLimit(limit("own", requests_per_hour=100))).success
    assert (await alb.stub.SetRateLimit(limit("*", requests_per_hour=2))).success
    try:
        assert await statuses(alb, "own", 3) == [200, 200, 429]
    finally:
        assert (await alb.stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="everything.l"))).success


# --- refusals


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("~/a(", "is not a regular expression"),
        ("~/a(?=b).*", "Envoy refused it"),  # RE2 knows no look-ahead
        (r"~/(a)\1", "Envoy refused it"),
    ],
)
async def test_an_invalid_regex_touches_no_traffic(alb: Alb, pattern: str, words: str) -> None:
    await alb.put(route("calm", blue=100))
    before = await alb.stub.GetConfig(pb.GetConfigRequest())
    async with load(alb.port, host="calm.test", connections=2) as tally:
        for _ in range(3):
            bad = route("bad", path=pattern, blue=100)
            answer = await alb.stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=[bad]))
            assert (answer.success, answer.error.code) == (False, types_pb2.STATUS_CODE_INVALID_ARGUMENT)
            (told,) = answer.validation_errors
            assert words in told
            assert ".path: " in told
        assert (await alb.stub.SetTrafficWeight(
            pb.SetTrafficWeightRequest(route_id="calm", weights=[types_pb2.BackendRef(pool="blue", weight=100)])
        )).success  # fmt: skip
        await tally.more(50)
    assert tally.bad() == []
    after = await alb.stub.GetConfig(pb.GetConfigRequest())
    assert after.configs[0].checksum == before.configs[0].checksum


async def test_misuse(alb: Alb) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await alb.stub.GetStatus(pb.GetStatusRequest(instance_id="alb-9"))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_plain_listener_refuses_a_proxy_header(alb: Alb) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", alb.port)
    writer.write(b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nhost: web.test\r\n\r\n")
    async with asyncio.timeout(20):
        answer = await reader.read(100)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400")


# --- counts


async def stats_with(alb: Alb, requests: int) -> pb.GetStatsResponse:
    async with asyncio.timeout(20):
        while True:
            answer = await alb.stub.GetStats(pb.GetStatsRequest())
            if answer.stats.total_requests >= requests:
                return answer
            await asyncio.sleep(0.1)


async def test_stats_and_reset(alb: Alb) -> None:
    await alb.put(route("counted", blue=100))
    await alb.stub.GetStats(pb.GetStatsRequest(reset_counters=True))
    for path in ["/"] * 18 + ["/status/503", "/status/404"]:
        await get(alb, "counted", path)
    await ask(alb.port, 10)
    answer = await stats_with(alb, 30)
    stats, own = answer.stats, answer.routes["counted"]
    assert (stats.total_requests, stats.failed_requests, stats.successful_requests) == (30, 1, 29)
    assert (own.total_requests, own.failed_requests) == (20, 1)
    assert stats.custom_stats["responses_4xx"] == "1"
    assert stats.bytes_sent > stats.total_requests * 50
    assert stats.memory_usage_mb > 20
    async with asyncio.timeout(20):  # Envoy's percentiles are those of a window that has ended
        while stats.p99_latency_ms == 0:
            await ask(alb.port, 20, path="/slow/0.002")
            stats = (await alb.stub.GetStats(pb.GetStatsRequest())).stats
    assert stats.p50_latency_ms <= stats.p95_latency_ms <= stats.p99_latency_ms
    await alb.stub.GetStats(pb.GetStatsRequest(reset_counters=True))
    assert (await alb.stub.GetStats(pb.GetStatsRequest())).stats.total_requests == 0


async def test_metrics(alb: Alb) -> None:
    await ask(alb.port, 10)
    call = alb.stub.StreamMetrics(
        pb.StreamMetricsRequest(interval_seconds=1, metric_names=["requests_total"])
    )
    values = []
    async with asyncio.timeout(20):
        async for answer in call:
            values += [point.value for point in answer.metrics.metrics]
            if len(values) == 3:
                break
            await ask(alb.port, 10)
    call.cancel()
    assert values[0] < values[1] < values[2]
    newest = await alb.stub.GetMetrics(pb.GetMetricsRequest(metric_names=["requests_total", "latency_ms"]))
    assert {point.name for point in newest.metrics.metrics} == {"requests_total", "latency_ms"}
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{alb.metrics}/metrics")).text
    assert "marchproxy_module_requests_total" in text
    assert (
        'grpc_server_handling_seconds_count{code="OK",method="marchproxy.ModuleService/GetMetrics"}' in text
    )


# --- the other RPCs


async def test_status_config_and_instances(alb: Alb) -> None:
    status = await alb.stub.GetStatus(pb.GetStatusRequest(instance_id="alb-1"))
    assert status.status == types_pb2.HEALTH_STATUS_HEALTHY
    assert [item.address for item in status.instance.traffic_endpoints] == [f"127.0.0.1:{alb.port}"]
    assert (await alb.stub.HealthCheck(pb.HealthCheckRequest())).status == types_pb2.HEALTH_STATUS_HEALTHY
    (config,) = (await alb.stub.GetConfig(pb.GetConfigRequest())).configs
    request = pb.UpdateConfigRequest(config=config, validate_only=True)
    assert (await alb.stub.UpdateConfig(request)).validation_passed
    instances = await alb.stub.GetInstances(pb.GetInstancesRequest())
    assert [item.instance_id for item in instances.instances] == ["alb-1"]
    can = await alb.stub.CanHandle(
        pb.CanHandleRequest(route=types_pb2.Route(hosts=["web.test"], path_pattern="/x"))
    )
    assert (can.can_handle, can.metadata["route_id"]) == (True, "web")
    await alb.put(route("listed", blue=100))
    query = types_pb2.Query(
        filters=[types_pb2.Filter(field="hosts", operator="contains", value="listed.test")]
    )
    listed = await alb.stub.GetRoutes(pb.GetRoutesRequest(query=query))
    assert [item.route_id for item in listed.routes] == ["listed"]
    applied = pb.ApplyRateLimitRequest(route_id="listed", requests_per_second=5, enabled=True)
    assert (await alb.stub.ApplyRateLimit(applied)).success
    limits = await alb.stub.GetRateLimits(pb.GetRateLimitsRequest(target="listed"))
    assert [item.requests_per_second for item in limits.limits] == [5]


async def test_promote_and_roll_back(alb: Alb) -> None:
    await alb.put(route("deploy", blue=100, green=0))
    promote = pb.PromoteVersionRequest(version="v2", immediate=True, route_id="deploy")
    assert (await alb.stub.PromoteVersion(promote)).success
    assert (await get(alb, "deploy")).text == "green"
    active = await alb.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id="deploy"))
    assert active.active_version == "v2"
    assert (await alb.stub.Rollback(pb.RollbackRequest(route_id="deploy"))).current_version == "v1"
    assert (await get(alb, "deploy")).text.startswith("blue")


@pytest.mark.parametrize(("dead", "phase"), [(False, "promoted"), (True, "rolled_back")])
async def test_a_gradual_promotion_watches_its_canary(
    alb: Alb, backends: SimpleNamespace, dead: bool, phase: str
) -> None:
    name = f"ramp-{phase}".replace("_", "-")
    address = f"127.0.0.1:{free_port()}" if dead else backends.green.address
    canary = pool(f"{name}-canary", address, version="v3")
    await alb.put(route(name, **{"blue": 100, canary.name: 0}), pools=(canary,))
    analysis = types_pb2.RolloutAnalysis(
        interval=Duration(nanos=600_000_000), min_requests=10, max_error_percent=5
    )
    request = pb.PromoteVersionRequest(version="v3", promotion_rate=40, route_id=name, analysis=analysis)
    async with load(alb.port, host=f"{name}.test", connections=2, pause=0.002):
        assert (await alb.stub.PromoteVersion(request)).success
        async with asyncio.timeout(20):
            while True:
                active = await alb.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id=name))
                (rollout,) = active.rollouts
                if rollout.phase != "ramping":
                    break
                await asyncio.sleep(0.1)
    assert (rollout.phase, active.version_weights["v3"]) == (phase, 0 if dead else 100), rollout.reason


async def test_reflection(alb: Alb) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{alb.grpc}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in stub.ServerReflectionInfo(iter([question])):
            names = {service.name for service in answer.list_services_response.service}
            assert names >= {"marchproxy.ModuleService", "grpc.health.v1.Health"}


async def test_reload_goes_back_to_the_file(alb: Alb, backends: SimpleNamespace) -> None:
    """The last test: it ends what the others did over RPC."""
    answer = await alb.stub.Reload(pb.ReloadRequest(graceful=True))
    assert answer.success, answer
    assert (await get(alb, "web")).text.startswith("blue")
    assert (await get(alb, "deploy")).status_code == 404
    again = await alb.stub.Reload(pb.ReloadRequest())
    assert again.message == "the configuration has not changed"
