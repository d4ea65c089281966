"""What a statistic is counted as."""

import re

import pytest

from marchproxy.engines.envoy.metrics.common import COMMON
from marchproxy.engines.envoy.metrics.source import wanted
from marchproxy.modules.http.metrics import TABLE

Read = tuple[str, str, dict[str, str]]


def read(name: str) -> list[Read]:
    """Family, thing and labels, by every source."""
    found = (source.read(name) for source in TABLE)
    return [(its[1].family.name, its[0], dict(its[1].labels)) for its in found if its is not None]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("server.live", ("live", "", {})),
        ("cluster_manager.cds.update_rejected", ("xds_updates_total", "", {"type": "cluster", "result": "rejected"})),
        ("http.alb.rds.routes.update_success", ("xds_updates_total", "", {"type": "routes", "result": "ok"})),
        ("cluster.pool.blue.update_failure", ("xds_updates_total", "", {"type": "endpoints", "result": "failed"})),
        ("http.alb.downstream_rq_5xx", ("downstream_requests_total", "", {"class": "5xx"})),
        ("http.alb.downstream_cx_http3_total", ("downstream_connections_total", "", {"protocol": "http3"})),
        ("http..basic_auth.denied", ("downstream_refusals_total", "", {"reason": "password"})),
        ("http.alb.jwt_authn.tokens.denied", ("downstream_refusals_total", "", {"reason": "token"})),
        ("extension_config_discovery.http_filter.a.b.update_success", ("xds_updates_total", "", {"type": "filter", "result": "ok"})),
        ("http.admin.downstream_rq_5xx", None),
        ("listener.0.0.0.0_80.downstream_cx_total", ("listener_connections_total", "0.0.0.0:80", {})),
        ("listener.[__1]_443.ssl.handshake", ("listener_tls_handshakes_total", "[__1]:443", {})),
        ("listener.0.0.0.0_80.worker_0.downstream_cx_total", None),
        ("listener.admin.downstream_cx_total", None),
        ("listener.tcp.10.0.0.1.80.downstream_cx_active", ("listener_connections_open", "10.0.0.1:80", {})),
        ("routes.completed.of.404/0/pool.blue/shop", ("route_requests_total", "shop", {"class": "4xx"})),
        ("routes.completed.of.200/0//a.of.b", ("route_requests_total", "a.of.b", {"class": "2xx"})),
        ("routes.time.of.0//shop", ("route_request_seconds", "shop", {})),
        ("routes.completed.of.404/0//", None),  # no route took it
        ("cluster.pool.blue.upstream_rq_2xx", ("pool_requests_total", "blue", {"class": "2xx"})),
        ("cluster.pool.blue.upstream_rq_200", None),
        ("cluster.pool.a.external.upstream_rq_2xx", ("pool_requests_total", "a.external", {"class": "2xx"})),
        ("cluster.pool.blue.membership_healthy", ("pool_endpoints", "blue", {"state": "healthy"})),
        ("cluster.pool.blue.upstream_rq_pending_overflow", ("pool_overflows_total", "blue", {"full": "pending"})),
        ("cluster.marchproxy_xds.upstream_rq_2xx", None),
        ("limit_route.http_local_rate_limit.rate_limited", ("rate_limit_decisions_total", "route", {"decision": "limited"})),
    ],
)  # fmt: skip
def test_what_a_statistic_is(name: str, found: Read | None) -> None:
    assert read(name) == ([] if found is None else [found])
    if found is not None:
        assert re.fullmatch(wanted(TABLE), name)


def test_what_reached_a_pool_is_of_its_route_and_of_the_pool() -> None:
    assert read("routes.completed.of.503/3/pool.a.b/shop") == [
        ("route_requests_total", "shop", {"class": "5xx"}),
        ("pool_requests_total", "a.b", {"class": "5xx"}),
    ]
    assert read("routes.time.of.1/pool.a.b/shop") == [
        ("route_request_seconds", "shop", {}),
        ("pool_request_seconds", "a.b", {}),
    ]


def test_the_pattern_has_no_named_groups_and_takes_others() -> None:
    pattern = wanted(COMMON, r"a\.b")
    assert "?P<" not in pattern  # RE2 refuses a name that stands twice
    assert re.search(pattern, "a.b")
    assert not re.search(pattern, "a.b.c")


def test_a_family_is_said_once() -> None:
    """One name, one kind and one help: Prometheus refuses the rest."""
    families = {cell.family for source in TABLE for cell in source.cells.values()}
    assert len({family.full_name for family in families}) == len(families)
