"""Checks of listeners at one address: can their clients be told apart, and can a data plane do so?"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from marchproxy.model.hello import claims
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.planes import PLANES, able_planes, plane_limits, wanted_planes
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.sharing import (
    Port,
    Sharing,
    Speech,
    listener_for,
    share,
    sharing_of,
    socket_of,
    speech_of,
)

# decided before the client has said anything, so there is one answer for an address
_OF_THE_SOCKET = (
    "data_plane",
    "proxy_protocol",
    "trusted_proxies",
    "allow",
    "deny",
    "max_connections",
    "max_connections_per_source",
)
# decided before the first request
_OF_THE_CONNECTION = ("tls", "idle_timeout")
_IN_WORDS = {
    Sharing.ALONE: "",
    Sharing.HELLO: "tells listeners apart by their TLS hello",
    Sharing.REQUEST: "tells listeners apart by HTTP request",
    Sharing.BYTES: "tells listeners apart by their first bytes",
}


@dataclass(frozen=True, slots=True)
class _Placed:
    path: str
    listener: Listener


def check_sharing(listeners: Sequence[Listener]) -> Iterator[Problem]:
    """Faults of each address: what its listeners must agree in, what must tell them apart, who can carry that."""
    groups: dict[Hashable, list[_Placed]] = {}
    for index, listener in enumerate(listeners):
        groups.setdefault(socket_of(listener), []).append(_Placed(f"listeners[{index}]", listener))
    for group in groups.values():
        port = Port(tuple(item.listener for item in group), sharing_of([item.listener for item in group]))
        told_apart = list(_check_group(group, port.sharing))
        yield from told_apart
        if not told_apart:
            yield from _check_planes(group, port)


def check_choosing(listeners: Sequence[Listener], routes: Sequence[Route]) -> Iterator[Problem]:
    """Faults of routes that are to tell listeners apart, by something that is not looked at for that."""
    ports = [port for port in share(listeners) if port.sharing is Sharing.REQUEST]
    for index, route in enumerate(routes):
        if not route.sources and not route.source_port:
            continue
        anybody = replace(route, sources=(), source_port=0)
        port = next((port for port in ports if listener_for(port, anybody) is not None), None)
        if port is not None:
            yield Problem(
                f"routes[{index}].{'sources' if route.sources else 'source_port'}",
                f"the listeners at {port.address} are told apart by what a request says, not by its client; "
                "remove it, or give the module a listener of its own",
            )


def _check_group(group: Sequence[_Placed], sharing: Sharing) -> Iterator[Problem]:
    first, *others = group
    if others and first.listener.over_udp:
        for other in others:
            yield Problem(
                f"{other.path}.address",
                f"the same as {first.path}.address; over UDP nothing tells their clients apart",
            )
        return
    keys = (*_OF_THE_SOCKET, *(_OF_THE_CONNECTION if sharing is Sharing.REQUEST else ()))
    for other in others:
        for key in keys:
            if getattr(other.listener, key) != getattr(first.listener, key):
                yield Problem(f"{other.path}.{key}", f"differs from {first.path}.{key}, at the same address")
    match sharing:
        case Sharing.ALONE:
            return
        case Sharing.REQUEST:
            yield from _by_request(group)
        case Sharing.HELLO:
            yield from _by_hello(group)
        case Sharing.BYTES:
            yield from _by_bytes(group)
        case _:
            assert_never(sharing)


def _by_request(group: Sequence[_Placed]) -> Iterator[Problem]:
    for item, twin in _twins(group, lambda listener: frozenset({listener.module_type})):
        yield Problem(
            f"{item.path}.module",
            f"the same as {twin.path}.module; at one address it tells HTTP listeners apart "
            "(or `server_names`, where TLS is spoken)",
        )


def _by_hello(group: Sequence[_Placed]) -> Iterator[Problem]:
    for item, twin in _twins(group, lambda listener: frozenset(claims(listener))):
        key = "server_names" if item.listener.server_names else "alpn" if item.listener.alpn else "address"
        yield Problem(
            f"{item.path}.{key}", f"takes TLS hellos that {twin.path} takes; no name and alpn may be in both"
        )


def _by_bytes(group: Sequence[_Placed]) -> Iterator[Problem]:
    for item in group:
        if speech_of(item.listener) is None:
            word = item.listener.protocol.value
            yield Problem(
                f"{item.path}.protocol", f"clients of {word} cannot be told from others at the same address"
            )
    speaking = [item for item in group if speech_of(item.listener) not in {None, Speech.TLS}]
    for item, twin in _twins(speaking, lambda listener: frozenset({speech_of(listener)})):
        speech = speech_of(item.listener)
        taken = "everything else" if speech is Speech.ANYTHING else speech.value if speech else ""
        yield Problem(
            f"{item.path}.protocol",
            f"takes {taken}, which {twin.path} takes already; one listener of an address can",
        )
    yield from _by_hello([item for item in group if speech_of(item.listener) is Speech.TLS])


def _twins(
    group: Sequence[_Placed], marks: Callable[[Listener], frozenset[Hashable]]
) -> Iterator[tuple[_Placed, _Placed]]:
    """Each item that has a mark which an earlier one has, with the earlier one."""
    first: dict[Hashable, _Placed] = {}
    for item in group:
        own = marks(item.listener)
        twin = next((earlier for mark, earlier in first.items() if mark in own), None)
        if twin is not None:
            yield item, twin
        for mark in own:
            first.setdefault(mark, item)


def _check_planes(group: Sequence[_Placed], port: Port) -> Iterator[Problem]:
    """Faults where no data plane that may carry the port can do all that its listeners ask for."""
    wanted = wanted_planes(port)
    first = group[0]
    if not wanted:
        others = " or ".join(kind.value for kind in PLANES[port.sharing])
        yield Problem(
            f"{first.path}.data_plane", f"only {others} {_IN_WORDS[port.sharing]}, as at {port.address}"
        )
    elif len(wanted) == 1:
        for item in group:
            yield from plane_limits(wanted[0], item.listener, item.path)
    elif not able_planes(port):
        yield Problem(f"{first.path}.data_plane", f"no data plane can do all of it: {_obstacles(port)}")


def _obstacles(port: Port) -> str:
    """The first thing that each data plane cannot do, in words."""

    def first_of(kind: DataPlaneKind) -> str:
        limits = (limit for listener in port.listeners for limit in plane_limits(kind, listener))
        return next(limits).message

    return "; ".join(f"{kind.value}: {first_of(kind)}" for kind in wanted_planes(port))
