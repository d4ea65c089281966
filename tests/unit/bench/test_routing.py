import json

import pytest

from bench.http.paths import SIZES
from bench.support.peer_files import envoy_config, haproxy_config, haproxy_map, nginx_config
from bench.support.routing import RoutingTable
from marchproxy.contract.document import decode
from marchproxy.model.route import PathKind


@pytest.mark.parametrize("size", SIZES)
def test_every_route_is_asked_for_once_in_each_turn(tmp_path, size):
    table = RoutingTable.of(size)
    script = table.script(tmp_path)
    asked = script.with_suffix(".txt").read_text().splitlines()
    assert sorted(asked) == sorted(f"{line.asked_host} {line.asked_path}" for line in table.lines)
    assert len(set(asked)) == size
    assert str(script.with_suffix(".txt")) in script.read_text()


@pytest.mark.parametrize(("size", "hosts", "pools"), [(1, 1, 1), (100, 10, 50), (5000, 500, 50)])
def test_ten_routes_to_a_host_and_fifty_services(size, hosts, pools):
    table = RoutingTable.of(size)
    assert (len(table.lines), len(table.by_host()), len(table.pools)) == (size, hosts, pools)


@pytest.mark.parametrize("size", SIZES)
def test_all_proxies_are_told_the_same(tmp_path, size):
    table = RoutingTable.of(size)
    meant = [(line.host, line.prefix, line.pool) for line in table.lines]
    routes = decode(json.dumps(table.document(9)).encode()).routes
    assert all(route.match.path.kind is PathKind.PREFIX for route in routes)
    ours = [
        (*(route.match.hosts or ("*",)), route.match.path.value, route.backends[0].pool) for route in routes
    ]
    assert ours == meant
    assert list(envoys(envoy_config(table, 1, 2))) == meant
    nginx = nginx_config(table, 1, 2, name="nginx", directory=tmp_path)
    assert nginx.count("proxy_pass http://") == size
    assert all(
        f"location {prefix.rstrip('/')}/ {{ proxy_pass http://{pool}; }}" in nginx
        for _, prefix, pool in meant[:20]
    )


def envoys(config):
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            match = route["match"]
            yield (
                *host["domains"],
                match.get("path_separated_prefix") or match["prefix"],
                route["route"]["cluster"],
            )


def test_haproxy_looks_host_and_path_up_in_one_map(tmp_path):
    table = RoutingTable.of(100)
    assert haproxy_map(table).splitlines()[11] == "team-1.example/service-1/ service-11"
    config = haproxy_config(table, 1, 2, tmp_path / "routes.map")
    assert f"use_backend %[base,map_beg({tmp_path}/routes.map)]" in config
    assert config.count("\nbackend ") == 50


def test_haproxy_needs_no_map_for_one_route(tmp_path):
    assert "default_backend service-0" in haproxy_config(RoutingTable.of(1), 1, 2, tmp_path / "none")
