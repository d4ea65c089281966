"""Hints: a beginning for a new item of each section, and what its keys mean. docs/configuration.md has all of them. Pure."""

from collections.abc import Mapping

BEGINNINGS: Mapping[str, str] = {
    "routes": "id: \npath: /\nhosts: []\nbackends:\n  - {pool: , weight: 100}\nlisteners: []\n",
    "pools": "name: \nversion: v1\nendpoints:\n  - 10.0.0.1:8080\nhealth_check: {path: /healthz, interval: 5s}\n",
    "listeners": "name: \naddress: 0.0.0.0:8080\nprotocol: http\nmodule: alb\n",
    "rate_limits": "id: \ntarget: '*'\nrequests_per_second: 100\nburst_size: 20\n",
    "scaling": "module: alb\nmin_instances: 1\nmax_instances: 4\ntarget_cpu_percent: 70\n",
}

HINTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "routes": (
        ("path", "A prefix such as /api; or {exact: /x}, {regex: …}, {template: '/users/{id}'}"),
        ("hosts", "Exact names, or *.example.com; none: any"),
        ("methods, headers, query", "What else must match"),
        ("backends", "Pools with weights in whole percent, 100 in sum"),
        ("redirect, response", "Answer in place of backends"),
        ("timeout, retry", "15s for the whole response; attempts and on what"),
        ("priority", "The highest of those that match wins"),
        ("allow, deny", "Client networks, answered 403 otherwise"),
    ),
    "pools": (
        ("endpoints", "host:port, or {address: host:port, weight: 1}"),
        ("health_check", "path (none: TCP connect), interval, timeout, thresholds"),
        ("balance", "least_connections, round_robin, random or source_hash"),
        ("outliers", "Leaves out endpoints that fail in a row"),
        ("breakers", "The most that the pool is given at once"),
        ("tls", "To the backends: ca, server_name, certificate, key"),
        ("discovery", "dns, srv or file, in place of a list"),
    ),
    "listeners": (
        ("address", "Where it listens, host:port"),
        ("protocol", "http, https, tcp, udp, postgres, mysql, mongodb, redis, rtmp"),
        ("module", "The type of module behind it: alb, dblb, ailb, rtmp"),
        ("tls", "certificate and key, as files"),
    ),
    "rate_limits": (
        ("target", "A route's id, *, listener:NAME, module:TYPE, source:CIDR or client:CIDR"),
        ("requests_per_second, _minute, _hour", "All that are given hold"),
        ("burst_size", "How many may come at once"),
        ("per", "A bucket for each of these, such as source or header:NAME"),
    ),
    "scaling": (
        ("min_instances, max_instances", "Between which it may move"),
        ("target_cpu_percent, target_connections, target_latency_ms", "Per instance; 0: not looked at"),
        ("cooldown", "The least time between two changes"),
    ),
}
