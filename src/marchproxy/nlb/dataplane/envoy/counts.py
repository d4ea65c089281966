"""Envoy's statistics as traffic counts. Which counter stands for what follows from the chains that were built.

A port's own refusals (a header or a hello that never came, a name that nobody serves) are the first listener's.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from marchproxy.engines.envoy.admin import AdminError, EnvoyAdmin
from marchproxy.engines.envoy.clusters import ClusterStatus
from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.model.limit import LimitId
from marchproxy.model.module import InstanceId
from marchproxy.model.sharing import Port, Sharing, share
from marchproxy.nlb.dataplane.plane import (
    ConnectionCounts,
    Forwarding,
    LimitCounts,
    PlaneUnavailable,
    TrafficCounts,
)
from marchproxy.nlb.dataplane.resources.chains import Admission, Chain, admit
from marchproxy.nlb.dataplane.resources.filters import rate_limit_stat
from marchproxy.nlb.dataplane.resources.naming import cluster_name, port_name

_PORT_REFUSALS = (
    "no_filter_chain_match",
    "downstream_pre_cx_timeout",
    "downstream_listener_filter_error",
    "downstream_cx_overflow",
    "downstream_cx_overload_reject",
    "downstream_global_cx_overflow",
)
_HEADER_REFUSALS = ("not_found_disallowed", "versions.v1.error", "versions.v2.error")
_HANDSHAKE_REFUSALS = ("ssl.connection_error", "ssl.fail_verify_no_cert", "ssl.fail_verify_error")
_STATS = (
    r"^(listener\.(tcp|udp)\.[^/]*"
    r"\.(downstream_cx_active|downstream_cx_total|" + "|".join((*_PORT_REFUSALS, *_HANDSHAKE_REFUSALS)) + r")"
    r"|proxy_proto\..*\.(" + "|".join(_HEADER_REFUSALS) + r")"
    r"|(tcp|http)\..*\.downstream_cx_(total|[rt]x_bytes_total)"
    r"|http\..*\.downstream_cx_active"
    r"|udp\..*\.downstream_sess_(active|total|no_route|[rt]x_bytes)"
    r"|local_rate_limit\..*\.rate_limited"
    r"|cluster\.listener\..*\.upstream_cx_overflow)$"
)


@dataclass(frozen=True, slots=True)
class CountedPort:
    """A port, and how its clients were divided."""

    port: Port
    admissions: tuple[Admission, ...]

    @property
    def chains(self) -> Iterator[Chain]:
        """All of them."""
        return (chain for admission in self.admissions for chain in admission.chains.values())


def counted_ports(forwarding: Forwarding) -> tuple[CountedPort, ...]:
    """What has to be counted when the forwarding is in force."""
    ports = share(plan.listener for plan in forwarding.plan.listeners)
    return tuple(CountedPort(port, admit(port, forwarding.limits)) for port in ports)


class CountsCache:
    """Asks Envoy no more often than it must, however many ask us.

    A limit counts from when this process first kept it: what Envoy counted before then was not under it.
    """

    def __init__(self, admin: EnvoyAdmin) -> None:
        self._admin = admin
        self._lock = asyncio.Lock()
        self._known = TrafficCounts()
        self._read_at = float("-inf")
        self._before: dict[LimitId, LimitCounts] = {}

    async def begin(self, forwarding: Forwarding) -> None:
        """The forwarding is in force now; what is known is about another."""
        async with self._lock:
            self._read_at = float("-inf")
            wanted = {limit.limit_id for limit in forwarding.limits}
            self._before = {key: before for key, before in self._before.items() if key in wanted}
            if not wanted <= self._before.keys():
                with suppress(AdminError):  # then they count from when Envoy started
                    now = (await self._ask(forwarding)).limits
                    self._before = {**now, **self._before}

    async def read(self, forwarding: Forwarding, max_age: float) -> TrafficCounts:
        """What is counted for the forwarding, at most `max_age` seconds old. Raises PlaneUnavailable."""
        async with self._lock:
            if time.monotonic() - self._read_at > max_age:
                try:
                    self._known = self._since(await self._ask(forwarding))
                except AdminError as error:
                    raise PlaneUnavailable(str(error)) from error
                self._read_at = time.monotonic()
            return self._known

    async def _ask(self, forwarding: Forwarding) -> TrafficCounts:
        stats = await self._admin.stats(_STATS)
        return count(forwarding, stats, await self._admin.clusters(r"^listener\."))

    def _since(self, counts: TrafficCounts) -> TrafficCounts:
        return replace(
            counts, limits={key: _less(seen, self._before.get(key)) for key, seen in counts.limits.items()}
        )


def count(forwarding: Forwarding, stats: EnvoyStats, clusters: Iterable[ClusterStatus]) -> TrafficCounts:
    """What one reading of Envoy's statistics and clusters says about the forwarding."""
    by_name = {cluster.name: cluster for cluster in clusters}
    listeners: dict[str, ConnectionCounts] = {}
    endpoints: dict[tuple[str, InstanceId], ConnectionCounts] = {}
    limits: dict[LimitId, LimitCounts] = {limit.limit_id: LimitCounts() for limit in forwarding.limits}
    for counted in counted_ports(forwarding):
        for listener in counted.port.listeners:
            cluster = by_name.get(cluster_name(listener.name))
            for host in cluster.hosts if cluster else ():
                seen = host.counts
                opened = max(0, seen.cx_total - seen.cx_connect_fail)  # Envoy's total is of attempts
                endpoints[listener.name, InstanceId(host.hostname)] = ConnectionCounts(
                    seen.cx_active, opened, seen.cx_connect_fail
                )
        listeners.update(_of_listeners(counted, stats, endpoints))
        for limit, counts in _of_limits(counted.chains, stats):
            limits[limit] = limits.get(limit, LimitCounts()) + counts
    return TrafficCounts(listeners, endpoints, limits)


