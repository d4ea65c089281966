"""Document to model values and back. No checks here: `to_model` keeps what was written, sound or not."""

from marchproxy.contract.document.schema import (
    BackendDocument,
    EndpointDocument,
    HeaderDocument,
    HealthCheckDocument,
    ListenerDocument,
    PathDocument,
    PoolDocument,
    RateLimitDocument,
    RetryDocument,
    RouteDocument,
    ScalingDocument,
    StateDocument,
    TlsDocument,
)
from marchproxy.kit.settings import HostPort
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import PoolName, Version
from marchproxy.model.pool import BackendPool, Endpoint, HealthCheck
from marchproxy.model.route import (
    BackendRef,
    HeaderKind,
    HeaderMatch,
    PathMatch,
    RetryPolicy,
    Route,
    RouteId,
    RouteMatch,
    VersionWeight,
)
from marchproxy.model.scaling import ScalingConfig, ScalingLimits
from marchproxy.model.state import DesiredState


def to_model(document: StateDocument) -> DesiredState:
    """The state that the document describes; version weights come in the order of the versions."""
    return DesiredState(
        listeners=tuple(_listener(item) for item in document.listeners),
        routes=tuple(_route(item) for item in document.routes),
        pools=tuple(_pool(item) for item in document.pools),
        rate_limits=tuple(_limit(item) for item in document.rate_limits),
        scaling=tuple(_scaling(item) for item in document.scaling),
    )


def from_model(state: DesiredState) -> StateDocument:
    """The document that describes the state. Raises pydantic's ValidationError on values no document can hold."""
    return StateDocument(
        listeners=tuple(_listener_document(item) for item in state.listeners),
        routes=tuple(_route_document(item) for item in state.routes),
        pools=tuple(_pool_document(item) for item in state.pools),
        rate_limits=tuple(_limit_document(item) for item in state.rate_limits),
        scaling=tuple(_scaling_document(item) for item in state.scaling),
    )


def _listener(item: ListenerDocument) -> Listener:
    tls = item.tls
    return Listener(
        name=item.name,
        host=item.address.host,
        port=item.address.port,
        protocol=item.protocol,
        module_type=item.module,
        balance=item.balance,
        version_weights=tuple(VersionWeight(Version(v), w) for v, w in sorted(item.version_weights.items())),
        idle_timeout=item.idle_timeout,
        data_plane=item.data_plane,
        server_names=item.server_names,
        alpn=item.alpn,
        tls=None if tls is None else TlsTermination(tls.certificate, tls.key, tls.client_ca, tls.alpn),
        allow=item.allow,
        deny=item.deny,
        max_connections=item.max_connections,
        max_connections_per_source=item.max_connections_per_source,
        proxy_protocol=item.proxy_protocol,
        trusted_proxies=item.trusted_proxies,
    )


def _listener_document(item: Listener) -> ListenerDocument:
    tls = item.tls
    return ListenerDocument(
        name=item.name,
        address=HostPort(item.host, item.port),
        protocol=item.protocol,
        module=item.module_type,
        balance=item.balance,
        version_weights={share.version: share.weight for share in item.version_weights},
        idle_timeout=item.idle_timeout,
        data_plane=item.data_plane,
        server_names=item.server_names,
        alpn=item.alpn,
        tls=None
        if tls is None
        else TlsDocument(certificate=tls.certificate, key=tls.key, client_ca=tls.client_ca, alpn=tls.alpn),
        allow=item.allow,
        deny=item.deny,
        max_connections=item.max_connections,
        max_connections_per_source=item.max_connections_per_source,
        proxy_protocol=item.proxy_protocol,
        trusted_proxies=item.trusted_proxies,
    )


def _route(item: RouteDocument) -> Route:
    kind, path = item.path.given()
    return Route(
        route_id=RouteId(item.id),
        match=RouteMatch(
            hosts=item.hosts,
            path=PathMatch(kind, path or ""),
            methods=item.methods,
            headers=tuple(_header(header) for header in item.headers),
        ),
        backends=tuple(BackendRef(PoolName(backend.pool), backend.weight) for backend in item.backends),
        priority=item.priority,
        protocol=item.protocol,
        module_type=item.module,
        timeout=item.timeout,
        idle_timeout=item.idle_timeout,
        retry=RetryPolicy(item.retry.attempts, item.retry.on, item.retry.per_try_timeout),
        listeners=item.listeners,
        sources=item.sources,
        source_port=item.source_port,
        destination_port=item.destination_port,
        metadata=dict(item.metadata),
    )


