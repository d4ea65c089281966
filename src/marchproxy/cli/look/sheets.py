"""Messages of the contract as tables for people. No I/O."""

import types
from collections.abc import Iterable, Iterator, Mapping

from rich.text import Text

from marchproxy.cli.look.latencies import HEADS, Measured, cells, slowest
from marchproxy.cli.screen import Sheet, columns, health_text
from marchproxy.contract.fleet.words import health, rates, share
from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2

_SHARED_BY = {"hello": "TLS hello", "request": "request", "bytes": "first bytes"}

#: Metadata with which an NLB tells what it has trouble with.
_TROUBLE = "nlb.trouble."


def modules(answer: nlb_pb2.ListModulesResponse, now: float) -> Sheet:
    """The registered instances; `now` in seconds since the epoch."""
    rows = [
        (
            module.instance_id,
            _name(types_pb2.ModuleType.Name(module.module_type), "MODULE_TYPE_"),
            module.version,
            _health_and_why(module),
            str(module.traffic_weight),
            str(module.current_connections),
            "\n".join(dict.fromkeys(_endpoint(endpoint) for endpoint in module.traffic_endpoints)),
            module.address,
            f"{max(0.0, now - module.last_heartbeat.ToMicroseconds() / 1e6):.0f} s ago",
        )
        for module in answer.modules
    ]
    heads = columns(
        "instance", "type", "version", "health", "#weight", "#open", "traffic", "gRPC", "#heard of"
    )
    return Sheet("Modules", heads, rows, "no module has registered")


def routes(
    answer: nlb_pb2.GetRoutingTableResponse, counted: Mapping[str, Measured] = types.MappingProxyType({})
) -> Sheet:
    """The routing table; `counted` by route_id."""
    scale = slowest(counted.values())
    rows = [
        (
            entry.route.route_id,
            str(entry.route.priority),
            ", ".join(_hosts(entry.route)) or "*",
            entry.route.path_pattern or "/",
            ", ".join(_conditions(entry.route)) or "-",
            "\n".join(_answers(entry.route)),
            ", ".join(entry.route.listeners) or "all",
            entry.target_instance_id or Text("nobody", style="red"),
            *cells(counted.get(entry.route.route_id, Measured()), scale),
        )
        for entry in answer.entries
    ]
    own = ("route", "#priority", "hosts", "path", "conditions", "pools", "listeners", "served by")
    heads = columns(*own, *HEADS)
    return Sheet("Routes", heads, rows, "there are no routes")


def listeners(answer: nlb_pb2.GetNLBStatusResponse) -> Sheet:
    """The NLB's ports, and who takes their connections."""
    rows = [
        (
            item.name,
            "\n".join(_address(item)),
            _name(types_pb2.Protocol.Name(item.protocol), "PROTOCOL_"),
            _name(types_pb2.ModuleType.Name(item.module_type), "MODULE_TYPE_"),
            _name(types_pb2.BalancePolicy.Name(item.balance), "BALANCE_POLICY_"),
            ", ".join(f"{version} {weight} %" for version, weight in sorted(item.version_weights.items()))
            or "by instance",
            "\n".join((*_conditions_of(item), *_limits_on(item, answer.rate_limits))) or "-",
            answer.details.get(f"data plane of {item.name}", item.data_plane),
            answer.details.get(f"listener {item.name}", ""),
        )
        for item in answer.listeners
    ]
    heads = columns(
        "listener", "address", "protocol", "module", "balance", "versions", "takes", "data plane", "served by"
    )
    return Sheet("Listeners", heads, rows, "the NLB opens no ports")


def limits(
    answer: nlb_pb2.GetNLBStatusResponse, answers: Mapping[str, module_pb2.GetRateLimitsResponse]
) -> Sheet:
    """The rate limits that the NLB keeps, and those of each instance."""
    rows = [
        ("nlb", *_limit(item), answer.details.get(f"limit {item.limit_id}", ""))
        for item in answer.rate_limits
    ]
    rows += [
        (instance, *_limit(item, found.instances_of_type), "")
        for instance, found in sorted(answers.items())
        for item in found.limits
    ]
    heads = columns("kept by", "limit", "target", "rates", "at once", "counted")
    return Sheet("Rate limits", heads, rows, "there are no rate limits")


def scaling(answer: nlb_pb2.GetNLBStatusResponse) -> Sheet:
    """What the autoscaler decided, the newest last."""
    rows = [
        (
            decision.decided_at.ToDatetime().strftime("%Y-%m-%d %H:%M:%S"),
            _name(types_pb2.ModuleType.Name(decision.module_type), "MODULE_TYPE_"),
            decision.way + (" by request" if decision.manual else ""),
            str(decision.current_instances),
            str(decision.wanted_instances),
            decision.reason,
            decision.outcome,
        )
        for decision in answer.scaling
    ]
    heads = columns("when (UTC)", "type", "way", "#from", "#to", "why", "outcome")
    return Sheet("Scaling", heads, rows, "nothing has been decided; is there a section `scaling`?")


def stats(answers: Mapping[str, module_pb2.GetStatsResponse]) -> Sheet:
    """Counts by instance, and below each by route."""
    rows = []
    for instance, answer in sorted(answers.items()):
        rows.append(_stats_row(instance, answer.stats))
        rows += [_stats_row(f"  {route}", found) for route, found in sorted(answer.routes.items())]
    heads = columns(
        "instance / route", "#requests", "#failed", "#req/s", "#p50 ms", "#p95 ms", "#p99 ms", "#open"
    )
    return Sheet("Traffic", heads, rows, "no module has registered")


