"""What of a document can be offered over xDS, and what cannot, with the reason. No I/O.

A listener is offered whole or not at all: to serve one without its `deny` or its `tls` would open what the author closed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from marchproxy.model.listener import DEFAULT_IDLE_TIMEOUT, Listener
from marchproxy.model.module import HTTP_FAMILY, ModuleType
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.resources.build import is_own

_ONLY_KNOWN = "only to nodes that show a certificate, because its key goes with it; set `xds.tls.client_ca`"


def servable(listeners: Sequence[Listener], *, keys: bool = False) -> Iterator[Listener]:
    """The listeners that an Envoy can be told to open; `keys`: it may be given private keys."""
    return (listener for listener in listeners if obstacle(listener, listeners, keys=keys) is None)


def obstacle(listener: Listener, listeners: Iterable[Listener], *, keys: bool = False) -> str | None:
    """Why a listener is not offered over xDS; None when it is."""
    if listener.tls is not None and not keys:
        return f"`tls` of a listener is offered {_ONLY_KNOWN}"
    if listener.module_type is not ModuleType.ALB:
        return f"`module: {listener.module_type.value}` is not served over xDS"
    if listener.protocol not in HTTP_FAMILY:
        return f"`protocol: {listener.protocol.value}` is not served over xDS"
    asked = {
        "tls.alpn": listener.tls is not None and listener.tls.alpn,
        "server_names": listener.server_names,
        "alpn": listener.alpn,
        "allow": listener.allow,
        "deny": listener.deny,
        "max_connections": listener.max_connections,
        "max_connections_per_source": listener.max_connections_per_source,
        "proxy_protocol": listener.proxy_protocol,
        "idle_timeout": listener.idle_timeout != DEFAULT_IDLE_TIMEOUT,
    }
    if unable := [key for key, given in asked.items() if given]:
        return f"`{'`, `'.join(unable)}` of a listener is the NLB's and not served over xDS"
    if Counter(other.address for other in listeners)[listener.address] > 1:
        return "listeners that share an address are not served over xDS"
    return None


def left_out(listeners: Sequence[Listener], *, keys: bool = False) -> Iterator[str]:
    """The listeners that are not offered, each with the reason."""
    for listener in listeners:
        reason = obstacle(listener, listeners, keys=keys)
        if reason is not None:
            yield f"listener {listener.name} is left out: {reason}"


def routes_of(listener: Listener, routes: Iterable[Route]) -> list[Route]:
    """The routes that belong to a listener."""
    return [route for route in routes if not route.listeners or listener.name in route.listeners]


def routes_by_host(routes: Iterable[Route]) -> dict[str, list[Route]]:
    """For each host that some route names in full: the routes that a request for it may take."""
    by_pattern: dict[str, list[Route]] = {}
    for route in routes:
        for pattern in {host.lower() for host in route.match.hosts} or {"*"}:
            by_pattern.setdefault(pattern, []).append(route)
    return {
        host: [route for pattern in _patterns(host) for route in by_pattern.get(pattern, ())]
        for host in by_pattern
        if not host.startswith("*")
    }


def _patterns(host: str) -> Iterator[str]:
    yield host
    labels = host.split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])
    yield "*"


def unserved(
    state: DesiredState, named: Collection[str] | None = None, *, keys: bool = False
) -> Iterator[Problem]:
    """What an ALB does with files of its own, which would be lost, and keys that nobody may be given.

    `named`: the routes that are given away; None: all.
    """
    for index, route in enumerate(state.routes):
        given = named is None or route.route_id in named
        if given and route.authentication and is_own(route, ModuleType.ALB):
            yield Problem(f"routes[{index}].authentication", "is not served over xDS")
    for index, pool in enumerate(state.pools):
        if pool.tls is not None and pool.tls.key and not keys:
            yield Problem(f"pools[{index}].tls.key", f"is offered {_ONLY_KNOWN}")
