"""Members: registered instances, what they last said, and how the NLB sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from marchproxy.model.module import HealthStatus, ModuleInstance


class Standing(Enum):
    """How the NLB sees a member, whatever the member says of itself."""

    ACTIVE = "active"
    MISSING = "missing"  # heartbeats are overdue: no new connections
    PROVISIONAL = "provisional"  # known from before a restart: forwarded to, asked to register again
    LEAVING = "leaving"  # unregistered: open connections may end


class Trouble(Enum):
    """What the NLB has seen go wrong with a member, whatever the member says of itself."""

    CALLS = "calls"  # its ModuleService does not answer
    CONNECTS = "connects"  # its traffic endpoint does not


@dataclass(frozen=True, slots=True)
class Moment:
    """One point in time, on both clocks: `monotonic` in seconds, for timers; `wall` for people."""

    monotonic: float
    wall: datetime


@dataclass(frozen=True, slots=True)
class Stats:
    """What a module counts: latencies in milliseconds, memory in MiB, processor in percent of one core."""

    total_requests: int = 0
    successful_requests: int = 0
    failed_requests: int = 0
    active_connections: int = 0
    total_connections: int = 0
    avg_latency_ms: float = 0.0
    p50_latency_ms: float = 0.0
    p95_latency_ms: float = 0.0
    p99_latency_ms: float = 0.0
    bytes_received: int = 0
    bytes_sent: int = 0
    cpu_usage_percent: float = 0.0
    memory_usage_mb: float = 0.0
    since: datetime | None = None
    custom: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Member:
    """A registered instance. `instance.health` is its own opinion; `effective` is what the plan goes by."""

    instance: ModuleInstance
    registration_id: str
    registered_at: datetime
    last_heard: Moment
    standing: Standing = Standing.ACTIVE
    stats: Stats = Stats()
    requests_per_second: float = 0.0
    troubles: Mapping[Trouble, str] = field(default_factory=dict, hash=False)

    @property
    def effective(self) -> ModuleInstance:
        """The instance with the health that the NLB acts on; one with troubles is degraded at best."""
        match self.standing:
            case Standing.ACTIVE | Standing.PROVISIONAL:
                if self.troubles and self.instance.health is HealthStatus.HEALTHY:
                    return replace(self.instance, health=HealthStatus.DEGRADED)
                return self.instance
            case Standing.MISSING:
                return replace(self.instance, health=HealthStatus.UNHEALTHY)
            case Standing.LEAVING:
                return replace(self.instance, health=HealthStatus.STOPPING)
