"""Envoy resources of Redis routes: a listener with redis_proxy, and the clusters behind it. Pure.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/network/redis_proxy/v3/redis_proxy.proto
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls

_TYPE = "type.googleapis.com/envoy.extensions"
_PROXY = "envoy.filters.network.redis_proxy"
_SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class RedisPool:
    """Servers under a name; `cluster`: they are seeds of a Redis Cluster, whose slots Envoy asks for."""

    name: str
    servers: tuple[HostPort, ...]
    cluster: bool = False
    connect: float = 3.0
    user: str = ""
    password: str = field(default="", repr=False)
    tls: UpstreamTls | None = None


@dataclass(frozen=True, slots=True)
class Copies:
    """A pool that gets the writes as well; a share of them in percent."""

    pool: str
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys that begin with `text` belong to a pool."""

    text: str
    pool: str
    copies: tuple[Copies, ...] = ()


Reads = Literal["MASTER", "PREFER_REPLICA", "REPLICA"]


@dataclass(frozen=True, slots=True)
class RedisListener:
    """A Unix socket. Times in seconds; `default` is for all other keys, None: they have no server."""

    name: str
    socket: Path
    pools: tuple[RedisPool, ...]
    default: Prefix | None = None
    prefixes: tuple[Prefix, ...] = ()
    timeout: float = 5.0
    reads: Reads = "MASTER"


def listener(spec: RedisListener) -> dict[str, Any]:
    """The listener, as JSON of its message."""
    routes: dict[str, Any] = {"routes": [{"prefix": one.text, **_route(one)} for one in spec.prefixes]}
    if spec.default is not None:
        routes["catch_all_route"] = _route(spec.default)
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
        "address": {"pipe": {"path": str(spec.socket), "mode": 0o600}},
        "filter_chains": [{"filters": [{"name": _PROXY, "typed_config": proxy}]}],
    }


def clusters(spec: RedisListener) -> list[dict[str, Any]]:
    """The clusters that it names, as JSON of their messages."""
    return [_cluster(pool) for pool in spec.pools]


def _route(prefix: Prefix) -> dict[str, Any]:
    route: dict[str, Any] = {"cluster": prefix.pool}
    if prefix.copies:
        route["request_mirror_policy"] = [_mirror(copies) for copies in prefix.copies]
    return route


def _mirror(copies: Copies) -> dict[str, Any]:
    share = {"numerator": round(copies.percent * 10_000), "denominator": "MILLION"}
    return {
        "cluster": copies.pool,
        "exclude_read_commands": True,
        "runtime_fraction": {"default_value": share},
    }


def _cluster(pool: RedisPool) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _address(server)}} for server in pool.servers]
    cluster: dict[str, Any] = {
        "name": pool.name,
        "connect_timeout": _seconds(pool.connect),
        "load_assignment": {"cluster_name": pool.name, "endpoints": [{"lb_endpoints": endpoints}]},
    }
    if pool.password:
        options = {
            "@type": f"{_TYPE}.filters.network.redis_proxy.v3.RedisProtocolOptions",
            "auth_username": {"inline_string": pool.user},
            "auth_password": {"inline_string": pool.password},
        }
        cluster["typed_extension_protocol_options"] = {_PROXY: options}
    if pool.tls is not None:
        cluster["transport_socket"] = _transport(pool.tls, pool.servers[0].host)
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


def _transport(tls: UpstreamTls, host: str) -> dict[str, Any]:
    name = tls.server_name or host
    common: dict[str, Any] = {"tls_params": {"tls_minimum_protocol_version": "TLSv1_2"}}
    if tls.certificate:
        common["tls_certificates"] = [
            {"certificate_chain": {"filename": tls.certificate}, "private_key": {"filename": tls.key}}
        ]
    if not tls.insecure:
        kind = "IP_ADDRESS" if name.replace(".", "").isdigit() or ":" in name else "DNS"
        common["validation_context"] = {
            "trusted_ca": {"filename": tls.ca or _SYSTEM_AUTHORITIES},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
        }
    context = {"@type": f"{_TYPE}.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": common}
    return {"name": "envoy.transport_sockets.tls", "typed_config": {**context, "sni": name}}


def _address(address: HostPort) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _seconds(seconds: float) -> str:
    return f"{seconds:g}s"
