"""Health, counts, metrics over the wire."""

import asyncio
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.module import HealthStatus
from marchproxy.modules.base.observation import Latency, Observation, Traffic
from tests.unit.modules.base.api.rig import Rig

LATENCY = Latency(mean=2, p50=1, p90=2, p95=3, p99=4)


def seen(requests: int, failures: int = 0) -> Observation:
    return Observation(
        traffic=Traffic(requests, failures, 10 * requests, 20 * requests, LATENCY),
        active_connections=2,
        total_connections=requests // 10,
        routes={"shop": Traffic(requests // 2, failures, latency=LATENCY)},
        status_classes={"2xx": requests - failures, "5xx": failures},
        cpu_percent=12.5,
        memory_mb=64,
    )


@pytest.mark.parametrize(("deep", "message"), [(False, "as known"), (True, "as asked")])
async def test_health_check(rig: Rig, deep: bool, message: str) -> None:
    rig.engine.state = HealthStatus.DEGRADED
    answer = await rig.stub.HealthCheck(pb.HealthCheckRequest(deep_check=deep))
    assert (answer.status, answer.message) == (types_pb2.HEALTH_STATUS_DEGRADED, message)
    assert answer.checks["engine"] == "ok"
    assert ("pool:blue" in answer.checks) == deep


async def test_get_stats(rig: Rig) -> None:
    rig.engine.seen = seen(100, 5)
    await rig.parts.sampler.look()
    answer = await rig.stub.GetStats(pb.GetStatsRequest())
    stats = answer.stats
    assert (stats.total_requests, stats.successful_requests, stats.failed_requests) == (100, 95, 5)
    assert (stats.bytes_received, stats.bytes_sent) == (1000, 2000)
    assert (stats.active_connections, stats.total_connections) == (2, 10)
    assert (stats.avg_latency_ms, stats.p50_latency_ms, stats.p95_latency_ms, stats.p99_latency_ms) == (
        2,
        1,
        3,
        4,
    )
    assert (stats.cpu_usage_percent, stats.memory_usage_mb) == (12.5, 64)
    assert (stats.custom_stats["p90_latency_ms"], stats.custom_stats["responses_5xx"]) == ("2.000", "5")
    assert answer.routes["shop"].total_requests == 50


async def test_reset_counts_after_its_own_answer(rig: Rig) -> None:
    rig.engine.seen = seen(100, 5)
    answer = await rig.stub.GetStats(pb.GetStatsRequest(reset_counters=True))
    assert answer.stats.total_requests == 100
    rig.engine.seen = seen(130, 5)
    rig.clock.advance(10)
    await rig.parts.sampler.look()
    answer = await rig.stub.GetStats(pb.GetStatsRequest())
    stats = answer.stats
    assert (stats.total_requests, stats.failed_requests, stats.total_connections) == (30, 0, 3)
    assert (stats.custom_stats["responses_2xx"], stats.custom_stats["responses_5xx"]) == ("30", "0")
    assert answer.routes["shop"].total_requests == 15
    assert stats.since.ToDatetime().timestamp() > 0
    assert stats.custom_stats["requests_per_second"] == "3.0"


async def test_an_engine_that_began_anew_counts_from_zero(rig: Rig) -> None:
    rig.engine.seen = seen(100, 5)
    await rig.stub.GetStats(pb.GetStatsRequest(reset_counters=True))
    rig.engine.seen = seen(20)
    await rig.parts.sampler.look()
    stats = (await rig.stub.GetStats(pb.GetStatsRequest())).stats
    assert (stats.total_requests, stats.successful_requests, stats.failed_requests) == (20, 20, 0)
    assert stats.total_connections == 2


async def test_stale_counts_say_so(rig: Rig) -> None:
    rig.engine.silent = True
    await rig.parts.sampler.look()
    stats = (await rig.stub.GetStats(pb.GetStatsRequest())).stats
    assert stats.custom_stats["stale"] == "does not answer"


def names(answer: Any) -> set[str]:
    return {point.name for point in answer.metrics.metrics}


async def test_get_metrics_by_time_and_name(rig: Rig) -> None:
    times = []
    for requests in (10, 20, 30):
        rig.clock.advance(5)
        rig.engine.seen = seen(requests)
        times.append(round((await rig.parts.sampler.look()).at))
    newest = await rig.stub.GetMetrics(pb.GetMetricsRequest(metric_names=["requests_total"]))
    assert [point.value for point in newest.metrics.metrics] == [30]
    assert newest.metrics.instance_id == "alb-1"
    every = await rig.stub.GetMetrics(pb.GetMetricsRequest())
    assert {"requests_total", "latency_ms", "route_requests_total"} <= names(every)
    some = await rig.stub.GetMetrics(
        pb.GetMetricsRequest(
            metric_names=["requests_total"],
            start_time=Timestamp(seconds=times[0]),
            end_time=Timestamp(seconds=times[1]),
        )
    )
    assert [point.value for point in some.metrics.metrics] == [10, 20]
    nothing = await rig.stub.GetMetrics(pb.GetMetricsRequest(end_time=Timestamp(seconds=times[0] - 60)))
    assert not nothing.metrics.metrics


async def test_metrics_before_the_first_look(rig: Rig) -> None:
    assert not (await rig.stub.GetMetrics(pb.GetMetricsRequest())).metrics.metrics


async def test_stream_metrics(rig: Rig) -> None:
    rig.engine.seen = seen(10)
    call = rig.stub.StreamMetrics(
        pb.StreamMetricsRequest(interval_seconds=2, metric_names=["requests_total"])
    )
    values: list[float] = []

    async def pass_time() -> None:
        while True:  # whether the server sleeps already cannot be seen from here
            await rig.clock.elapse(2)
            await asyncio.sleep(0.01)

    async with asyncio.timeout(20):
        passing = asyncio.ensure_future(pass_time())
        async for answer in call:
            (value,) = [point.value for point in answer.metrics.metrics]
            if value not in values:
                values.append(value)
                rig.engine.seen = seen(10 * (len(values) + 1))
            if len(values) == 3:
                break
        passing.cancel()
    call.cancel()
    assert values == [10, 20, 30]


async def test_an_answer_says_which_look_it_is_from(rig: Rig) -> None:
    rig.engine.count(requests=1)
    await rig.parts.sampler.look()
    first = await rig.stub.GetStats(pb.GetStatsRequest())
    rig.engine.count(requests=5)
    assert await rig.stub.GetStats(pb.GetStatsRequest()) == first
    rig.clock.advance(5)
    await rig.parts.sampler.look()
    second = await rig.stub.GetStats(pb.GetStatsRequest())
    assert (first.stats.total_requests, second.stats.total_requests) == (1, 5)
    assert second.collected_at.seconds - first.collected_at.seconds == 5
    rig.engine.silent = True
    await rig.parts.sampler.look()
    stale = await rig.stub.GetStats(pb.GetStatsRequest())
    assert stale.collected_at == second.collected_at
    assert "stale" in stale.stats.custom_stats
