"""Counts as Prometheus metrics."""

from marchproxy.model.limit import LimitId
from marchproxy.model.listener import DataPlaneKind
from marchproxy.model.module import InstanceId
from marchproxy.nlb.dataplane.plane import Choice, ConnectionCounts, LimitCounts, TrafficCounts
from marchproxy.nlb.service.traffic import MOST_LIMITS, MOST_PAIRS, render_traffic

COUNTS = TrafficCounts(
    listeners={"web": ConnectionCounts(1, 2, 3, 4, 5, 6)},
    endpoints={("web", InstanceId("a")): ConnectionCounts(7, 8, 9)},
    limits={LimitId("per-ip"): LimitCounts(10, 11)},
    closes={("web", "unknown"): 12},
)


def lines(counts: TrafficCounts, **more) -> dict[str, float]:
    text = render_traffic(counts, **more).decode()
    pairs = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("marchproxy_nlb_"): float(value) for name, value in pairs}


def test_everything_that_is_counted_has_a_series():
    found = lines(COUNTS, choices={"web": Choice(DataPlaneKind.KERNEL, "fast")})
    assert found == {
        'connections{listener="web"}': 1,
        'accepted_connections_total{listener="web"}': 2,
        'failed_connections_total{listener="web"}': 3,
        'denied_connections_total{listener="web"}': 4,
        'received_bytes_total{listener="web"}': 5,
        'sent_bytes_total{listener="web"}': 6,
        'instance_connections{instance="a",listener="web"}': 7,
        'instance_opened_connections_total{instance="a",listener="web"}': 8,
        'instance_connect_failures_total{instance="a",listener="web"}': 9,
        'limit_allowed_total{limit="per-ip"}': 10,
        'limit_denied_total{limit="per-ip"}': 11,
        'closed_connections_total{listener="web",outcome="unknown"}': 12,
        'listener_data_plane{data_plane="kernel",listener="web"}': 1,
    }


def test_what_is_too_much_is_added_up():
    endpoints = {("web", InstanceId(f"a{n:04}")): ConnectionCounts(1, 2, 3) for n in range(MOST_PAIRS + 50)}
    limits = {LimitId(f"l{n:04}"): LimitCounts(1, 2) for n in range(MOST_LIMITS + 7)}
    found = lines(TrafficCounts(endpoints=endpoints, limits=limits))
    assert sum(name.startswith("instance_connections{") for name in found) == MOST_PAIRS + 1
    assert found['instance_connections{instance="other",listener="web"}'] == 50
    assert found['instance_opened_connections_total{instance="other",listener="web"}'] == 100
    assert found['limit_denied_total{limit="other"}'] == 14
    assert 'instance_connections{instance="a0199",listener="web"}' in found
    assert 'instance_connections{instance="a0200",listener="web"}' not in found
