"""Counts over time: rates, resets, and an engine that began anew."""

from dataclasses import replace

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.base.observation import EndpointSeen, Latency, Observation, PoolSeen, Traffic
from marchproxy.modules.base.sampler import Sampler
from tests.unit.modules.doubles import EngineDouble


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def engine() -> EngineDouble:
    return EngineDouble()


@pytest.fixture
def sampler(engine: EngineDouble, clock: VirtualClock) -> Sampler:
    return Sampler(engine, clock=clock, capacity=3)


@pytest.mark.parametrize(
    ("counts", "rate"),
    [
        ([100], 0.0),  # one look tells no rate
        ([100, 150], 5.0),
        ([100, 100], 0.0),
        ([100, 30], 3.0),  # the engine was started anew: it counted 30 since
    ],
)
async def test_rate(
    sampler: Sampler, engine: EngineDouble, clock: VirtualClock, counts: list[int], rate: float
) -> None:
    for count in counts:
        clock.advance(10)
        engine.count(requests=count)
        await sampler.look()
    assert sampler.requests_per_second == rate


async def test_reset_counts_from_there(sampler: Sampler, engine: EngineDouble, clock: VirtualClock) -> None:
    engine.seen = Observation(
        traffic=Traffic(100, 5), total_connections=7, routes={"shop": Traffic(60)}, status_classes={"2xx": 95}
    )
    await sampler.look()
    clock.advance(5)
    sampler.reset()
    baseline = sampler.baseline
    assert (baseline.at, baseline.traffic, baseline.connections) == (
        clock.now().timestamp(),
        Traffic(100, 5),
        7,
    )
    assert dict(baseline.routes) == {"shop": Traffic(60)}
    assert dict(baseline.status_classes) == {"2xx": 95}


@pytest.mark.parametrize(
    ("now", "earlier", "since"),
    [
        (Traffic(10, 2, 30, 40), Traffic(), Traffic(10, 2, 30, 40)),
        (Traffic(10, 2, 30, 40), Traffic(4, 2, 10, 40), Traffic(6, 0, 20, 0)),
        (Traffic(3, 1, 5, 6), Traffic(100, 50, 500, 600), Traffic(3, 1, 5, 6)),  # restarted
    ],
)
def test_since(now: Traffic, earlier: Traffic, since: Traffic) -> None:
    assert now.since(earlier) == since


async def test_silence_keeps_what_was_seen_last(
    sampler: Sampler, engine: EngineDouble, clock: VirtualClock
) -> None:
    engine.count(requests=5)
    seen = await sampler.look()
    engine.silent = True
    clock.advance(5)
    assert await sampler.look() is seen
    assert (sampler.failure, len(sampler.series)) == ("does not answer", 1)
    engine.silent = False
    await sampler.look()
    assert sampler.failure == ""


async def test_the_past_is_bounded(sampler: Sampler, clock: VirtualClock) -> None:
    for _ in range(10):
        clock.advance(1)
        await sampler.look()
    assert len(sampler.series) == 3


async def test_recent_asks_only_when_the_last_look_is_old(
    sampler: Sampler, engine: EngineDouble, clock: VirtualClock
) -> None:
    await sampler.look()
    clock.advance(1)
    await sampler.recent(2)
    assert engine.looks == 1
    clock.advance(2)
    await sampler.recent(2)
    assert engine.looks == 2


async def test_points(sampler: Sampler, engine: EngineDouble) -> None:
    latency = Latency(mean=2, p50=1, p90=2, p95=3, p99=4)
    engine.seen = replace(
        Observation(),
        traffic=Traffic(10, 1, latency=latency),
        routes={"shop": Traffic(4, 1, latency=latency), "idle": Traffic()},
        pools={"blue": PoolSeen(Traffic(4), (EndpointSeen("a:1", True), EndpointSeen("b:1", False)))},
        status_classes={"5xx": 1},
    )
    await sampler.look()
    frame = sampler.series.latest()
    assert frame is not None
    values = {(point.name, point.labels): point.value for point in frame.points}
    assert values["requests_total", ()] == 10
    assert values["latency_ms", (("quantile", "0.99"),)] == 4
    assert values["route_requests_failed_total", (("route", "shop"),)] == 1
    assert values["route_latency_ms", (("route", "shop"), ("quantile", "0.5"))] == 1
    assert ("route_latency_ms", (("route", "idle"), ("quantile", "0.5"))) not in values
    assert values["pool_endpoints_healthy", (("pool", "blue"),)] == 1
    assert values["responses_total", (("class", "5xx"),)] == 1
