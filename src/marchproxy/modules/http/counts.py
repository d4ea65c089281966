"""Counts: Envoy's statistics as what the ALB has done. Pure.

Names: https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/stats, for pools
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/upstream/cluster_manager/cluster_stats, and `route_stats`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from marchproxy.engines.envoy.blend import blend
from marchproxy.engines.envoy.clusters import ClusterStatus, HostStatus
from marchproxy.engines.envoy.stats import EnvoyStats, Histogram, Quantiles
from marchproxy.modules.base.observation import EndpointSeen, Latency, Observation, PoolSeen, Traffic
from marchproxy.modules.http.resources.clusters import REACHING, cluster_name
from marchproxy.modules.http.resources.connection_manager import STAT_PREFIX
from marchproxy.modules.http.resources.route_stats import COMPLETED, PREFIX, TAG, TIME

_HTTP = f"http.{STAT_PREFIX}."
_POOL = cluster_name("")
_REACHING = "|".join(map(re.escape, REACHING))
# what was attempted 0 times was answered before it came to its pool; what met no endpoint was attempted
_ENDED = re.compile(
    rf"{PREFIX}\.(?:{COMPLETED}\.{TAG}\.(?P<class>\d)\d\d|{TIME}\.{TAG})[./]"
    rf"(?P<way>(?P<attempts>\d+)/(?:(?:{_REACHING})(?P<pool>[^/]+)|[^/]*)/(?P<route>[^/]*))"
)
_FETCHES = re.compile(rf"cluster\.{re.escape(_POOL)}(?P<pool>.+)\.upstream_rq_(?P<class>\d)xx")
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
    routes, pools = _traffic(stats)
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
        routes=routes,
        pools=_pools(pools, clusters),
        status_classes={name: stats.counter(f"{_HTTP}downstream_rq_{name}") for name in _CLASSES},
    )


def active(stats: EnvoyStats) -> tuple[int, int]:
    """Requests and connections that are open now; a WebSocket is a request."""
    return stats.gauge(f"{_HTTP}downstream_rq_active"), stats.gauge(f"{_HTTP}downstream_cx_active")


@dataclass(slots=True)
class _Sum:
    """Of one route, or of one pool."""

    requests: int = 0
    failures: int = 0
    recent: list[tuple[Quantiles, float]] = field(default_factory=list)
    earlier: list[tuple[Quantiles, float]] = field(default_factory=list)

    def count(self, number: int, *, failed: bool) -> None:
        self.requests += number
        self.failures += number if failed else 0

    def time(self, histogram: Histogram, share: int) -> None:
        for found, parts in ((histogram.interval, self.recent), (histogram.cumulative, self.earlier)):
            if found is not None and share:
                parts.append((found, share))

    def traffic(self) -> Traffic:
        return Traffic(self.requests, self.failures, latency=_latency(blend(self.recent or self.earlier)))


_Sums = defaultdict[str, _Sum]


def _traffic(stats: EnvoyStats) -> tuple[dict[str, Traffic], dict[str, Traffic]]:
    """Of routes and of pools. Ways that share a route or a pool have shares of its time by what went each of them."""
    routes: _Sums = defaultdict(_Sum)
    pools: _Sums = defaultdict(_Sum)
    ways: dict[str, int] = defaultdict(int)
    for name, number in stats.values.items():
        if name.startswith(PREFIX) and (found := _ENDED.fullmatch(name)):
            ways[found["way"]] += number
            for its in _sums(found, routes, pools):
                its.count(number, failed=found["class"] == _SERVER_ERROR)
        elif name.startswith("cluster.") and (found := _FETCHES.fullmatch(name)):
            pools[found["pool"]].count(number, failed=found["class"] == _SERVER_ERROR)
    for name, histogram in stats.histograms.items():
        if name.startswith(PREFIX) and (found := _ENDED.fullmatch(name)):
            for its in _sums(found, routes, pools):
                its.time(histogram, ways[found["way"]])
    return (
        {name: its.traffic() for name, its in routes.items()},
        {name: its.traffic() for name, its in pools.items()},
    )


def _sums(found: re.Match[str], routes: _Sums, pools: _Sums) -> Iterator[_Sum]:
    if found["route"]:
        yield routes[found["route"]]
    if found["pool"] and found["attempts"] != "0":
        yield pools[found["pool"]]


def _pools(traffic: Mapping[str, Traffic], clusters: Iterable[ClusterStatus]) -> dict[str, PoolSeen]:
    return {
        cluster.name.removeprefix(_POOL): PoolSeen(
            traffic=traffic.get(cluster.name.removeprefix(_POOL), Traffic()),
            endpoints=tuple(
                EndpointSeen(
                    host.address, host.healthy, host.counts.rq_active, host.counts.rq_total, _name(host)
                )
                for host in cluster.hosts
            ),
        )
        for cluster in clusters
        if cluster.name.startswith(_POOL)
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
