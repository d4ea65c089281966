"""Backend pools. Where a part has the same fields on both sides, it is taken over as it is."""

from dataclasses import asdict

from marchproxy.contract.document.convert.ai import ai_pool, ai_pool_document
from marchproxy.contract.document.convert.database import database_pool, database_pool_document
from marchproxy.contract.document.convert.rtmp import rtmp_pool, rtmp_pool_document
from marchproxy.contract.document.schema.pool import (
    BreakersDocument,
    DiscoveryDocument,
    EndpointDocument,
    HealthCheckDocument,
    OutliersDocument,
    PoolDocument,
    UpstreamTlsDocument,
)
from marchproxy.model.module import PoolName, Version
from marchproxy.model.pool import (
    BackendPool,
    CircuitBreakers,
    Discovery,
    Endpoint,
    HealthCheck,
    OutlierDetection,
    UpstreamTls,
)


def pool(item: PoolDocument) -> BackendPool:
    """The pool."""
    return BackendPool(
        name=PoolName(item.name),
        version=Version(item.version),
        endpoints=tuple(Endpoint(endpoint.address, endpoint.weight) for endpoint in item.endpoints),
        protocol=item.protocol,
        health_check=None if item.health_check is None else HealthCheck(**dict(item.health_check)),
        balance=item.balance,
        connect_timeout=item.connect_timeout,
        tls=None if item.tls is None else UpstreamTls(**dict(item.tls)),
        breakers=CircuitBreakers(**dict(item.breakers)),
        outliers=None if item.outliers is None else OutlierDetection(**dict(item.outliers)),
        discovery=Discovery(**dict(item.discovery)),
        slow_start=item.slow_start,
        hash_table=item.hash_table,
        database=database_pool(item.database),
        ai=ai_pool(item.ai),
        rtmp=rtmp_pool(item.rtmp),
        metadata=dict(item.metadata),
    )


def pool_document(item: BackendPool) -> PoolDocument:
    """The document of a pool."""
    return PoolDocument(
        name=item.name,
        version=item.version,
        endpoints=tuple(EndpointDocument(address=e.address, weight=e.weight) for e in item.endpoints),
        protocol=item.protocol,
        health_check=None if item.health_check is None else HealthCheckDocument(**asdict(item.health_check)),
        balance=item.balance,
        connect_timeout=item.connect_timeout,
        tls=None if item.tls is None else UpstreamTlsDocument(**asdict(item.tls)),
        breakers=BreakersDocument(**asdict(item.breakers)),
        outliers=None if item.outliers is None else OutliersDocument(**asdict(item.outliers)),
        discovery=DiscoveryDocument(**asdict(item.discovery)),
        slow_start=item.slow_start,
        hash_table=item.hash_table,
        database=database_pool_document(item.database),
        ai=ai_pool_document(item.ai),
        rtmp=rtmp_pool_document(item.rtmp),
        metadata=dict(item.metadata),
    )
