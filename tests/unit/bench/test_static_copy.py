import copy

import pytest

from bench.support.static_copy import manager_of, pieces, static_copy, without

LIMIT = {"@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"}


def dump():
    """What an Envoy with one listener, route and pool tells, as far as it is read."""
    manager = {
        "@type": "type.googleapis.com/x.HttpConnectionManager",
        "stat_prefix": "alb",
        "rds": {"route_config_name": "routes"},
        "use_remote_address": True,
        "access_log": [
            {"name": "stats", "typed_config": {"@type": "t", "stat_prefix": "routes", "counters": []}}
        ],
        "http_filters": [
            {"name": "limits", "config_discovery": {}, "disabled": True},
            {"name": "events", "typed_config": {"@type": "t"}},
            {"name": "router", "typed_config": {"@type": "r"}},
        ],
    }
    chain = {"filters": [{"name": "state"}, {"name": "hcm", "typed_config": manager}]}
    listener = {"@type": "l", "address": {"socket_address": {"port_value": 80}}, "filter_chains": [chain]}
    cluster = {"@type": "c", "name": "pool.web", "type": "EDS", "eds_cluster_config": {}, "lb_policy": "X"}
    locality = {"lb_endpoints": ["one"], "load_balancing_weight": 0}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "pool.web", "timeout": "15s"}, "name": "all"}
    host = {"name": "*", "domains": ["*"], "routes": [route], "retry_policy": {}}
    table = {"@type": "r", "name": "routes", "virtual_hosts": [host]}
    return {
        "configs": [
            {"@type": "x/v3.BootstrapConfigDump"},
            section("Listeners", dynamic_listeners=[{"active_state": {"listener": listener}}]),
            section("Clusters", dynamic_active_clusters=[{"cluster": cluster}]),
            section("Routes", dynamic_route_configs=[{"route_config": table}]),
            section("Endpoints", dynamic_endpoint_configs=[{"endpoint_config": assignment(locality)}]),
            section("Ecds", ecds_filters=[{"ecds_filter": {"name": "limits", "typed_config": LIMIT}}]),
        ]
    }


def section(kind, **fields):
    return {"@type": f"type.googleapis.com/envoy.admin.v3.{kind}ConfigDump", **fields}


def assignment(locality):
    return {"@type": "e", "cluster_name": "pool.web", "endpoints": [locality]}


def test_nothing_is_fetched_any_more():
    config = static_copy(dump(), 8080)
    (listener,), (cluster,) = config["static_resources"]["listeners"], config["static_resources"]["clusters"]
    assert listener["address"]["socket_address"]["port_value"] == 8080
    assert cluster == {
        "name": "pool.web",
        "type": "STATIC",
        "lb_policy": "X",
        "load_assignment": {"cluster_name": "pool.web", "endpoints": [{"lb_endpoints": ["one"]}]},
    }
    manager = manager_of(config)
    assert "rds" not in manager
    assert manager["route_config"]["name"] == "routes"
    assert manager["http_filters"][0] == {"name": "limits", "typed_config": LIMIT, "disabled": True}


EXPECTED = [
    "1 filters that are off",
    "filter events",
    "network filters before HTTP",
    "access log 1 (counters)",
    "connection manager: use_remote_address",
    "virtual host: retry_policy",
    "route: timeout",
    "cluster: lb_policy",
]


def test_every_part_that_is_not_needed_can_be_left_out():
    assert [name for name, _ in pieces(static_copy(dump(), 1))] == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_a_part_is_left_out_of_a_copy(name):
    config = static_copy(dump(), 1)
    before = copy.deepcopy(config)
    change = dict(pieces(config))[name]
    changed = without(config, change)
    assert config == before
    assert name not in dict(pieces(changed))
    assert len(dict(pieces(changed))) == len(EXPECTED) - 1
