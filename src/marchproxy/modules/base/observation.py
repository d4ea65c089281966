"""What an engine counts: cumulative, since the engine's own start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from marchproxy.model.live_stream import StreamReport
from marchproxy.model.series import Point


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds, over the last finished window with traffic."""

    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests and bytes since the start; `failures` are answers of 500 and above, and none at all.

    Of a protocol whose errors do not say whose fault they are, `failures` are all of them, and `rejected` those of them that a
    server answered.
    """

    requests: int = 0
    failures: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    latency: Latency = Latency()
    rejected: int = 0

    def since(self, earlier: "Traffic") -> "Traffic":
        """The traffic after `earlier`. A counter that went back belongs to a restarted engine and counts from 0."""
        return Traffic(
            requests=counted_since(self.requests, earlier.requests),
            failures=counted_since(self.failures, earlier.failures),
            bytes_received=counted_since(self.bytes_received, earlier.bytes_received),
            bytes_sent=counted_since(self.bytes_sent, earlier.bytes_sent),
            latency=self.latency,
            rejected=counted_since(self.rejected, earlier.rejected),
        )


@dataclass(frozen=True, slots=True)
class EndpointSeen:
    """One backend endpoint as the engine sees it now. `name` is the `host:port` that it was found by; empty: none."""

    address: str
    healthy: bool
    active_requests: int = 0
    total_requests: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """One backend pool as the engine sees it. `trouble`: what keeps it from working as it should, in words."""

    traffic: Traffic = Traffic()
    endpoints: tuple[EndpointSeen, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at the engine. `at` in Unix seconds; CPU in percent of one core; memory in MB, all its processes."""

    at: float = 0.0
    traffic: Traffic = Traffic()
    active_connections: int = 0
    total_connections: int = 0
    routes: Mapping[str, Traffic] = field(default_factory=dict)
    pools: Mapping[str, PoolSeen] = field(default_factory=dict)
    status_classes: Mapping[str, int] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    streams: tuple[StreamReport, ...] = ()
    cpu_percent: float = 0.0
    memory_mb: float = 0.0


def counted_since(now: int, earlier: int) -> int:
    """What a counter counted after it stood at `earlier`; one that went back was started anew and counts from 0."""
    return now - earlier if now >= earlier else now
