"""Counts: Envoy's statistics as what the ALB has done. Pure.

Names: https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/stats, for pools
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/upstream/cluster_manager/cluster_stats, and `route_stats`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from marchproxy.engines.envoy.clusters import ClusterStatus, HostStatus
from marchproxy.engines.envoy.stats import EnvoyStats, Histogram, Quantiles
from marchproxy.modules.alb.resources.clusters import cluster_name
from marchproxy.modules.alb.resources.connection_manager import STAT_PREFIX
from marchproxy.modules.alb.resources.route_stats import CODE_TAG, COMPLETED, PREFIX, ROUTE_TAG, TIME
from marchproxy.modules.base.observation import EndpointSeen, Latency, Observation, PoolSeen, Traffic

_HTTP = f"http.{STAT_PREFIX}."
# by status: a request that found no connection is answered with 503, though Envoy has it in no total of the pool's
_ROUTE = re.compile(
    rf"{PREFIX}\.(?:{COMPLETED}\.{CODE_TAG}\.(?P<class>\d)\d\d|{TIME})\.{ROUTE_TAG}\.(?P<name>.+)"
)
_POOL = re.compile(
    rf"cluster\.{re.escape(cluster_name(''))}(?P<name>.+)\.upstream_rq_(?:(?P<class>\d)xx|time)"
)
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_SERVER_ERROR = "5"

#: What `observation` reads beside the table of metrics, as an RE2 pattern.
WANTED = (
    rf"http\.{STAT_PREFIX}\.(downstream_rq_completed|downstream_cx_total|jwt_authn\.tokens\.jwks_fetch_.*)"
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
            latency=_latency(_recent(stats.histograms.get(f"{_HTTP}downstream_rq_time"))),
        ),
        active_connections=stats.gauge(f"{_HTTP}downstream_cx_active"),
        total_connections=stats.counter(f"{_HTTP}downstream_cx_total"),
        routes=_grouped(stats, f"{PREFIX}.", _ROUTE),
        pools=_pools(_grouped(stats, f"cluster.{cluster_name('')}", _POOL), clusters),
        status_classes={name: stats.counter(f"{_HTTP}downstream_rq_{name}") for name in _CLASSES},
    )


def active(stats: EnvoyStats) -> tuple[int, int]:
    """Requests and connections that are open now; a WebSocket is a request."""
    return stats.gauge(f"{_HTTP}downstream_rq_active"), stats.gauge(f"{_HTTP}downstream_cx_active")


def _grouped(stats: EnvoyStats, prefix: str, pattern: re.Pattern[str]) -> dict[str, Traffic]:
    """Traffic by the name in the pattern; all that it matches begins with `prefix`."""
    requests: dict[str, int] = defaultdict(int)
    failures: dict[str, int] = defaultdict(int)
    for name, value in stats.values.items():
        if name.startswith(prefix) and (found := pattern.fullmatch(name)):
            requests[found["name"]] += value
            if found["class"] == _SERVER_ERROR:
                failures[found["name"]] += value
    latencies = {
        found["name"]: _latency(_recent(histogram))
        for name, histogram in stats.histograms.items()
        if name.startswith(prefix) and (found := pattern.fullmatch(name))
    }
    return {
        name: Traffic(count, failures[name], latency=latencies.get(name, Latency()))
        for name, count in requests.items()
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


def _recent(histogram: Histogram | None) -> Quantiles | None:
    """The last window with traffic; everything so far, where there was none in the last."""
    return None if histogram is None else histogram.interval or histogram.cumulative


def _latency(found: Quantiles | None) -> Latency:
    if found is None:
        return Latency()
    mean = found.mean if found.mean is not None else found.p50
    return Latency(mean=mean, p50=found.p50, p90=found.p90, p95=found.p95, p99=found.p99)
