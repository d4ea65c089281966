"""Counts: Envoy's statistics as what the ALB has done. Pure.

Names: https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/stats and
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/router_filter#statistics
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from marchproxy.engines.envoy.clusters import ClusterStatus, HostStatus
from marchproxy.engines.envoy.stats import EnvoyStats, Quantiles
from marchproxy.modules.alb.handshakes import WANTED as HANDSHAKES
from marchproxy.modules.alb.resources.clusters import cluster_name
from marchproxy.modules.alb.resources.connection_manager import STAT_PREFIX
from marchproxy.modules.base.observation import EndpointSeen, Latency, Observation, PoolSeen, Traffic

_HTTP = f"http.{STAT_PREFIX}."
_ROUTE = re.compile(r"vhost\..+?\.route\.(?P<route>.+)\.(?P<stat>upstream_rq_(?:completed|5xx|time))")
_POOL = re.compile(
    rf"cluster\.{re.escape(cluster_name(''))}(?P<pool>.+)\.(?P<stat>upstream_rq_(?:completed|5xx|time))"
)
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")

#: The statistics that `observe` reads, as an RE2 pattern: the rest would only cost time.
WANTED = (
    rf"^(http\.{STAT_PREFIX}\.(downstream_rq_(total|completed|time|[1-5]xx)|downstream_cx_(active|total|[rt]x_bytes_total))"
    r"|vhost\..+\.route\..+\.upstream_rq_(completed|5xx|time)"
    r"|cluster\.pool\..+\.upstream_rq_(completed|5xx|time)"
    rf"|{HANDSHAKES}"
    r"|(http_)?local_rate_limit\..+|limit_\w+\.http_local_rate_limit\..+)$"
)
#: What goes on at this moment.
ACTIVE = rf"^http\.{STAT_PREFIX}\.downstream_(rq|cx)_active$"
#: The clusters whose endpoints are looked at.
POOLS = rf"^{re.escape(cluster_name(''))}"


def observation(stats: EnvoyStats, clusters: Iterable[ClusterStatus]) -> Observation:
    """What was counted; time, CPU and memory are left to the caller."""
    return Observation(
        traffic=Traffic(
            requests=stats.counter(f"{_HTTP}downstream_rq_completed"),
            failures=stats.counter(f"{_HTTP}downstream_rq_5xx"),
            bytes_received=stats.counter(f"{_HTTP}downstream_cx_rx_bytes_total"),
            bytes_sent=stats.counter(f"{_HTTP}downstream_cx_tx_bytes_total"),
            latency=_latency(_recent(stats, f"{_HTTP}downstream_rq_time")),
        ),
        active_connections=stats.gauge(f"{_HTTP}downstream_cx_active"),
        total_connections=stats.counter(f"{_HTTP}downstream_cx_total"),
        routes=_grouped(stats, _ROUTE),
        pools=_pools(_grouped(stats, _POOL), clusters),
        status_classes={name: stats.counter(f"{_HTTP}downstream_rq_{name}") for name in _CLASSES},
    )


def active(stats: EnvoyStats) -> tuple[int, int]:
    """Requests and connections that are open now; a WebSocket is a request."""
    return stats.gauge(f"{_HTTP}downstream_rq_active"), stats.gauge(f"{_HTTP}downstream_cx_active")


def _grouped(stats: EnvoyStats, pattern: re.Pattern[str]) -> dict[str, Traffic]:
    """Traffic by the pattern's first group; a route that stands in several virtual hosts is added up."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, value in stats.values.items():
        if found := pattern.fullmatch(name):
            counts[found[1]][found["stat"]] += value
    slowest: dict[str, Latency] = {}
    for name in stats.histograms:
        if found := pattern.fullmatch(name):
            latency = _latency(_recent(stats, name))
            slowest[found[1]] = max(slowest.get(found[1], Latency()), latency, key=lambda item: item.p99)
    return {
        name: Traffic(
            # completed, not total: a request that finds no connection is answered with 503 and never in the total
            requests=count["upstream_rq_completed"],
            failures=count["upstream_rq_5xx"],
            latency=slowest.get(name, Latency()),
        )
        for name, count in counts.items()
    }


def _pools(traffic: Mapping[str, Traffic], clusters: Iterable[ClusterStatus]) -> dict[str, PoolSeen]:
    prefix = cluster_name("")
    return {
        cluster.name.removeprefix(prefix): PoolSeen(
            traffic=traffic.get(cluster.name.removeprefix(prefix), Traffic()),
            endpoints=tuple(
                EndpointSeen(
                    host.address, host.healthy, host.counts.rq_active, host.counts.rq_total, _name(host)
                )
                for host in cluster.hosts
            ),
        )
        for cluster in clusters
        if cluster.name.startswith(prefix)
    }


def _name(host: HostStatus) -> str:
    """The host name and port that the endpoint stands for; empty where it is none."""
    if not host.hostname or host.hostname == host.address.rpartition(":")[0].strip("[]"):
        return ""
    return f"{host.hostname}:{host.address.rpartition(':')[2]}"


def _recent(stats: EnvoyStats, name: str) -> Quantiles | None:
    """The last window with traffic; everything so far, where there was none in the last."""
    return stats.histogram(name, interval=True) or stats.histogram(name)


def _latency(found: Quantiles | None) -> Latency:
    if found is None:
        return Latency()
    mean = found.mean if found.mean is not None else found.p50
    return Latency(mean=mean, p50=found.p50, p90=found.p90, p95=found.p95, p99=found.p99)
