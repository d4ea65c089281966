"""How one of a pool's endpoints is chosen: the policy, the table of hashes, slow start.

https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/load_balancing/load_balancers
"""

from collections.abc import Iterable, Mapping

from envoy.config.cluster.v3 import cluster_pb2

from marchproxy.engines.envoy.messages import duration
from marchproxy.model.http import StickyKind
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, BalancePolicy, HashTable
from marchproxy.model.route import Route

_POLICIES: Mapping[BalancePolicy, cluster_pb2.Cluster.LbPolicy.ValueType] = {
    BalancePolicy.LEAST_CONNECTIONS: cluster_pb2.Cluster.LEAST_REQUEST,
    BalancePolicy.ROUND_ROBIN: cluster_pb2.Cluster.ROUND_ROBIN,
    BalancePolicy.RANDOM: cluster_pb2.Cluster.RANDOM,
}
_TABLES: Mapping[HashTable, cluster_pb2.Cluster.LbPolicy.ValueType] = {
    HashTable.MAGLEV: cluster_pb2.Cluster.MAGLEV,
    HashTable.RING: cluster_pb2.Cluster.RING_HASH,
}
_HASHED = frozenset({StickyKind.HEADER, StickyKind.SOURCE})
#: Policies under which Envoy knows slow start.
SLOW_START = frozenset({BalancePolicy.LEAST_CONNECTIONS, BalancePolicy.ROUND_ROBIN})


def hashing_pools(pools: Iterable[BackendPool], hashed: frozenset[PoolName]) -> frozenset[PoolName]:
    """The pools that choose by a hash: those `hashed` for a route, and those whose own policy it is."""
    return hashed | {pool.name for pool in pools if pool.balance is BalancePolicy.SOURCE_HASH}


def hashed_pools(routes: Iterable[Route]) -> frozenset[PoolName]:
    """The pools that need a table because a route to them keeps sessions by a hash, whatever their own policy is."""
    return frozenset(
        backend.pool
        for route in routes
        if route.sticky is not None and route.sticky.kind in _HASHED
        for backend in route.backends
    )


def set_balance(cluster: cluster_pb2.Cluster, pool: BackendPool, *, hashed: bool) -> None:
    """Set the policy; `hashed`: a route keeps its sessions by a hash. A request without a hash goes anywhere."""
    if hashed or pool.balance is BalancePolicy.SOURCE_HASH:
        cluster.lb_policy = _TABLES[pool.hash_table]
        return
    cluster.lb_policy = _POLICIES[pool.balance]
    if pool.slow_start and pool.balance in SLOW_START:
        window = cluster_pb2.Cluster.SlowStartConfig(slow_start_window=duration(pool.slow_start))
        if pool.balance is BalancePolicy.ROUND_ROBIN:
            cluster.round_robin_lb_config.slow_start_config.CopyFrom(window)
        else:
            cluster.least_request_lb_config.slow_start_config.CopyFrom(window)
