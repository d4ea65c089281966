"""Checks of backend pools."""

from collections.abc import Iterator, Sequence

from marchproxy.model.pool import BackendPool, HealthCheck
from marchproxy.model.problem import Problem
from marchproxy.model.rules import check_address, check_name, check_wait, duplicates

_LARGEST_THRESHOLD = 1000


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