def _route_document(item: Route) -> RouteDocument:
    path = item.match.path
    retry = item.retry
    return RouteDocument(
        id=item.route_id,
        hosts=item.match.hosts,
        path=PathDocument.model_validate({path.kind.value: path.value}),
        methods=item.match.methods,
        headers=tuple(_header_document(header) for header in item.match.headers),
        sources=item.sources,
        source_port=item.source_port,
        destination_port=item.destination_port,
        priority=item.priority,
        protocol=item.protocol,
        module=item.module_type,
        listeners=item.listeners,
        backends=tuple(BackendDocument(pool=ref.pool, weight=ref.weight) for ref in item.backends),
        timeout=item.timeout,
        idle_timeout=item.idle_timeout,
        retry=RetryDocument(attempts=retry.attempts, on=retry.on, per_try_timeout=retry.per_try_timeout),
        metadata=dict(item.metadata),
    )


def _header(item: HeaderDocument) -> HeaderMatch:
    kind, value = item.given()
    if isinstance(value, bool):  # `present: false` is the inverse of `present: true`
        return HeaderMatch(item.name, kind, "", invert=item.invert == value)
    return HeaderMatch(item.name, kind, value, item.invert)


def _header_document(item: HeaderMatch) -> HeaderDocument:
    value = True if item.kind is HeaderKind.PRESENT else item.value
    return HeaderDocument.model_validate({"name": item.name, item.kind.value: value, "invert": item.invert})


def _pool(item: PoolDocument) -> BackendPool:
    check = item.health_check
    return BackendPool(
        name=PoolName(item.name),
        version=Version(item.version),
        endpoints=tuple(Endpoint(endpoint.address, endpoint.weight) for endpoint in item.endpoints),
        protocol=item.protocol,
        health_check=None if check is None else HealthCheck(**dict(check)),
        balance=item.balance,
        connect_timeout=item.connect_timeout,
        metadata=dict(item.metadata),
    )


def _pool_document(item: BackendPool) -> PoolDocument:
    check = item.health_check
    return PoolDocument(
        name=item.name,
        version=item.version,
        endpoints=tuple(EndpointDocument(address=e.address, weight=e.weight) for e in item.endpoints),
        protocol=item.protocol,
        health_check=None if check is None else _health_check_document(check),
        balance=item.balance,
        connect_timeout=item.connect_timeout,
        metadata=dict(item.metadata),
    )


def _health_check_document(check: HealthCheck) -> HealthCheckDocument:
    return HealthCheckDocument(
        path=check.path,
        port=check.port,
        interval=check.interval,
        timeout=check.timeout,
        unhealthy_threshold=check.unhealthy_threshold,
        healthy_threshold=check.healthy_threshold,
    )


def _limit(item: RateLimitDocument) -> RateLimit:
    return RateLimit(
        limit_id=LimitId(item.id),
        target=item.target,
        per_second=item.requests_per_second,
        per_minute=item.requests_per_minute,
        per_hour=item.requests_per_hour,
        burst=item.burst_size,
        enabled=item.enabled,
        metadata=dict(item.metadata),
    )


def _limit_document(item: RateLimit) -> RateLimitDocument:
    return RateLimitDocument(
        id=item.limit_id,
        target=item.target,
        requests_per_second=item.per_second,
        requests_per_minute=item.per_minute,
        requests_per_hour=item.per_hour,
        burst_size=item.burst,
        enabled=item.enabled,
        metadata=dict(item.metadata),
    )


def _scaling(item: ScalingDocument) -> ScalingConfig:
    return ScalingConfig(
        module_type=item.module,
        limits=ScalingLimits(item.min_instances, item.max_instances),
        cpu_percent=item.target_cpu_percent,
        memory_percent=item.target_memory_percent,
        memory_limit_mb=item.memory_limit_mb,
        connections=item.target_connections,
        latency_ms=item.target_latency_ms + 0.0,
        max_error_percent=item.max_error_percent,
        up_threshold=item.scale_up_threshold,
        down_threshold=item.scale_down_threshold,
        cooldown=item.cooldown,
        enabled=item.enabled,
    )


def _scaling_document(item: ScalingConfig) -> ScalingDocument:
    return ScalingDocument(
        module=item.module_type,
        min_instances=item.limits.minimum,
        max_instances=item.limits.maximum,
        target_cpu_percent=item.cpu_percent,
        target_memory_percent=item.memory_percent,
        memory_limit_mb=item.memory_limit_mb,
        target_connections=item.connections,
        target_latency_ms=item.latency_ms,
        max_error_percent=item.max_error_percent,
        scale_up_threshold=item.up_threshold,
        scale_down_threshold=item.down_threshold,
        cooldown=item.cooldown,
        enabled=item.enabled,
    )
