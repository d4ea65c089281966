"""Choices: the pools and servers that a session of a route would go to, by the servers as they were last seen. Pure."""

from collections.abc import Sequence

from marchproxy.model.choice import EndpointChoice, PoolChoice
from marchproxy.model.database import ReadTarget
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.plan import RoutePlan, Upstream
from marchproxy.modules.dblb.service import ServerReport

_NOT_SEEN = ServerReport("", "", "unknown")


def pool_choices(
    plan: RoutePlan, reports: Sequence[ServerReport], counted: Counted
) -> tuple[PoolChoice, ...]:
    """The pools of a route in its order. What is told of a pool's servers is where its writes go, or all with `replica`."""
    seen = {(report.pool, report.address): report for report in reports}
    busy: dict[tuple[str, str], int] = {}
    for gauge in counted.gauges:
        key = (gauge.pool, gauge.server)
        busy[key] = busy.get(key, 0) + gauge.connections - gauge.idle
    return tuple(
        PoolChoice(
            str(upstream.name),
            str(upstream.pool.version),
            share / 100,
            _policy(plan, upstream),
            tuple(_endpoints(plan, upstream, seen, busy)),
        )
        for upstream, share in plan.backends
    )


def _policy(plan: RoutePlan, upstream: Upstream) -> str:
    options = plan.options
    if options.target is ReadTarget.REPLICA:
        words = "replicas, by connections in use"
    elif options.split_reads:
        words = "the primary; reads by replicas where that is safe"
    else:
        words = "the primary"
    if options.writes == upstream.name:
        return f"{words}; takes all writes of the route"
    return f"{words}; reads only, {options.writes} takes all writes" if options.writes else words


def _endpoints(
    plan: RoutePlan,
    upstream: Upstream,
    seen: dict[tuple[str, str], ServerReport],
    busy: dict[tuple[str, str], int],
) -> list[EndpointChoice]:
    name = str(upstream.name)
    looks = [
        (endpoint, seen.get((name, endpoint.address), _NOT_SEEN)) for endpoint in upstream.pool.endpoints
    ]
    troubles = [_trouble(plan, look) for _, look in looks]
    total = sum(
        endpoint.weight for (endpoint, _), trouble in zip(looks, troubles, strict=True) if not trouble
    )
    found = [
        EndpointChoice(
            endpoint.address,
            0.0 if trouble else endpoint.weight / total,
            endpoint.weight,
            active_requests=busy.get((name, endpoint.address), 0),
            trouble=trouble,
        )
        for (endpoint, _), trouble in zip(looks, troubles, strict=True)
    ]
    return sorted(found, key=lambda item: (-item.probability, item.address))


def _trouble(plan: RoutePlan, look: ServerReport) -> str:
    """Why a server takes nothing that writes, or with `replica` nothing at all; empty: it may."""
    if look.fault:
        return look.fault
    if plan.options.target is ReadTarget.REPLICA:
        return "the primary" if look.role == "primary" else ""
    return "a replica" if look.role == "replica" else ""
