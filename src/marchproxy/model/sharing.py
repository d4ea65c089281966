"""Sharing: listeners at one address, and what tells their clients apart.

Whether a group makes sense is `marchproxy.model.checks`' to say; what is decided here holds for any.
"""

import ipaddress
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from marchproxy.model.listener import Listener
from marchproxy.model.module import HTTP_FAMILY, Protocol
from marchproxy.model.route import Route


class Sharing(Enum):
    """What tells the listeners of one address apart."""

    ALONE = "alone"
    """There is one."""
    HELLO = "hello"
    """The client's TLS hello (see `model.hello`). One listener may take all others, TLS or not."""
    REQUEST = "request"
    """Each HTTP request: the routing table says which module type takes it; the first listener takes what no route does."""
    BYTES = "bytes"
    """The first bytes: each listener has a speech of its own; of those that speak TLS, the hello tells which."""


class Speech(Enum):
    """What a client's first bytes can be recognised as; the value is for people."""

    TLS = "TLS"
    HTTP = "HTTP"
    POSTGRES = "PostgreSQL"
    MYSQL = "MySQL"
    MONGODB = "MongoDB"
    REDIS = "Redis"
    RTMP = "RTMP"
    ANYTHING = "anything"
    """Whatever nobody else at the address recognises."""


#: What a protocol's first bytes are in the clear; those that are TLS from the first byte on have TLS.
SPEECHES: Mapping[Protocol, Speech] = {
    **dict.fromkeys(HTTP_FAMILY, Speech.HTTP),
    Protocol.HTTPS: Speech.TLS,
    Protocol.RTMPS: Speech.TLS,
    Protocol.POSTGRES: Speech.POSTGRES,
    Protocol.MYSQL: Speech.MYSQL,
    Protocol.MONGODB: Speech.MONGODB,
    Protocol.REDIS: Speech.REDIS,
    Protocol.RTMP: Speech.RTMP,
    Protocol.TCP: Speech.ANYTHING,
}


@dataclass(frozen=True, slots=True)
class Port:
    """The listeners of one address, in the document's order. Everything about the socket is the first one's to say."""

    listeners: tuple[Listener, ...]
    sharing: Sharing

    @property
    def first(self) -> Listener:
        """The listener that stands first in the document."""
        return self.listeners[0]

    @property
    def address(self) -> str:
        """Host and port, as `Listener.address`."""
        return self.first.address


def share(listeners: Iterable[Listener]) -> tuple[Port, ...]:
    """Group listeners by what they bind, in the document's order."""
    groups: dict[Hashable, list[Listener]] = {}
    for listener in listeners:
        groups.setdefault(socket_of(listener), []).append(listener)
    return tuple(Port(tuple(group), sharing_of(group)) for group in groups.values())


def socket_of(listener: Listener) -> Hashable:
    """What a listener binds; TCP and UDP ports are different ones."""
    try:
        host = str(ipaddress.ip_address(listener.host))
    except ValueError:
        host = listener.host  # told as a fault elsewhere
    return (listener.over_udp, host, listener.port)


def sharing_of(group: Sequence[Listener]) -> Sharing:
    """What tells the listeners of a group apart: the first that can."""
    if len(group) == 1:
        return Sharing.ALONE
    unnamed = [listener for listener in group if not names_hello(listener)]
    if len(unnamed) == len(group) and all(shows_requests(listener) for listener in group):
        return Sharing.REQUEST
    if not unnamed or (len(unnamed) == 1 and len(group) > 1 and _takes_others(unnamed[0])):
        return Sharing.HELLO
    return Sharing.BYTES


def names_hello(listener: Listener) -> bool:
    """Whether it says which TLS hellos it takes."""
    return bool(listener.server_names or listener.alpn)


def speech_of(listener: Listener) -> Speech | None:
    """What its clients' first bytes are; None when they cannot be told from others."""
    if listener.over_udp:
        return None
    if listener.tls is not None or names_hello(listener):
        return Speech.TLS
    return SPEECHES.get(listener.protocol)


def shows_requests(listener: Listener) -> bool:
    """Whether the NLB can read the HTTP requests in it."""
    return listener.protocol in HTTP_FAMILY or (
        listener.protocol is Protocol.HTTPS and listener.tls is not None
    )


def listener_for(port: Port, route: Route) -> Listener | None:
    """The listener that a route sends requests to, where they tell listeners apart; None: it says nothing about them.

    A route for some clients only says nothing: who they are is looked at by the module, not here.
    """
    if route.protocol not in HTTP_FAMILY or route.destination_port not in {0, port.first.port}:
        return None
    if route.sources or route.source_port:
        return None
    fitting = (
        listener
        for listener in port.listeners
        if listener.module_type is route.only_for
        and (not route.listeners or listener.name in route.listeners)
    )
    return next(fitting, None)


def _takes_others(listener: Listener) -> bool:
    return speech_of(listener) in {Speech.TLS, Speech.ANYTHING}
