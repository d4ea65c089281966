"""One scrape of an ALB gives what it and its Envoy count: right, bounded, and never going back."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.engines.envoy.metrics import MOST, OTHER
from tests.ports import free_port
from tests.real.support.alb import Alb, pool
from tests.real.support.backends import serving

PREFIX = "marchproxy_envoy_"


@dataclass
class Scrape:
    """Samples by name and labels, and the type of each family."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    def get(self, name: str, **labels: str) -> float:
        return self.samples.get((PREFIX + name, frozenset(labels.items())), 0.0)

    def of(self, name: str, label: str) -> dict[str, float]:
        """The sums by one label."""
        found: Counter[str] = Counter()
        for (sample, labels), value in self.samples.items():
            if sample == PREFIX + name and label in dict(labels):
                found[dict(labels)[label]] += value
        return dict(found)

    def counters(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        grows = ("_total", "_count", "_sum", "_bucket")
        return {
            key: value
            for key, value in self.samples.items()
            if key[0].startswith(PREFIX) and key[0].endswith(grows)
        }


async def scrape(alb: Alb) -> Scrape:
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.get(f"http://127.0.0.1:{alb.metrics}/metrics")
    assert answer.status_code == 200
    found = Scrape()
    for family in text_string_to_metric_families(answer.text):
        assert family.name not in found.types, f"{family.name} is there twice"
        assert family.documentation
        found.types[family.name] = family.type
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found.samples, key
            found.samples[key] = sample.value
    return found


async def until(alb: Alb, reached) -> Scrape:
    """The first scrape of which that is true: histograms follow within a window, gauges within a beat."""
    async with asyncio.timeout(30):
        while not reached(found := await scrape(alb)):
            await asyncio.sleep(0.1)
    return found


async def ask(alb: Alb, host: str, path: str = "/", count: int = 1, **headers: str) -> list[int]:
    async with httpx.AsyncClient(timeout=20, headers={"host": f"{host}.test", **headers}) as client:
        url = f"http://127.0.0.1:{alb.port}{path}"
        return [(await client.get(url)).status_code for _ in range(count)]


def document(address: str) -> dict:
    return {
        "pools": [
            {"name": "blue", "endpoints": [address]},
            {"name": "copies", "endpoints": [address]},
            {"name": "dead", "endpoints": [f"127.0.0.1:{free_port()}"]},
        ],
        "routes": [
            {"id": "shop", "hosts": ["shop.test", "*.route.test"], "backends": ["blue"]},
            {"id": "copied", "hosts": ["copied.test"], "backends": ["blue"], "mirrors": ["copies", "dead"]},
            {"id": "away", "hosts": ["away.test"], "redirect": {"host": "shop.test", "code": 302}},
            {"id": "calm", "hosts": ["calm.test"], "backends": ["blue"]},
            {"id": "gone", "hosts": ["gone.test"], "backends": ["dead"]},
            {"id": "shut", "hosts": ["shut.test"], "backends": ["blue"], "deny": ["127.0.0.0/8"]},
        ],
        "rate_limits": [{"id": "slowly", "target": "calm", "requests_per_hour": 2}],
    }


@pytest.fixture
async def alb(tmp_path):
    async with serving("blue") as (blue,):
        alb = Alb(tmp_path, document(blue.address))
        try:
            yield await alb.start()
        finally:
            await alb.close()


async def test_a_mirror_counts_its_copies_and_nobody_elses_requests(alb: Alb) -> None:
    assert await ask(alb, "copied", count=3, **{"x-envoy-internal": "true"}) == [200] * 3
    seen = await until(
        alb,
        lambda s: (
            s.get("pool_request_seconds_count", pool="copies") == 3
            and s.get("pool_requests_total", pool="dead", **{"class": "5xx"}) == 3
        ),
    )
    assert seen.get("pool_requests_total", pool="copies", **{"class": "2xx"}) == 3
    assert seen.get("pool_requests_total", pool="blue", **{"class": "2xx"}) == 3
    assert seen.get("route_requests_total", route="copied", **{"class": "2xx"}) == 3


async def test_what_happened_is_what_is_counted(alb: Alb) -> None:
    assert await ask(alb, "shop", count=5) == [200] * 5
    assert await ask(alb, "a.route", count=2) == [200] * 2
    assert await ask(alb, "shop", "/status/404") == [404]
    assert await ask(alb, "shop", "/slow/0.3") == [200]
    assert await ask(alb, "away", count=3) == [302] * 3
    assert await ask(alb, "calm", count=4) == [200, 200, 429, 429]
    assert await ask(alb, "gone") == [503]
    assert await ask(alb, "shut") == [403]
    assert await ask(alb, "nobody") == [404]
    seen = await until(alb, lambda s: s.get("downstream_request_seconds_count") == 19)

    by_route = {(route, status): seen.get("route_requests_total", route=route, **{"class": status})
                for route in ("shop", "away", "calm", "gone", "shut") for status in ("2xx", "3xx", "4xx", "5xx")}  # fmt: skip
    assert {key: value for key, value in by_route.items() if value} == {
        ("shop", "2xx"): 8, ("shop", "4xx"): 1, ("away", "3xx"): 3, ("calm", "2xx"): 2, ("calm", "4xx"): 2,
        ("gone", "5xx"): 1, ("shut", "4xx"): 1,
    }  # fmt: skip
    assert seen.of("downstream_requests_total", "class") == {
        "1xx": 0,
        "2xx": 10,
        "3xx": 3,
        "4xx": 5,
        "5xx": 1,
    }
    assert seen.get("pool_requests_total", pool="blue", **{"class": "2xx"}) == 10
    assert seen.get("pool_requests_total", pool="blue", **{"class": "4xx"}) == 1  # none of what was refused
    assert seen.get("pool_requests_total", pool="dead", **{"class": "5xx"}) == 1
    assert seen.get("pool_connect_failures_total", pool="dead") >= 1
    assert seen.get("pool_endpoints", pool="blue", state="healthy") == 1
    assert seen.get("rate_limit_decisions_total", scope="route", decision="limited") == 2
    assert seen.get("downstream_refusals_total", reason="address") == 1
    assert seen.get("downstream_refusals_total", reason="no_route") == 1
    assert seen.get("downstream_local_answers_total") == 3
    assert seen.get("listener_connections_total", address=f"127.0.0.1:{alb.port}") == 9
    assert seen.of("downstream_connections_total", "protocol") == {"http1": 9, "http2": 0, "http3": 0}
    assert seen.get("xds_connected") == seen.get("live") == seen.get("up") == 1
    assert seen.get("xds_updates_total", type="routes", result="ok") >= 1
    assert seen.get("downstream_sent_bytes_total") > 0


async def test_histograms_are_of_seconds_and_cumulated(alb: Alb) -> None:
    await ask(alb, "shop", count=3)
    await ask(alb, "shop", "/slow/0.3", count=2)
    histograms = (
        ("route_request_seconds", {"route": "shop"}),
        ("pool_request_seconds", {"pool": "blue"}),
        ("downstream_request_seconds", {}),
    )
    seen = await until(
        alb, lambda s: all(s.get(f"{name}_count", **labels) == 5 for name, labels in histograms)
    )
    for name, labels in histograms:
        counts = {
            float(dict(key)["le"]): value
            for (sample, key), value in seen.samples.items()
            if sample == f"{PREFIX}{name}_bucket" and key >= frozenset(labels.items())
        }
        assert list(counts.values()) == sorted(counts.values())
        assert counts[float("inf")] == seen.get(f"{name}_count", **labels) == 5
        assert counts[0.25] == 3
        assert seen.get(f"{name}_sum", **labels) >= 0.6
        assert seen.types[PREFIX + name] == "histogram"


async def test_tls_of_clients_is_counted_by_listener(tmp_path) -> None:
    port = free_port()
    async with serving("blue") as (blue,):
        alb = Alb(
            tmp_path,
            document(blue.address),
            tls_traffic=f"127.0.0.1:{port}",
            https={"self_signed": ["shop.test"]},
        )
        try:
            await alb.start()
            async with httpx.AsyncClient(verify=False, http2=False, timeout=20) as client:
                answer = await client.get(f"https://127.0.0.1:{port}/", headers={"host": "shop.test"})
                assert answer.status_code == 200
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(20):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            writer.close()
            address = f"127.0.0.1:{port}"
            seen = await until(
                alb, lambda s: s.get("listener_tls_errors_total", address=address, reason="handshake") == 1
            )
            assert seen.get("listener_tls_handshakes_total", address=address) == 1
            assert seen.get("listener_tls_handshakes_total", address=f"127.0.0.1:{alb.port}") == 0
        finally:
            await alb.close()


async def test_a_dead_envoy_is_told_and_counters_go_on(alb: Alb) -> None:
    await ask(alb, "shop", count=7)
    before = await until(alb, lambda s: s.get("route_requests_total", route="shop", **{"class": "2xx"}) == 7)
    (envoy,) = alb.envoys()
    os.kill(envoy, signal.SIGSTOP)
    try:
        stopped = await until(alb, lambda s: s.get("up") == 0)
    finally:
        os.kill(envoy, signal.SIGKILL)
    assert (PREFIX + "live", frozenset()) not in stopped.samples  # what is now is not known
    assert stopped.samples["marchproxy_module_nlbs_registered", frozenset()] == 0
    told = before.counters()
    assert [key for key, value in told.items() if stopped.samples[key] < value] == []
    assert stopped.get("route_requests_total", route="shop", **{"class": "2xx"}) == 7

    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if await ask(alb, "shop") == [200]:
                    break
            await asyncio.sleep(0.1)
    after = await until(
        alb,
        lambda s: s.get("up") == 1 and s.get("route_requests_total", route="shop", **{"class": "2xx"}) >= 8,
    )
    assert after.get("route_requests_total", route="shop", **{"class": "2xx"}) == 8
    assert [key for key, value in told.items() if after.samples[key] < value] == []


async def test_counters_go_on_over_a_hot_restart(alb: Alb) -> None:
    def shop(seen: Scrape) -> float:
        return seen.get("route_requests_total", route="shop", **{"class": "2xx"})

    await ask(alb, "shop", count=5)
    before = await until(alb, lambda s: shop(s) == 5)
    answer = await alb.stub.Reload(pb.ReloadRequest(graceful=True, timeout_seconds=1), timeout=60)
    assert answer.success, answer
    asked, after = 5, before
    async with asyncio.timeout(30):
        while shop(after) == 5:  # what the old one still takes is counted nowhere
            asked += len(await ask(alb, "shop"))
            after = await scrape(alb)
    assert 5 < shop(after) <= asked
    told = before.counters()
    assert [key for key, value in told.items() if after.samples[key] < value] == []


async def test_routes_beyond_the_bound_share_one_series(tmp_path) -> None:
    """2,000 routes with traffic: as many series as the bound allows, and nothing is lost."""
    routes = 2_000
    async with serving("blue") as (blue,):
        state = {
            "pools": [{"name": "blue", "endpoints": [blue.address]}],
            "routes": [
                {"id": f"r{number}", "hosts": ["many.test"], "path": f"/{number}/", "backends": ["blue"]}
                for number in range(routes)
            ],
        }
        alb = Alb(tmp_path, state)
        try:
            await alb.start()
            async with httpx.AsyncClient(timeout=20) as client:
                for number in range(routes):
                    answer = await client.get(
                        f"http://127.0.0.1:{alb.port}/{number}/", headers={"host": "many.test"}
                    )
                    assert answer.status_code == 200
            seen = await until(alb, lambda s: sum(s.of("route_requests_total", "route").values()) == routes)
            counted = seen.of("route_requests_total", "route")
            assert len(counted) == MOST + 1
            assert counted[OTHER] == routes - MOST
            assert len(seen.samples) < 20 * MOST
            gone = [name for name in counted if name != OTHER][:10]
            for name in gone:
                await alb.stub.DeleteRoute(pb.DeleteRouteRequest(route_id=name))
            left = await until(alb, lambda s: not set(gone) & s.of("route_requests_total", "route").keys())
            assert left.of("route_requests_total", "route")[OTHER] == routes - MOST
        finally:
            await alb.close()


async def test_percentiles_by_route_and_pool(alb: Alb) -> None:
    await ask(alb, "shop", "/slow/0.2", count=3)
    async with asyncio.timeout(30):
        while True:
            answer = await alb.stub.GetStats(pb.GetStatsRequest())
            pools, routes = answer.pools, answer.routes
            if (
                routes["shop"].total_requests == 3
                and routes["shop"].p50_latency_ms
                and pools["blue"].p50_latency_ms
            ):
                break
            await asyncio.sleep(0.1)
    for stats in (routes["shop"], pools["blue"]):
        assert stats.total_requests == 3
        assert 200 <= stats.p50_latency_ms <= stats.p90_latency_ms <= stats.p99_latency_ms
    await alb.stub.GetStats(pb.GetStatsRequest(reset_counters=True))
    assert (await alb.stub.GetStats(pb.GetStatsRequest())).pools["blue"].total_requests == 0


async def test_endpoints_are_gauges_of_now(alb: Alb) -> None:
    both = pool("blue", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
    both.health_check.CopyFrom(
        types_pb2.HealthCheckConfig(interval_seconds=1, timeout_seconds=1, unhealthy_threshold=1)
    )
    answer = await alb.stub.UpdateBackends(pb.UpdateBackendsRequest(pools=[both]))
    assert answer.success, answer
    seen = await until(
        alb,
        lambda s: (
            s.get("pool_endpoints", pool="blue", state="total") == 3
            and s.get("pool_health_checks_total", pool="blue", result="failed") >= 3
        ),
    )
    assert seen.get("pool_endpoints", pool="blue", state="healthy") == 0
