"""The shape of the document: keys, types, defaults and shorthands. What the values mean is `model`'s business.

Bounds, names and references are checked by `marchproxy.model.checks`, so that they are told in one voice.
"""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from marchproxy.kit.settings import HostPort, Seconds, Section
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BackendPool, BalancePolicy, Endpoint, HealthCheck
from marchproxy.model.route import HeaderKind, PathKind, Route
from marchproxy.model.scaling import ScalingConfig

# the defaults are the model's, written down once
_LISTENER = Listener("", "", 0)
_ROUTE = Route(route_id="")  # type: ignore[arg-type]
_POOL = BackendPool(name="")  # type: ignore[arg-type]
_ENDPOINT = Endpoint("")
_CHECK = HealthCheck()
_SCALING = ScalingConfig(ModuleType.ALB)
_LIMIT = RateLimit(limit_id="", target="")  # type: ignore[arg-type]


def _short_for(key: str) -> BeforeValidator:
    """A plain text stands for a section in which only `key` is given."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _without_sign_of_zero(seconds: float) -> float:
    return seconds + 0.0  # -0.0 equals 0.0 and must encode to the same bytes


Duration = Annotated[Seconds, AfterValidator(_without_sign_of_zero)]
Labels = dict[str, str]


class TlsDocument(Section):
    """`tls` of a listener: TLS that ends at the NLB."""

    certificate: str
    key: str
    client_ca: str = ""
    alpn: tuple[str, ...] = ()


class ListenerDocument(Section):
    """One of `listeners`: a port of the NLB."""

    name: str
    address: HostPort
    protocol: Protocol = _LISTENER.protocol
    module: ModuleType = _LISTENER.module_type
    balance: BalancePolicy = _LISTENER.balance
    version_weights: dict[str, int] = Field(default_factory=dict)
    idle_timeout: Duration = _LISTENER.idle_timeout
    data_plane: DataPlaneKind = _LISTENER.data_plane
    server_names: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    tls: TlsDocument | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_connections: int = _LISTENER.max_connections
    max_connections_per_source: int = _LISTENER.max_connections_per_source
    proxy_protocol: bool = _LISTENER.proxy_protocol
    trusted_proxies: tuple[str, ...] = ()


class PathDocument(Section):
    """`path` of a route: one of the three; a plain text is a prefix."""

    prefix: str | None = None
    exact: str | None = None
    regex: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if len(self.model_fields_set) != 1 or self.given()[1] is None:
            raise ValueError("give exactly one of prefix, exact and regex")
        return self

    def given(self) -> tuple[PathKind, str | None]:
        """Return the key that was given, and its value."""
        (key,) = self.model_fields_set
        return PathKind(key), getattr(self, key)


class HeaderDocument(Section):
    """One of a route's `headers`: a name and one condition."""

    name: str
    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None
    present: bool | None = None
    invert: bool = False

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if len(self._conditions()) != 1:
            raise ValueError("give exactly one of exact, prefix, regex and present")
        return self

    def given(self) -> tuple[HeaderKind, str | bool]:
        """Return the condition that was given, and its value."""
        ((kind, value),) = self._conditions()
        return kind, value

    def _conditions(self) -> list[tuple[HeaderKind, str | bool]]:
        values = ((kind, getattr(self, kind.value)) for kind in HeaderKind)
        return [(kind, value) for kind, value in values if value is not None]


class RetryDocument(Section):
    """`retry` of a route."""

    attempts: int = _ROUTE.retry.attempts
    on: tuple[str, ...] = _ROUTE.retry.on
    per_try_timeout: Duration = _ROUTE.retry.per_try_timeout


class BackendDocument(Section):
    """One of a route's `backends`; a plain text is the pool's name."""

    pool: str
    weight: int = 100


class RouteDocument(Section):
    """One of `routes`."""

    id: str
    hosts: tuple[str, ...] = ()
    path: Annotated[PathDocument, _short_for("prefix")] = PathDocument(prefix=_ROUTE.match.path.value)
    methods: tuple[str, ...] = ()
    headers: tuple[HeaderDocument, ...] = ()
    sources: tuple[str, ...] = ()
    source_port: int = _ROUTE.source_port
    destination_port: int = _ROUTE.destination_port
    priority: int = _ROUTE.priority
    protocol: Protocol = _ROUTE.protocol
    module: ModuleType | None = _ROUTE.module_type
    listeners: tuple[str, ...] = ()
    backends: tuple[Annotated[BackendDocument, _short_for("pool")], ...] = ()
    timeout: Duration = _ROUTE.timeout
    idle_timeout: Duration = _ROUTE.idle_timeout
    retry: RetryDocument = RetryDocument()
    metadata: Labels = Field(default_factory=dict)


class EndpointDocument(Section):
    """One of a pool's `endpoints`; a plain text is the address."""

    address: str
    weight: int = _ENDPOINT.weight


class HealthCheckDocument(Section):
    """`health_check` of a pool."""

    path: str = _CHECK.path
    port: int = _CHECK.port
    interval: Duration = _CHECK.interval
    timeout: Duration = _CHECK.timeout
    unhealthy_threshold: int = _CHECK.unhealthy_threshold
    healthy_threshold: int = _CHECK.healthy_threshold


class PoolDocument(Section):
    """One of `pools`."""

    name: str
    version: str = _POOL.version
    endpoints: tuple[Annotated[EndpointDocument, _short_for("address")], ...] = ()
    protocol: Protocol = _POOL.protocol
    balance: BalancePolicy = _POOL.balance
    connect_timeout: Duration = _POOL.connect_timeout
    health_check: HealthCheckDocument | None = None
    metadata: Labels = Field(default_factory=dict)


class RateLimitDocument(Section):
    """One of `rate_limits`."""

    id: str
    target: str
    requests_per_second: int = _LIMIT.per_second
    requests_per_minute: int = _LIMIT.per_minute
    requests_per_hour: int = _LIMIT.per_hour
    burst_size: int = _LIMIT.burst
    enabled: bool = _LIMIT.enabled
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
