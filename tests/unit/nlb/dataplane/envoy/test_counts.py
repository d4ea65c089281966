"""Which of Envoy's counters stand for what."""

from dataclasses import replace

from marchproxy.engines.envoy.clusters import ClusterStatus, HostCounts, HostStatus
from marchproxy.engines.envoy.stats import EnvoyStats
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.plan import ForwardingPlan, ListenerPlan
from marchproxy.nlb.dataplane.envoy.counts import count
from marchproxy.nlb.dataplane.plane import ConnectionCounts, Forwarding, LimitCounts

RAW = Listener("raw", "0.0.0.0", 80, Protocol.TCP)


def carried(*listeners: Listener, limits: tuple[RateLimit, ...] = ()) -> Forwarding:
    return Forwarding(ForwardingPlan(tuple(ListenerPlan(one, ()) for one in listeners)), limits=limits)


def cluster(listener: str, **counts: int) -> ClusterStatus:
    host = HostStatus("10.0.0.1:80", "a", 1, "HEALTHY", frozenset(), HostCounts(**counts))
    return ClusterStatus(f"listener.{listener}", True, (host,))


def test_a_listener_counts_its_chains_and_whom_its_port_turned_away():
    stats = EnvoyStats(
        {
            "listener.tcp.0.0.0.0.80.downstream_cx_active": 3,
            "listener.tcp.0.0.0.0.80.no_filter_chain_match": 1,
            "listener.tcp.0.0.0.0.80.downstream_pre_cx_timeout": 2,
            "listener.tcp.0.0.0.0.80.ssl.connection_error": 4,
            "proxy_proto.tcp.0.0.0.0.80.not_found_disallowed": 8,
            "tcp.raw.downstream_cx_total": 100,
            "tcp.raw.downstream_cx_rx_bytes_total": 10,
            "tcp.raw.downstream_cx_tx_bytes_total": 20,
            "tcp.raw/denied.downstream_cx_total": 16,
            "listener.tcp.0.0.0.0.80.downstream_cx_overflow": 32,
            "tcp.other.downstream_cx_total": 999,
        }
    )
    counts = count(
        carried(replace(RAW, deny=("10.0.0.0/8",), max_connections=9)),
        stats,
        [cluster("raw", cx_active=2, cx_total=60, cx_connect_fail=5)],
    )
    assert counts.listeners == {"raw": ConnectionCounts(3, 159, 0, 1 + 2 + 4 + 8 + 16 + 32, 10, 20)}
    assert counts.endpoints == {("raw", "a"): ConnectionCounts(2, 55, 5)}  # failed ones are not of the total


def test_a_connection_meets_the_buckets_of_its_chain_in_turn_and_chains_add_up():
    limits = (
        RateLimit(LimitId("wide"), "module:alb", per_second=9, per_hour=9),
        RateLimit(LimitId("narrow"), "source:10.0.0.0/8", per_second=9),
        RateLimit(LimitId("unused"), "listener:none", per_second=9),
    )
    stats = EnvoyStats(
        {
            "tcp.raw.downstream_cx_total": 100,
            "local_rate_limit.raw/wide/second.rate_limited": 10,
            "local_rate_limit.raw/wide/hour.rate_limited": 20,
            "tcp.raw/narrow.downstream_cx_total": 50,
            "local_rate_limit.raw/narrow/narrow/second.rate_limited": 5,
            "local_rate_limit.raw/narrow/wide/hour.rate_limited": 1,
        }
    )
    counts = count(carried(RAW, limits=limits), stats, [])
    assert counts.limits == {
        "wide": LimitCounts(allowed=70 + 44, denied=31),
        "narrow": LimitCounts(allowed=45, denied=5),
        "unused": LimitCounts(),
    }
    assert counts.listeners["raw"].denied == 36


def test_who_shares_a_port_by_request_is_counted_by_what_is_passed_on():
    web, ai = replace(RAW, protocol=Protocol.HTTP), Listener("ai", "0.0.0.0", 80, module_type=ModuleType.AILB)
    stats = EnvoyStats({"http.raw.downstream_cx_total": 7, "listener.tcp.0.0.0.0.80.downstream_cx_active": 2})
    counts = count(
        carried(web, ai), stats, [cluster("raw", cx_total=4), cluster("ai", cx_active=1, cx_total=3)]
    )
    assert counts.listeners == {"raw": ConnectionCounts(2, 7), "ai": ConnectionCounts(1, 3)}


def test_sessions_of_udp():
    dns = Listener("dns", "::", 53, Protocol.UDP, deny=("::1",))
    stats = EnvoyStats(
        {
            "udp.dns.downstream_sess_active": 1,
            "udp.dns.downstream_sess_total": 10,
            "udp.dns.downstream_sess_no_route": 2,
            "udp.dns.downstream_sess_rx_bytes": 30,
            "udp.dns.downstream_sess_tx_bytes": 40,
            "cluster.listener.dns.upstream_cx_overflow": 5,
        }
    )
    assert count(carried(dns), stats, []).listeners == {"dns": ConnectionCounts(1, 12, 0, 7, 30, 40)}
