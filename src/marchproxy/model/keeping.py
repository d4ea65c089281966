"""Keeping: which data plane can keep a rate limit at a port, and why another cannot."""

from collections.abc import Iterable

from marchproxy.model.limit import LimitScope, RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.sharing import Port, Sharing

#: The data planes that keep every limit that the document may ask for.
KEEPS_ALL = frozenset({DataPlaneKind.KERNEL, DataPlaneKind.DETECT})


def limit_obstacles(kind: DataPlaneKind, limits: Iterable[RateLimit], port: Port) -> Iterable[str]:
    """Why a data plane cannot keep each of the limits that count connections to the port; nothing where it can."""
    if kind in KEEPS_ALL:
        return
    for limit in limits:
        concerned = [listener for listener in port.listeners if concerns(limit, listener)]
        if concerned and (obstacle := _envoy_obstacle(limit, port, concerned[0])):
            yield f'rate limit "{limit.limit_id}" at listener "{concerned[0].name}": {obstacle}'


def concerns(limit: RateLimit, listener: Listener) -> bool:
    """Whether a limit counts connections to a listener."""
    match limit.scope:
        case LimitScope.LISTENER:
            return limit.subject == listener.name
        case LimitScope.MODULE:
            return limit.subject == listener.module_type.value
        case LimitScope.SOURCE | LimitScope.CLIENT:
            own = 6 if ":" in listener.host else 4
            return limit.network is not None and (limit.network.version == own or listener.proxy_protocol)
        case LimitScope.ROUTE | LimitScope.EVERYTHING:
            return False


def _envoy_obstacle(limit: RateLimit, port: Port, listener: Listener) -> str:
    if limit.scope is LimitScope.CLIENT:
        return "Envoy does not count each client; use data_plane kernel or detect, or a source: limit"
    if port.first.over_udp:
        return "Envoy does not limit UDP; use data_plane kernel"
    if limit.scope is LimitScope.SOURCE and listener.max_connections:
        return "Envoy does not keep max_connections beside source: limits; use data_plane detect"
    if port.sharing is Sharing.REQUEST and not _of_connections(limit, port):
        return (
            f"connections to {port.address} are not one module's alone; "
            f'limit listener "{port.first.name}", or requests in the module'
        )
    return ""


def _of_connections(limit: RateLimit, port: Port) -> bool:
    """Whether a limit means all connections of a port whose listeners are told apart by request."""
    if limit.scope is LimitScope.LISTENER:
        return limit.subject == port.first.name
    return limit.scope is LimitScope.SOURCE
