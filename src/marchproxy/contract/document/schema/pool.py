"""`pools`: named sets of backends."""

from typing import Annotated

from pydantic import Field

from marchproxy.contract.document.schema.ai import AiPoolDocument
from marchproxy.contract.document.schema.database import DatabasePoolDocument
from marchproxy.contract.document.schema.parts import Duration, Labels, Number, short_for
from marchproxy.contract.document.schema.rtmp import RtmpPoolDocument
from marchproxy.kit.settings import Section
from marchproxy.model.module import Protocol
from marchproxy.model.pool import (
    BackendPool,
    BalancePolicy,
    CircuitBreakers,
    Discovery,
    Endpoint,
    HashTable,
    HealthCheck,
    OutlierDetection,
    UpstreamTls,
)

_POOL = BackendPool(name="")  # type: ignore[arg-type]
_ENDPOINT = Endpoint("")
_CHECK = HealthCheck()
_TLS = UpstreamTls()
_BREAKERS = CircuitBreakers()
_OUTLIERS = OutlierDetection()
_DISCOVERY = Discovery()


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


class UpstreamTlsDocument(Section):
    """`tls` of a pool: TLS to its endpoints."""

    ca: str = _TLS.ca
    server_name: str = _TLS.server_name
    certificate: str = _TLS.certificate
    key: str = _TLS.key
    insecure: bool = _TLS.insecure


class BreakersDocument(Section):
    """`breakers` of a pool: the most that it is given at once."""

    max_connections: int = _BREAKERS.max_connections
    max_pending_requests: int = _BREAKERS.max_pending_requests
    max_requests: int = _BREAKERS.max_requests
    retry_percent: Number = _BREAKERS.retry_percent


class OutliersDocument(Section):
    """`outliers` of a pool: endpoints that fail are left out for a while."""

    consecutive_errors: int = _OUTLIERS.consecutive_errors
    interval: Duration = _OUTLIERS.interval
    ejection_time: Duration = _OUTLIERS.ejection_time
    max_ejected_percent: int = _OUTLIERS.max_ejected_percent


class DiscoveryDocument(Section):
    """`discovery` of a pool: where further endpoints come from."""

    dns: str = _DISCOVERY.dns
    srv: str = _DISCOVERY.srv
    file: str = _DISCOVERY.file
    interval: Duration = _DISCOVERY.interval


class PoolDocument(Section):
    """One of `pools`."""

    name: str
    version: str = _POOL.version
    endpoints: tuple[Annotated[EndpointDocument, short_for("address")], ...] = ()
    protocol: Protocol = _POOL.protocol
    balance: BalancePolicy = _POOL.balance
    connect_timeout: Duration = _POOL.connect_timeout
    health_check: HealthCheckDocument | None = None
    tls: UpstreamTlsDocument | None = None
    breakers: BreakersDocument = BreakersDocument()
    outliers: OutliersDocument | None = None
    discovery: DiscoveryDocument = DiscoveryDocument()
    slow_start: Duration = _POOL.slow_start
    hash_table: HashTable = _POOL.hash_table
    database: DatabasePoolDocument | None = None
    ai: AiPoolDocument | None = None
    rtmp: RtmpPoolDocument | None = None
    metadata: Labels = Field(default_factory=dict)