def _of_listeners(
    counted: CountedPort, stats: EnvoyStats, endpoints: dict[tuple[str, InstanceId], ConnectionCounts]
) -> Iterator[tuple[str, ConnectionCounts]]:
    port = counted.port
    turned_away = _turned_away(port, stats)
    for admission in counted.admissions:
        listener, chains = admission.listener, tuple(admission.chains.values())
        counts = sum((_of_chain(port, chain, stats) for chain in chains), start=ConnectionCounts())
        if listener is port.first:
            counts += turned_away
        active = _open(counted, listener.name, stats, endpoints)
        yield listener.name, counts + ConnectionCounts(active=active)
    if port.sharing is Sharing.REQUEST:
        # the port's connections are the first listener's; the others are counted by what they pass on
        for listener in port.listeners[1:]:
            own = (counts for (name, _), counts in endpoints.items() if name == listener.name)
            passed = sum(own, start=ConnectionCounts())
            yield listener.name, ConnectionCounts(passed.active, passed.total)


def _turned_away(port: Port, stats: EnvoyStats) -> ConnectionCounts:
    """Whom no chain took; and whose handshake failed, who are among those of a chain."""
    name = port_name(port)
    before = sum(stats.counter(f"listener.{name}.{word}") for word in _PORT_REFUSALS)
    before += sum(stats.counter(f"proxy_proto.{name}.{word}") for word in _HEADER_REFUSALS)
    within = sum(stats.counter(f"listener.{name}.{word}") for word in _HANDSHAKE_REFUSALS)
    return ConnectionCounts(total=before, denied=before + within)


def _open(
    counted: CountedPort,
    listener: str,
    stats: EnvoyStats,
    endpoints: dict[tuple[str, InstanceId], ConnectionCounts],
) -> int:
    """Connections open now. Envoy has no gauge for a filter chain, so where several share a port the instances' count."""
    port = counted.port
    if port.first.over_udp:
        return stats.gauge(f"udp.{listener}.downstream_sess_active")
    if len(counted.admissions) == 1:
        return stats.gauge(f"listener.{port_name(port)}.downstream_cx_active")
    return sum(counts.active for (name, _), counts in endpoints.items() if name == listener)


def _of_chain(port: Port, chain: Chain, stats: EnvoyStats) -> ConnectionCounts:
    if port.first.over_udp:
        return _of_udp(chain, stats)
    kind = "http" if port.sharing is Sharing.REQUEST and not chain.denied else "tcp"
    prefix = f"{kind}.{chain.name}"
    total = stats.counter(f"{prefix}.downstream_cx_total")
    refused = sum(stats.counter(rate_limit_stat(chain, bucket)) for bucket in chain.buckets)
    return ConnectionCounts(
        total=total,
        denied=total if chain.denied else refused,
        received=stats.counter(f"{prefix}.downstream_cx_rx_bytes_total"),
        sent=stats.counter(f"{prefix}.downstream_cx_tx_bytes_total"),
    )


def _of_udp(chain: Chain, stats: EnvoyStats) -> ConnectionCounts:
    """Sessions. Of a UDP port all chains have one prefix: the listener's name."""
    prefix = f"udp.{chain.listener.name}"
    if chain.denied:
        denied = stats.counter(f"{prefix}.downstream_sess_no_route")
        return ConnectionCounts(total=denied, denied=denied)
    return ConnectionCounts(
        total=stats.counter(f"{prefix}.downstream_sess_total"),
        denied=stats.counter(f"cluster.{cluster_name(chain.listener.name)}.upstream_cx_overflow"),
        received=stats.counter(f"{prefix}.downstream_sess_rx_bytes"),
        sent=stats.counter(f"{prefix}.downstream_sess_tx_bytes"),
    )


def _of_limits(chains: Iterable[Chain], stats: EnvoyStats) -> Iterator[tuple[LimitId, LimitCounts]]:
    """A chain's connections meet its buckets one after the other: those that the last of a limit passed are allowed."""
    for chain in chains:
        left = stats.counter(f"tcp.{chain.name}.downstream_cx_total") + stats.counter(
            f"http.{chain.name}.downstream_cx_total"
        )
        allowed: dict[LimitId, int] = {}
        denied: dict[LimitId, int] = {}
        for bucket in chain.buckets:
            refused = stats.counter(rate_limit_stat(chain, bucket))
            left -= refused
            denied[bucket.limit] = denied.get(bucket.limit, 0) + refused
            allowed[bucket.limit] = left
        for limit, refused in denied.items():
            yield limit, LimitCounts(allowed[limit], refused)


def _less(seen: LimitCounts, before: LimitCounts | None) -> LimitCounts:
    """The difference; all of it when Envoy began anew in between."""
    if before is None or before.allowed > seen.allowed or before.denied > seen.denied:
        return seen
    return LimitCounts(seen.allowed - before.allowed, seen.denied - before.denied)
