from pathlib import Path

import pytest

from marchproxy.engines.envoy.clusters import (
    BoundListener,
    HostCounts,
    MalformedAnswer,
    parse_clusters,
    parse_listeners,
)
from marchproxy.kit.settings.types import HostPort

GOLDEN = Path(__file__).parent / "golden"


def test_hosts_of_a_cluster():
    (cluster,) = parse_clusters((GOLDEN / "clusters.json").read_bytes())
    assert (cluster.name, cluster.dynamic) == ("up", False)
    assert [(host.address, host.healthy, host.weight, host.eds_health) for host in cluster.hosts] == [
        ("127.0.0.1:18999", True, 1, "HEALTHY"),
        ("127.0.0.1:18998", False, 1, "HEALTHY"),
        ("/run/nobody.sock", False, 3, "HEALTHY"),
        ("[::1]:18997", False, 1, "DRAINING"),
    ]
    assert cluster.hosts[0].counts == HostCounts(cx_total=7, rq_total=7, rq_success=7)
    assert cluster.hosts[1].counts == HostCounts(cx_total=7, cx_connect_fail=7, rq_error=7)
    assert cluster.hosts[1].flags == {"failed_active_health_check"}


@pytest.mark.parametrize(
    ("health", "healthy"),
    [
        ("{}", True),
        ('{"eds_health_status": "DEGRADED", "failed_active_degraded_check": true}', True),
        ('{"eds_health_status": "UNHEALTHY"}', False),
        ('{"eds_health_status": "HEALTHY", "failed_outlier_check": true}', False),
        ('{"eds_health_status": "HEALTHY", "pending_dynamic_removal": true}', True),
    ],
)
def test_which_flags_take_a_host_out(health, healthy):
    text = (
        '{"cluster_statuses": [{"name": "c", "added_via_api": true, "host_statuses":'
        f' [{{"address": {{"socket_address": {{"address": "10.0.0.1"}}}}, "health_status": {health}}}]}}]}}'
    )
    (cluster,) = parse_clusters(text)
    assert cluster.dynamic
    assert cluster.hosts[0].healthy is healthy
    assert cluster.hosts[0].address == "10.0.0.1:0"


def test_bound_ports_of_listeners():
    assert parse_listeners((GOLDEN / "listeners.json").read_bytes()) == (
        BoundListener("l1", (HostPort("127.0.0.1", 43197),)),
    )
    more = (
        '{"listener_statuses": [{"name": "l", "local_address": {"pipe": {"path": "/x"}}, "additional_local_addresses":'
        ' [{"socket_address": {"address": "::1", "port_value": 80}}]}]}'
    )
    assert parse_listeners(more) == (BoundListener("l", (HostPort("::1", 80),)),)


def test_nothing_configured():
    assert parse_clusters("{}") == ()
    assert parse_listeners("{}") == ()


@pytest.mark.parametrize("parse", [parse_clusters, parse_listeners])
@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"cluster_statuses": [{}], "listener_statuses": [{}]}', b"\xff\xfe"]
)
def test_anything_else_is_malformed(parse, text):
    with pytest.raises(MalformedAnswer, match=r"1\.40"):
        parse(text)
