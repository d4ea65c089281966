"""Rules of pools: what the ALB can do for one. No I/O."""

from collections.abc import Iterator, Sequence

from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rules import ip_address
from marchproxy.modules.http.resources.balance import hashed_pools


def pool_faults(pools: Sequence[BackendPool], routes: Sequence[Route] = ()) -> Iterator[Problem]:
    """What an ALB cannot do of sound pools, and of the `routes` to them."""
    hashed = hashed_pools(routes)
    for index, pool in enumerate(pools):
        if pool.beyond_http:
            continue
        path = f"pools[{index}]"
        yield from _tls_faults(pool, path)
        yield from _discovery_faults(pool, path)
        if pool.slow_start and pool.name in hashed:
            yield Problem(
                f"{path}.slow_start",
                "a route to the pool keeps its sessions by a hash, and that knows no slow start; leave one of them out",
            )


def _tls_faults(pool: BackendPool, path: str) -> Iterator[Problem]:
    """Without a name to verify, any certificate of the same authority would do: refused rather than half verified."""
    if pool.tls is None or pool.tls.insecure or pool.tls.server_name:
        return
    nameless = next((e.address for e in pool.endpoints if _is_address(e.address)), pool.discovery.file)
    if nameless:
        yield Problem(
            f"{path}.tls.server_name",
            f"{nameless} has no host name to verify; give the one that it certifies",
        )


def _discovery_faults(pool: BackendPool, path: str) -> Iterator[Problem]:
    """Envoy resolves all endpoints of a pool or none: host names cannot stand beside what is found by other means."""
    if not (pool.discovery.srv or pool.discovery.file):
        return
    means = "srv" if pool.discovery.srv else "file"
    for number, endpoint in enumerate(pool.endpoints):
        if not _is_address(endpoint.address):
            yield Problem(
                f"{path}.endpoints[{number}].address",
                f"{endpoint.address} is a host name; beside {means} only IP addresses can be listed",
            )


def _is_address(address: str) -> bool:
    return ip_address(address.rpartition(":")[0].strip("[]")) is not None
