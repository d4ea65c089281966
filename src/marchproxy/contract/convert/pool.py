"""Backend pools. What an engine observes of the endpoints (health, load) is output: set by whoever observes it."""

from collections.abc import Iterable

from marchproxy.contract.convert.ai import ai_pool_to_pb, read_ai_pool
from marchproxy.contract.convert.database import database_pool_to_pb, read_database_pool
from marchproxy.contract.convert.enums import BALANCE, HASH_TABLES, PROTOCOLS
from marchproxy.contract.convert.faults import Faults, read_all, read_one
from marchproxy.contract.convert.pool_parts import (
    breakers_from_pb,
    breakers_to_pb,
    discovery_to_pb,
    outliers_to_pb,
    read_discovery,
    read_outliers,
    tls_from_pb,
    tls_to_pb,
)
from marchproxy.contract.convert.rtmp import read_rtmp_pool, rtmp_pool_to_pb
from marchproxy.contract.convert.times import read_seconds, seconds_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.module import PoolName, Protocol, Version
from marchproxy.model.pool import BackendPool, BalancePolicy, Endpoint, HashTable, HealthCheck


def pool_to_pb(pool: BackendPool) -> types_pb2.BackendPool:
    """The message. Raises InvalidValue for times that no Duration holds."""
    return types_pb2.BackendPool(
        name=pool.name,
        version=pool.version,
        endpoints=[types_pb2.BackendEndpoint(address=e.address, weight=e.weight) for e in pool.endpoints],
        protocol=PROTOCOLS.to_pb(pool.protocol),
        health_check=None if pool.health_check is None else health_check_to_pb(pool.health_check),
        balance=BALANCE.to_pb(pool.balance),
        connect_timeout=seconds_to_pb(pool.connect_timeout),
        tls=None if pool.tls is None else tls_to_pb(pool.tls),
        breakers=breakers_to_pb(pool.breakers),
        outliers=None if pool.outliers is None else outliers_to_pb(pool.outliers),
        discovery=discovery_to_pb(pool.discovery),
        slow_start=seconds_to_pb(pool.slow_start) if pool.slow_start else None,
        hash_table=HASH_TABLES.to_pb(pool.hash_table),
        database=None if pool.database is None else database_pool_to_pb(pool.database),
        ai=None if pool.ai is None else ai_pool_to_pb(pool.ai),
        rtmp=None if pool.rtmp is None else rtmp_pool_to_pb(pool.rtmp),
        metadata=pool.metadata,
    )


def pool_from_pb(pb: types_pb2.BackendPool, path: str = "pool") -> BackendPool:
    """The pool. Raises InvalidValue with every problem of the message; the model's checks come after."""
    return read_one(pb, path, read_pool)


def pools_from_pb(pbs: Iterable[types_pb2.BackendPool], path: str = "pools") -> tuple[BackendPool, ...]:
    """The pools. Raises InvalidValue with every problem of every message."""
    return read_all(pbs, path, read_pool)


def read_pool(pb: types_pb2.BackendPool, path: str, faults: Faults) -> BackendPool:
    """The pool as far as it can be read; what is left out has the model's default."""
    default = BackendPool(name=PoolName(pb.name))
    return BackendPool(
        name=default.name,
        version=Version(pb.version) if pb.version else default.version,
        endpoints=tuple(Endpoint(item.address, item.weight or 1) for item in pb.endpoints),
        protocol=PROTOCOLS.read(pb.protocol, f"{path}.protocol", faults) or default.protocol,
        health_check=read_health_check(pb.health_check, f"{path}.health_check", faults)
        if pb.HasField("health_check")
        else None,
        balance=BALANCE.read(pb.balance, f"{path}.balance", faults) or BalancePolicy.LEAST_CONNECTIONS,
        connect_timeout=read_seconds(pb.connect_timeout, f"{path}.connect_timeout", faults)
        if pb.HasField("connect_timeout")
        else default.connect_timeout,
        tls=tls_from_pb(pb.tls) if pb.HasField("tls") else None,
        breakers=breakers_from_pb(pb.breakers),
        outliers=read_outliers(pb.outliers, f"{path}.outliers", faults) if pb.HasField("outliers") else None,
        discovery=read_discovery(pb.discovery, f"{path}.discovery", faults),
        slow_start=read_seconds(pb.slow_start, f"{path}.slow_start", faults),
        hash_table=HASH_TABLES.read(pb.hash_table, f"{path}.hash_table", faults) or HashTable.MAGLEV,
        ai=read_ai_pool(pb.ai, f"{path}.ai", faults) if pb.HasField("ai") else None,
        rtmp=read_rtmp_pool(pb.rtmp, f"{path}.rtmp", faults) if pb.HasField("rtmp") else None,
        database=read_database_pool(pb.database, f"{path}.database", faults)
        if pb.HasField("database")
        else None,
        metadata=dict(pb.metadata),
    )


def health_check_to_pb(check: HealthCheck) -> types_pb2.HealthCheckConfig:
    """The message; times that are not whole seconds are given twice, rounded up for the oldest clients."""
    pb = types_pb2.HealthCheckConfig(
        interval_seconds=_whole_seconds(check.interval),
        timeout_seconds=_whole_seconds(check.timeout),
        unhealthy_threshold=check.unhealthy_threshold,
        healthy_threshold=check.healthy_threshold,
        health_check_path=check.path,
        health_check_port=check.port,
        health_check_protocol=PROTOCOLS.to_pb(Protocol.HTTP if check.path else Protocol.TCP),
    )
    if pb.interval_seconds != check.interval:
        pb.interval.CopyFrom(seconds_to_pb(check.interval))
    if pb.timeout_seconds != check.timeout:
        pb.timeout.CopyFrom(seconds_to_pb(check.timeout))
    return pb


def health_check_from_pb(pb: types_pb2.HealthCheckConfig, path: str = "health_check") -> HealthCheck:
    """The health check. Raises InvalidValue with every problem of the message."""
    return read_one(pb, path, read_health_check)


def read_health_check(pb: types_pb2.HealthCheckConfig, path: str, faults: Faults) -> HealthCheck:
    """The health check as far as it can be read; what is left out, or 0, has the model's default."""
    default = HealthCheck()
    match PROTOCOLS.read(pb.health_check_protocol, f"{path}.health_check_protocol", faults):
        case Protocol.HTTP if not pb.health_check_path:
            faults.add(f"{path}.health_check_path", "a check with HTTP needs a path")
        case Protocol.TCP if pb.health_check_path:
            faults.add(f"{path}.health_check_path", "a check with TCP has no path")
        case None | Protocol.HTTP | Protocol.TCP:
            pass
        case other:
            faults.add(f"{path}.health_check_protocol", f"checks with {other.value} are not supported")
    interval = float(pb.interval_seconds)
    if pb.HasField("interval"):
        interval = read_seconds(pb.interval, f"{path}.interval", faults)
    timeout = float(pb.timeout_seconds)
    if pb.HasField("timeout"):
        timeout = read_seconds(pb.timeout, f"{path}.timeout", faults)
    return HealthCheck(
        interval=interval or default.interval,
        timeout=timeout or default.timeout,
        unhealthy_threshold=pb.unhealthy_threshold or default.unhealthy_threshold,
        healthy_threshold=pb.healthy_threshold or default.healthy_threshold,
        path=pb.health_check_path,
        port=pb.health_check_port,
    )


def _whole_seconds(seconds: float) -> int:
    return int(-(-seconds // 1))
