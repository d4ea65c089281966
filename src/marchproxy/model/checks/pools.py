"""Checks of backend pools."""

import re
from collections.abc import Iterator, Sequence

from marchproxy.model.checks.ai_pools import check_ai_pool
from marchproxy.model.checks.database_pools import check_database_pool
from marchproxy.model.checks.rtmp_pools import check_origin_pool
from marchproxy.model.database import DATABASE_PROTOCOLS
from marchproxy.model.pool import (
    BackendPool,
    BalancePolicy,
    CircuitBreakers,
    Discovery,
    HealthCheck,
    OutlierDetection,
    UpstreamTls,
)
from marchproxy.model.problem import Problem
from marchproxy.model.rtmp import STREAMING_PROTOCOLS
from marchproxy.model.rules import (
    HOST,
    check_address,
    check_count,
    check_duration,
    check_file,
    check_name,
    check_wait,
    duplicates,
    ip_address,
)

_LARGEST_THRESHOLD = 1000
_SRV = re.compile(r"_[A-Za-z0-9-]+\._[A-Za-z]+\.[A-Za-z0-9_.-]*[A-Za-z0-9]\.?")  # RFC 2782
_SLOW_STARTERS = frozenset({BalancePolicy.LEAST_CONNECTIONS, BalancePolicy.ROUND_ROBIN})


def check_pools(pools: Sequence[BackendPool]) -> Iterator[Problem]:
    """Faults of the backend pools."""
    yield from duplicates("pools", "name", pools, lambda pool: pool.name)
    for index, pool in enumerate(pools):
        path = f"pools[{index}]"
        yield from check_name(pool.name, f"{path}.name")
        yield from check_name(pool.version, f"{path}.version")
        yield from check_wait(pool.connect_timeout, f"{path}.connect_timeout")
        yield from duplicates(
            f"{path}.endpoints", "address", pool.endpoints, lambda endpoint: endpoint.address
        )
        for number, endpoint in enumerate(pool.endpoints):
            where = f"{path}.endpoints[{number}]"
            yield from check_address(endpoint.address, f"{where}.address")
            if not 1 <= endpoint.weight <= 100:
                yield Problem(f"{where}.weight", f"{endpoint.weight} is not between 1 and 100")
        if pool.health_check is not None:
            yield from _check_health_check(pool.health_check, f"{path}.health_check")
        yield from _check_traffic(pool, path)
        yield from _check_discovery(pool.discovery, f"{path}.discovery")
        if pool.database is not None or pool.protocol in DATABASE_PROTOCOLS:
            yield from check_database_pool(pool, path)
        if pool.ai is not None:
            yield from check_ai_pool(pool, pool.ai, path)
        if pool.rtmp is not None or pool.protocol in STREAMING_PROTOCOLS:
            yield from check_origin_pool(pool, path)


def _check_health_check(check: HealthCheck, path: str) -> Iterator[Problem]:
    for name, seconds in (("interval", check.interval), ("timeout", check.timeout)):
        yield from check_wait(seconds, f"{path}.{name}")
    for name, count in (
        ("unhealthy_threshold", check.unhealthy_threshold),
        ("healthy_threshold", check.healthy_threshold),
    ):
        if not 1 <= count <= _LARGEST_THRESHOLD:
            yield Problem(f"{path}.{name}", f"{count} is not between 1 and {_LARGEST_THRESHOLD}")
    if check.path and not check.path.startswith("/"):
        yield Problem(f"{path}.path", f'"{check.path}" does not begin with /')
    if not 0 <= check.port <= 65535:
        yield Problem(f"{path}.port", f"{check.port} is not between 0 and 65535")


def _check_traffic(pool: BackendPool, path: str) -> Iterator[Problem]:
    """How requests get to the endpoints, and how many."""
    if pool.tls is not None:
        yield from _check_tls(pool.tls, f"{path}.tls")
    yield from _check_breakers(pool.breakers, f"{path}.breakers")
    if pool.outliers is not None:
        yield from _check_outliers(pool.outliers, f"{path}.outliers")
    yield from check_duration(pool.slow_start, f"{path}.slow_start")
    if pool.slow_start and pool.balance not in _SLOW_STARTERS:
        words = " and ".join(sorted(policy.value for policy in _SLOW_STARTERS))
        yield Problem(f"{path}.slow_start", f"goes with {words}, not with {pool.balance.value}")


def _check_tls(tls: UpstreamTls, path: str) -> Iterator[Problem]:
    for key, file in (("ca", tls.ca), ("certificate", tls.certificate), ("key", tls.key)):
        if file:
            yield from check_file(file, f"{path}.{key}")
    if bool(tls.certificate) != bool(tls.key):
        there, missing = ("certificate", "key") if tls.certificate else ("key", "certificate")
        yield Problem(f"{path}.{there}", f"goes with {missing}, which is not set")
    if tls.server_name and (not HOST.fullmatch(tls.server_name) or tls.server_name.startswith("*")):
        yield Problem(f"{path}.server_name", f'"{tls.server_name}" is not a host name')
    if tls.insecure and tls.ca:
        yield Problem(f"{path}.ca", "nothing is verified with insecure; leave one of them out")


def _check_breakers(breakers: CircuitBreakers, path: str) -> Iterator[Problem]:
    yield from check_count(breakers.max_connections, f"{path}.max_connections")
    yield from check_count(breakers.max_pending_requests, f"{path}.max_pending_requests")
    yield from check_count(breakers.max_requests, f"{path}.max_requests")
    if not 0 <= breakers.retry_percent <= 100:
        yield Problem(f"{path}.retry_percent", f"{breakers.retry_percent} is not between 0 and 100")


def _check_outliers(outliers: OutlierDetection, path: str) -> Iterator[Problem]:
    yield from check_wait(outliers.interval, f"{path}.interval")
    yield from check_wait(outliers.ejection_time, f"{path}.ejection_time")
    for key, number, most in (
        ("consecutive_errors", outliers.consecutive_errors, _LARGEST_THRESHOLD),
        ("max_ejected_percent", outliers.max_ejected_percent, 100),
    ):
        if not 1 <= number <= most:
            yield Problem(f"{path}.{key}", f"{number} is not between 1 and {most}")


def _check_discovery(discovery: Discovery, path: str) -> Iterator[Problem]:
    given = [key for key in ("dns", "srv", "file") if getattr(discovery, key)]
    for key in given[1:]:
        yield Problem(f"{path}.{key}", f"and {given[0]} are both given; one of them can be")
    if discovery.dns:
        yield from check_address(discovery.dns, f"{path}.dns")
        if ip_address(discovery.dns.rpartition(":")[0].strip("[]")) is not None:
            yield Problem(f"{path}.dns", "is an address, not a name to look up; list it as an endpoint")
    if discovery.srv and not _SRV.fullmatch(discovery.srv):
        yield Problem(f"{path}.srv", f'"{discovery.srv}" is not a name such as _http._tcp.shop.internal')
    if discovery.file:
        yield from check_file(discovery.file, f"{path}.file")
    yield from check_wait(discovery.interval, f"{path}.interval")
