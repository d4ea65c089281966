"""Limits of Envoy's forwarding: what a plan asks for that it cannot do, and what can instead. Pure.

What can be seen in one listener is `marchproxy.model.planes`' to say, before there is a plan.
"""

from collections.abc import Iterator

from marchproxy.model.limit import LimitScope, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.planes import PLANES, plane_limits
from marchproxy.model.sharing import Port, Sharing, share
from marchproxy.nlb.dataplane.plane import Forwarding


def refused(forwarding: Forwarding) -> str:
    """Why the forwarding as a whole cannot be carried, or empty."""
    return next(_refusals(forwarding), "")


def _refusals(forwarding: Forwarding) -> Iterator[str]:
    for port in share(plan.listener for plan in forwarding.plan.listeners):
        if DataPlaneKind.ENVOY not in PLANES[port.sharing]:
            yield f"Envoy cannot tell who shares {port.address}; use data_plane detect"
        for listener in port.listeners:
            for problem in plane_limits(DataPlaneKind.ENVOY, listener):
                yield f'listener "{listener.name}": {problem.message}'
        for limit in forwarding.limits:
            yield from _limit_refused(limit, port)


def _limit_refused(limit: RateLimit, port: Port) -> Iterator[str]:
    """Why Envoy cannot keep a limit at a port."""
    concerned = [listener for listener in port.listeners if _concerns(limit, listener)]
    if not concerned:
        return
    name = f'rate limit "{limit.limit_id}" at listener "{concerned[0].name}"'
    if limit.scope is LimitScope.CLIENT:
        yield f"{name}: Envoy does not count each client; use data_plane kernel or detect, or a source: limit"
    elif port.first.over_udp:
        yield f"{name}: Envoy does not limit UDP; use data_plane kernel"
    elif limit.scope is LimitScope.SOURCE and concerned[0].max_connections:
        yield f"{name}: Envoy does not keep max_connections beside source: limits; use data_plane detect"
    elif port.sharing is Sharing.REQUEST and not _of_connections(limit, port):
        yield (
            f"{name}: connections to {port.address} are not one module's alone; "
            f'limit listener "{port.first.name}", or requests in the module'
        )


def _of_connections(limit: RateLimit, port: Port) -> bool:
    """Whether a limit means all connections of a port whose listeners are told apart by request."""
    if limit.scope is LimitScope.LISTENER:
        return limit.subject == port.first.name
    return limit.scope is LimitScope.SOURCE


def _concerns(limit: RateLimit, listener: Listener) -> bool:
    match limit.scope:
        case LimitScope.LISTENER:
            return limit.subject == listener.name
        case LimitScope.MODULE:
            return limit.subject == listener.module_type.value
        case LimitScope.SOURCE | LimitScope.CLIENT:
            own = 6 if ":" in listener.host else 4
            return limit.network is not None and (limit.network.version == own or listener.proxy_protocol)
        case _:
            return False