def backends(answers: Mapping[str, module_pb2.GetBackendsResponse]) -> Sheet:
    """Every endpoint of every pool, listed or found, as each instance sees it; what troubles a pool beside its first."""
    rows = [
        row
        for instance, answer in sorted(answers.items())
        for pool in answer.pools
        for row in _pool_rows(instance, pool)
    ]
    heads = columns("instance", "pool", "version", "endpoint", "health", "#active", "#requests", "trouble")
    return Sheet("Backends", heads, rows, "there are no backends")


def _pool_rows(instance: str, pool: types_pb2.BackendPool) -> Iterator[tuple[str | Text, ...]]:
    trouble = pool.trouble
    for endpoint in (*pool.endpoints, *pool.found):
        yield (
            instance,
            pool.name,
            pool.version,
            endpoint.address,
            health_text(health(endpoint.health_status)),
            str(endpoint.active_requests),
            str(endpoint.total_requests),
            Text(trouble, style="red"),
        )
        trouble = ""
    if trouble:  # it has no endpoint at all, and here is why
        yield (instance, pool.name, pool.version, "", "", "", "", Text(trouble, style="red"))


def _answers(route: types_pb2.Route) -> Iterable[str]:
    """Who answers for a route: its pools, or the route itself."""
    if route.HasField("redirect"):
        yield f"redirect {route.redirect.code}"
    if route.HasField("response"):
        yield f"answer {route.response.status}"
    yield from (f"{ref.pool} {share(ref, route)} %" for ref in route.backends)
    yield from (f"model {model.name}" for model in route.ai.models)


def _health_and_why(module: types_pb2.ModuleInstance) -> Text:
    text = health_text(health(module.health_status))
    for key, words in sorted(module.metadata.items()):
        if key.startswith(_TROUBLE):
            text.append(f"\n{words}", style="yellow")
    return text


def _stats_row(name: str, found: types_pb2.ModuleStats) -> tuple[str | Text, ...]:
    failed = Text(str(found.failed_requests), style="red" if found.failed_requests else "")
    latencies = (found.p50_latency_ms, found.p95_latency_ms, found.p99_latency_ms)
    rate = found.custom_stats.get("requests_per_second", "")
    is_instance = not name.startswith(" ")
    open_now = str(found.active_connections) if is_instance else ""
    return (
        name, str(found.total_requests), failed, rate, *(f"{value:.2f}" for value in latencies), open_now
    )  # fmt: skip


def _name(text: str, prefix: str) -> str:
    return text.removeprefix(prefix).lower()


def _endpoint(endpoint: types_pb2.TrafficEndpoint) -> str:
    proxied = " (PROXY v2)" if endpoint.proxy_protocol else ""
    return f"{endpoint.address}{proxied}"


def _address(listener: nlb_pb2.Listener) -> Iterable[str]:
    yield listener.address
    if listener.sharing not in {"", "alone"}:
        yield f"shared by {_SHARED_BY.get(listener.sharing, listener.sharing)}"


def _conditions_of(listener: nlb_pb2.Listener) -> Iterable[str]:
    """What a listener asks of its clients, a line each."""
    if listener.HasField("tls"):
        yield "ends TLS, clients show certificates" if listener.tls.client_ca else "ends TLS"
    for label, items in (
        ("names", listener.server_names),
        ("alpn", listener.alpn),
        ("allows", listener.allow),
        ("denies", listener.deny),
    ):
        if items:
            yield f"{label} {', '.join(items)}"
    if listener.max_connections:
        yield f"{listener.max_connections} connections"
    if listener.max_connections_per_source:
        yield f"{listener.max_connections_per_source} connections per source"
    if listener.proxy_protocol:
        yield f"PROXY protocol from {', '.join(listener.trusted_proxies) or 'anybody'}"


def _limits_on(listener: nlb_pb2.Listener, limits: Iterable[types_pb2.RateLimit]) -> Iterable[str]:
    module = _name(types_pb2.ModuleType.Name(listener.module_type), "MODULE_TYPE_")
    targets = {f"listener:{listener.name}", f"module:{module}"}
    return [
        f"{rates(limit)} ({limit.limit_id})" for limit in limits if limit.enabled and limit.target in targets
    ]


def _limit(limit: types_pb2.RateLimit, instances: int = 1) -> tuple[str, str, str, str]:
    text = rates(limit, instances)
    burst = str(limit.burst_size) if limit.burst_size else "-"
    return (limit.limit_id, limit.target, text if limit.enabled else f"{text} (off)", burst)


def _hosts(route: types_pb2.Route) -> Iterable[str]:
    return [host for host in (route.destination_pattern, *route.hosts) if host]


def _conditions(route: types_pb2.Route) -> Iterable[str]:
    yield from route.methods
    yield from (f"{name}: {value}" for name, value in sorted(route.headers.items()))
    yield from (match.name for match in route.header_matches)
    yield from (f"?{match.name}" for match in route.query)
    of_database, of_streams = route.database, route.rtmp
    named = (
        ("database", of_database.databases),
        ("user", of_database.users),
        ("application", of_database.applications),
        ("vhost", of_streams.vhosts),
        ("app", of_streams.apps),
        ("stream", of_streams.streams),
    )
    yield from (f"{word} {' or '.join(names)}" for word, names in named if names)
    yield from (
        f"from {source}" for source in (route.source_pattern, *route.sources) if source not in {"", "*"}
    )
