"""Sampler: asks the engine for its counts on a beat; everybody else answers from what it saw last."""

from dataclasses import dataclass, replace

from marchproxy.kit.clock import Clock
from marchproxy.model.problem import Refused
from marchproxy.model.series import Frame, Point, Series
from marchproxy.modules.base.engine import Engine
from marchproxy.modules.base.observation import Observation, Traffic


@dataclass(frozen=True, slots=True)
class Baseline:
    """What had been counted when the counters were last reset, and when (Unix seconds)."""

    at: float
    traffic: Traffic = Traffic()
    routes: tuple[tuple[str, Traffic], ...] = ()
    pools: tuple[tuple[str, Traffic], ...] = ()
    connections: int = 0
    status_classes: tuple[tuple[str, int], ...] = ()


class Sampler:
    """Keeps the last observation and the recent past, in bounded memory."""

    def __init__(self, engine: Engine, *, clock: Clock, capacity: int = 720) -> None:
        self._engine = engine
        self._clock = clock
        self.series = Series(capacity)
        self.last = Observation()
        self.requests_per_second = 0.0
        self.baseline = Baseline(at=clock.now().timestamp())
        self.failure = ""

    async def recent(self, most_age: float) -> Observation:
        """The last observation, or a new one when that is older than `most_age` seconds."""
        age = self._clock.now().timestamp() - self.last.at
        return self.last if 0 <= age < most_age else await self.look()

    async def look(self) -> Observation:
        """Ask the engine now. When it does not answer, the last observation stands and `failure` says why."""
        try:
            seen = await self._engine.observe()
        except Refused as refused:
            self.failure = refused.message
            return self.last
        self.failure = ""
        seen = replace(seen, at=self._clock.now().timestamp())
        self._rate(seen)
        self.last = seen
        self.series.record(Frame(seen.at, tuple(self._points(seen))))
        return seen

    def reset(self) -> None:
        """Count from here on; the engine's own counters go on."""
        self.baseline = Baseline(
            at=self._clock.now().timestamp(),
            traffic=self.last.traffic,
            routes=tuple(self.last.routes.items()),
            pools=tuple((name, seen.traffic) for name, seen in self.last.pools.items()),
            connections=self.last.total_connections,
            status_classes=tuple(self.last.status_classes.items()),
        )

    def _rate(self, seen: Observation) -> None:
        elapsed = seen.at - self.last.at
        if self.last.at and elapsed > 0:
            self.requests_per_second = seen.traffic.since(self.last.traffic).requests / elapsed

    def _points(self, seen: Observation) -> list[Point]:
        total = seen.traffic
        points = [
            Point("requests_total", total.requests),
            Point("requests_failed_total", total.failures),
            Point("requests_per_second", self.requests_per_second),
            Point("connections_active", seen.active_connections),
            Point("connections_total", seen.total_connections),
            Point("bytes_received_total", total.bytes_received),
            Point("bytes_sent_total", total.bytes_sent),
            Point("cpu_percent", seen.cpu_percent),
            Point("memory_mb", seen.memory_mb),
            *_latency_points(total, ()),
        ]
        points += [
            Point("responses_total", count, (("class", name),)) for name, count in seen.status_classes.items()
        ]
        for route, traffic in seen.routes.items():
            points += _traffic_points("route", route, traffic)
        for pool, look in seen.pools.items():
            points += _traffic_points("pool", pool, look.traffic)
            healthy = sum(endpoint.healthy for endpoint in look.endpoints)
            points.append(Point("pool_endpoints_healthy", healthy, (("pool", pool),)))
        return [*points, *seen.points]


def _traffic_points(kind: str, name: str, traffic: Traffic) -> list[Point]:
    labels = ((kind, name),)
    return [
        Point(f"{kind}_requests_total", traffic.requests, labels),
        Point(f"{kind}_requests_failed_total", traffic.failures, labels),
        *(_latency_points(traffic, labels) if traffic.requests else ()),
    ]


def _latency_points(traffic: Traffic, labels: tuple[tuple[str, str], ...]) -> list[Point]:
    prefix = f"{labels[0][0]}_" if labels else ""
    latency = traffic.latency
    quantiles = (("0.5", latency.p50), ("0.9", latency.p90), ("0.95", latency.p95), ("0.99", latency.p99))
    return [Point(f"{prefix}latency_ms", value, (*labels, ("quantile", name))) for name, value in quantiles]
