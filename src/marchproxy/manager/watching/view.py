"""LiveView: what was last seen of the running system. Frozen values; who has one may keep it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from marchproxy.model.module import HealthStatus, ModuleType
from marchproxy.model.revision import RevisionHead


@dataclass(frozen=True, slots=True)
class Rates:
    """What was served lately: requests, errors and bytes per second, latencies in milliseconds.

    Of several instances together: rates added up, latencies of the slowest one that served anything.
    """

    requests: float = 0.0
    errors: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    received: float = 0.0
    """From clients."""
    sent: float = 0.0
    """To clients."""

    @property
    def error_share(self) -> float:
        """Which share of the requests failed, 0 to 1."""
        return min(1.0, self.errors / self.requests) if self.requests > 0 else 0.0


@dataclass(frozen=True, slots=True)
class NlbView:
    """One NLB. `failure`: why it did not answer the last time; the rest is then what it said before."""

    address: str
    id: str = ""
    health: HealthStatus | None = None
    message: str = ""
    version: str = ""
    started_at: datetime | None = None
    checksum: str = ""
    is_current: bool = False
    """It runs the revision that is in force."""
    connections: int = 0
    accepted: float = 0.0
    """New connections per second."""
    last_seen: datetime | None = None
    failure: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Whatever else it tells of itself, in its own words."""


@dataclass(frozen=True, slots=True)
class PartView:
    """One instance of a module."""

    id: str
    kind: ModuleType
    version: str
    address: str
    """Of its gRPC server."""
    health: HealthStatus | None
    """As its NLB sees it; None: not known."""
    checksum: str = ""
    is_current: bool = False
    """It runs the revision that is in force."""
    behind_since: datetime | None = None
    """Since when it has run another one; None: it does not."""
    connections: int = 0
    max_connections: int = 0
    """0: no limit of its own."""
    stats: Rates = Rates()
    cpu: float = 0.0
    """Percent of one core."""
    memory: float = 0.0
    """MiB."""
    since: datetime | None = None
    """When it was started."""
    last_seen: datetime | None = None
    """When it, or its NLB for it, was last heard."""
    nlb: str = ""
    """The address of the first NLB that has it."""
    zone: str = ""
    draining: bool = False
    """It finishes what it has and gets nothing new."""
    troubles: tuple[str, ...] = ()
    """What its NLB has seen go wrong with it."""
    silent: str = ""
    """Why it did not answer us the last time; its figures are then as old as `last_seen`, or its NLB's."""
    traffic: tuple[str, ...] = ()
    """Where it accepts traffic, each "host:port"."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Further figures, named by the module."""


@dataclass(frozen=True, slots=True)
class ListenerView:
    """A listener, over all NLBs. Rates are per second; connections have no latency that anybody measures."""

    name: str
    address: str
    protocol: str
    module_type: str
    plane: str = ""
    """What forwards its bytes: "kernel", "envoy" or "detect"."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Percent of new connections of each version."""
    connections: int = 0
    accepted: float = 0.0
    failed: float = 0.0
    denied: float = 0.0
    received: float = 0.0
    sent: float = 0.0
    instances: Mapping[str, int] = field(default_factory=dict)
    """Open connections by the instance that they were sent to."""


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An endpoint of a pool. `health` is the worst that an instance sees; None: nobody looks."""

    address: str
    health: HealthStatus | None = None
    active_requests: int = 0
    weight: int = 1
    found: bool = False
    """It was found, and is not listed."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """A backend pool, over all instances that have it."""

    name: str
    version: str
    stats: Rates = Rates()
    endpoints: tuple[EndpointView, ...] = ()
    trouble: str = ""
    instances: tuple[str, ...] = ()

    @property
    def sound(self) -> int:
        """How many endpoints are healthy; those that nobody looks at count as such."""
        return sum(
            one.health in {None, HealthStatus.HEALTHY, HealthStatus.DEGRADED} for one in self.endpoints
        )


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision of a rollout, with what it rests on."""

    at: datetime
    verdict: str
    """ "advanced", "held" or "rolled_back"."""
    reason: str
    percent_before: int
    percent_after: int
    canary: Rates
    """Its `requests` and `errors` are counts of the interval here."""
    baseline: Rates
    p_value: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one instance, or one NLB, is with a rollout. `phase`: "ramping", "promoted" or "rolled_back"."""

    phase: str
    percent: int
    reason: str
    updated_at: datetime | None = None
    decisions: tuple[DecisionView, ...] = ()


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout over everybody who carries it out.

    It is rolled back as soon as one has, promoted when all have; `percent` is the least that one has, and the decisions
    are that one's.
    """

    on: str
    """ "route" or "listener"."""
    target: str
    """The route's id or the listener's name; empty: all of them."""
    version: str
    phase: str
    percent: int
    reason: str
    updated_at: datetime | None
    decisions: tuple[DecisionView, ...] = ()
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """By the id of the instance, or the address of the NLB."""
    started_by: str = ""
    """Who started it through a manager; empty: nobody did."""


@dataclass(frozen=True, slots=True)
class ScalingView:
    """A decision of an autoscaler."""

    module_type: str
    at: datetime
    way: str
    """ "up", "down" or "hold"."""
    current: int
    wanted: int
    reason: str
    outcome: str = ""
    manual: bool = False
    nlb: str = ""


@dataclass(frozen=True, slots=True)
class LimitView:
    """A rate limit that NLBs keep: what it let pass and refused, per second."""

    limit_id: str
    allowed: float = 0.0
    denied: float = 0.0


_IDLE = Rates()
_STALE_SECONDS = 7.0


@dataclass(frozen=True, slots=True)
class LiveView:
    """Everything that was last seen. `version` grows by one with each look."""

    version: int = 0
    at: datetime | None = None
    """When an NLB last answered; None: none has yet."""
    age: float = 0.0
    """Seconds since then, when the view was asked for."""
    looked_at: datetime | None = None
    """When this view was put together."""
    head: RevisionHead | None = None
    """The revision in force; None: not known."""
    current: str = ""
    """Its checksum, which everybody should run; empty: not known."""
    total: Rates = Rates()
    """All modules together."""
    connections: int = 0
    """Open at listeners."""
    nlbs: tuple[NlbView, ...] = ()
    parts: tuple[PartView, ...] = ()
    """By kind and id."""
    listeners: tuple[ListenerView, ...] = ()
    routes: Mapping[str, Rates] = field(default_factory=dict)
    """Those that are asked for at present, by route id."""
    pools: Mapping[str, PoolView] = field(default_factory=dict)
    rollouts: tuple[RolloutView, ...] = ()
    """Those under way, and the last one of each target that has ended; the newest first."""
    scaling: tuple[ScalingView, ...] = ()
    """The newest first."""
    limits: tuple[LimitView, ...] = ()

    @property
    def is_stale(self) -> bool:
        """Whether no NLB has answered for longer than a few looks take. Where there are none, nothing is missed."""
        if self.version == 0:
            return True
        return bool(self.nlbs) and (self.at is None or self.age > _STALE_SECONDS)

    def route(self, route_id: str) -> Rates:
        """What a route serves; nothing, where it is not asked for."""
        return self.routes.get(route_id, _IDLE)

    def part(self, part_id: str) -> PartView | None:
        """An instance by its id."""
        return next((part for part in self.parts if part.id == part_id), None)
