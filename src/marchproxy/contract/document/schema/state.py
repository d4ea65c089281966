"""The whole desired state, with the sections that are small."""

from pydantic import Field

from marchproxy.contract.document.schema.ai import (
    AllowanceDocument,
    GuardrailDocument,
    PriceDocument,
    VirtualKeyDocument,
)
from marchproxy.contract.document.schema.http import AuthenticationDocument
from marchproxy.contract.document.schema.listener import ListenerDocument
from marchproxy.contract.document.schema.parts import Duration, Labels
from marchproxy.contract.document.schema.pool import PoolDocument
from marchproxy.contract.document.schema.route import RouteDocument
from marchproxy.kit.settings import Section
from marchproxy.model.limit import LimitUnit, RateLimit
from marchproxy.model.module import ModuleType
from marchproxy.model.scaling import ScalingConfig

_SCALING = ScalingConfig(ModuleType.ALB)
_LIMIT = RateLimit(limit_id="", target="")  # type: ignore[arg-type]


class RateLimitDocument(Section):
    """One of `rate_limits`."""

    id: str
    target: str
    requests_per_second: int = _LIMIT.per_second
    requests_per_minute: int = _LIMIT.per_minute
    requests_per_hour: int = _LIMIT.per_hour
    burst_size: int = _LIMIT.burst
    enabled: bool = _LIMIT.enabled
    per: str = _LIMIT.per
    shared: bool = _LIMIT.shared
    counts: LimitUnit = _LIMIT.counts
    max_concurrent: int = _LIMIT.max_concurrent
    metadata: Labels = Field(default_factory=dict)


class ScalingDocument(Section):
    """One of `scaling`: the number of instances of a module type."""

    module: ModuleType
    min_instances: int = _SCALING.limits.minimum
    max_instances: int = _SCALING.limits.maximum
    target_cpu_percent: int = _SCALING.cpu_percent
    target_memory_percent: int = _SCALING.memory_percent
    memory_limit_mb: int = _SCALING.memory_limit_mb
    target_connections: int = _SCALING.connections
    target_latency_ms: float = _SCALING.latency_ms
    max_error_percent: int = _SCALING.max_error_percent
    scale_up_threshold: int = _SCALING.up_threshold
    scale_down_threshold: int = _SCALING.down_threshold
    cooldown: Duration = _SCALING.cooldown
    enabled: bool = _SCALING.enabled


class StateDocument(Section):
    """The whole desired state. A model of a file that holds more, such as process settings, derives from it."""

    listeners: tuple[ListenerDocument, ...] = ()
    routes: tuple[RouteDocument, ...] = ()
    pools: tuple[PoolDocument, ...] = ()
    rate_limits: tuple[RateLimitDocument, ...] = ()
    scaling: tuple[ScalingDocument, ...] = ()
    authentication: tuple[AuthenticationDocument, ...] = ()
    virtual_keys: tuple[VirtualKeyDocument, ...] = ()
    allowances: tuple[AllowanceDocument, ...] = ()
    prices: tuple[PriceDocument, ...] = ()
    guardrails: tuple[GuardrailDocument, ...] = ()
