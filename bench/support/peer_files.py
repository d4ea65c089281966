"""A routing table in the words of each peer: what somebody who knows the proxy well would write by hand. No I/O.

One worker, no access log, connections to backends kept; nothing that the table does not need.
"""

from pathlib import Path
from typing import Any

from bench.support.routing import Line, RoutingTable

_EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"
HAPROXY_DEFAULTS = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    http-reuse always
"""
_NGINX = """
daemon off;
user root;
worker_processes 1;
pid {directory}/{name}.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  server_names_hash_max_size 8192;
  server_names_hash_bucket_size 64;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
{temporary}
{upstreams}
{servers}
}}
"""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def haproxy_config(table: RoutingTable, port: int, upstream: int, routes: Path) -> str:
    """One lookup of host and path in a map that is a prefix tree (`haproxy_map`, in the file `routes`)."""
    if len(table.lines) == 1:
        choice = f"default_backend {table.lines[0].pool}"
    else:
        choice = f"use_backend %[base,map_beg({routes})]"
    backends = "".join(f"backend {pool}\n    server one 127.0.0.1:{upstream}\n" for pool in table.pools)
    return f"{HAPROXY_DEFAULTS}frontend web\n    bind 127.0.0.1:{port}\n    {choice}\n{backends}"


def haproxy_map(table: RoutingTable) -> str:
    """The map of `haproxy_config`."""
    return "".join(f"{line.host}{line.prefix}/ {line.pool}\n" for line in table.lines)


def nginx_config(table: RoutingTable, port: int, upstream: int, *, name: str, directory: Path) -> str:
    """A server for each host, a location for each prefix, an upstream with kept connections for each service."""
    upstreams = "".join(
        f"  upstream {pool} {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n"
        for pool in table.pools
    )
    servers = "".join(_nginx_server(host, lines, port) for host, lines in table.by_host().items())
    temporary = "".join(f"  {kind}_temp_path {directory}/{name}-{kind};\n" for kind in _TEMPORARY)
    return _NGINX.format(
        directory=directory, name=name, temporary=temporary, upstreams=upstreams, servers=servers
    )


def _nginx_server(host: str, lines: list[Line], port: int) -> str:
    names = "" if host == "*" else f" server_name {host};"
    locations = "".join(
        f"    location {line.prefix.rstrip('/')}/ {{ proxy_pass http://{line.pool}; }}\n" for line in lines
    )
    return f"  server {{ listen 127.0.0.1:{port};{names}\n{locations}  }}\n"


def envoy_config(table: RoutingTable, port: int, upstream: int) -> dict[str, Any]:
    """A static file: a virtual host for each host, a prefix for each route, the router and no other filter."""
    manager = {
        "@type": f"{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "route_config": {
            "virtual_hosts": [_envoy_host(host, lines) for host, lines in table.by_host().items()]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_EXTENSIONS}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "static_resources": {
            "listeners": [{"name": "web", "address": _address(port), "filter_chains": [chain]}],
            "clusters": [_envoy_cluster(pool, upstream) for pool in table.pools],
        }
    }


def _envoy_host(host: str, lines: list[Line]) -> dict[str, Any]:
    return {"name": host, "domains": [host], "routes": [_envoy_route(line) for line in lines]}


def _envoy_route(line: Line) -> dict[str, Any]:
    match = {"prefix": "/"} if line.prefix == "/" else {"path_separated_prefix": line.prefix}
    return {"match": match, "route": {"cluster": line.pool}}


def _envoy_cluster(pool: str, upstream: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(upstream)}}
    return {
        "name": pool,
        "type": "STATIC",
        "load_assignment": {"cluster_name": pool, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
