"""Envoy resources of a Redis route: a listener with redis_proxy, and the clusters behind it. Pure.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/network/redis_proxy/v3/redis_proxy.proto
"""

from dataclasses import dataclass
from typing import Any, Literal

from marchproxy.kit.settings import HostPort

_TYPE = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True, slots=True)
class RedisPool:
    """Servers under a name; `cluster`: they are seeds of a Redis Cluster, whose slots Envoy asks for."""

    name: str
    servers: tuple[HostPort, ...]
    cluster: bool = False
    connect: float = 3.0


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys that begin with `text` belong to a pool; `mirror` names another that gets the writes as well."""

    text: str
    pool: str
    strip: bool = False
    mirror: str = ""


@dataclass(frozen=True, slots=True)
class RedisListener:
    """A port. Times in seconds; `default` is the pool of all other keys, empty for none."""

    name: str
    address: HostPort
    pools: tuple[RedisPool, ...]
    default: str = ""
    prefixes: tuple[Prefix, ...] = ()
    timeout: float = 5.0
    reads: Literal["MASTER", "PREFER_MASTER", "REPLICA", "PREFER_REPLICA", "ANY"] = "MASTER"


def listener(spec: RedisListener) -> dict[str, Any]:
    """The listener, as JSON of its message."""
    routes: dict[str, Any] = {"routes": [_route(prefix) for prefix in spec.prefixes]}
    if spec.default:
        routes["catch_all_route"] = {"cluster": spec.default}
    proxy = {
        "@type": f"{_TYPE}.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": spec.name,
        "settings": {
            "op_timeout": _seconds(spec.timeout),
            "enable_redirection": any(pool.cluster for pool in spec.pools),
            "enable_hashtagging": True,
            "read_policy": spec.reads,
        },
        "prefix_routes": routes,
    }
    return {
        "name": spec.name,
        "address": _address(spec.address),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.redis_proxy", "typed_config": proxy}]}
        ],
    }


def clusters(spec: RedisListener) -> list[dict[str, Any]]:
    """The clusters that it names, as JSON of their messages."""
    return [_cluster(pool) for pool in spec.pools]


def _route(prefix: Prefix) -> dict[str, Any]:
    route: dict[str, Any] = {"prefix": prefix.text, "cluster": prefix.pool, "remove_prefix": prefix.strip}
    if prefix.mirror:
        route["request_mirror_policy"] = [{"cluster": prefix.mirror, "exclude_read_commands": True}]
    return route


def _cluster(pool: RedisPool) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _address(server)}} for server in pool.servers]
    cluster: dict[str, Any] = {
        "name": pool.name,
        "connect_timeout": _seconds(pool.connect),
        "load_assignment": {"cluster_name": pool.name, "endpoints": [{"lb_endpoints": endpoints}]},
    }
    if not pool.cluster:
        return {**cluster, "type": "STRICT_DNS", "lb_policy": "MAGLEV"}
    discovery = {
        "@type": f"{_TYPE}.clusters.redis.v3.RedisClusterConfig",
        "cluster_refresh_rate": "5s",
        "cluster_refresh_timeout": "2s",
        "redirect_refresh_interval": "1s",
        "redirect_refresh_threshold": 1,
    }
    return {
        **cluster,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.redis", "typed_config": discovery},
    }


def _address(address: HostPort) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _seconds(seconds: float) -> str:
    return f"{seconds:g}s"
