"""Sharing: listeners at one address, and what tells their clients apart."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from marchproxy.model.listener import Listener
from marchproxy.model.module import HTTP_FAMILY, Protocol


class Sharing(Enum):
    """What tells the listeners of one address apart."""

    ALONE = "alone"
    """There is one."""
    HELLO = "hello"
    """The client's TLS hello: server names or ALPN. One listener without either takes all others, TLS or not."""
    REQUEST = "request"
    """Each HTTP request: the routing table says which module type takes it; the first listener takes what no route does."""
    BYTES = "bytes"
    """The first bytes: each listener has a protocol of its own; one of protocol tcp takes what no other recognises."""


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
    """Group listeners by what they bind, in the document's order. Whether a group makes sense is `model.checks`' to say."""
    groups: dict[Hashable, list[Listener]] = {}
    for listener in listeners:
        groups.setdefault(socket_of(listener), []).append(listener)
    return tuple(Port(tuple(group), _sharing(group)) for group in groups.values())


def socket_of(listener: Listener) -> Hashable:
    """What a listener binds; TCP and UDP ports are different ones."""
    return (listener.over_udp, listener.host, listener.port)


def _sharing(group: Sequence[Listener]) -> Sharing:
    if len(group) == 1:
        return Sharing.ALONE
    if all(listener.protocol in HTTP_FAMILY for listener in group):
        return Sharing.REQUEST
    if all(_says_hello(listener) for listener in group):
        return Sharing.HELLO
    return Sharing.BYTES


def _says_hello(listener: Listener) -> bool:
    """Whether Envoy can tell its clients by their hello: it names some, or it is the one that takes the others."""
    named = bool(listener.server_names or listener.alpn)
    return named or listener.protocol in {Protocol.TCP, Protocol.HTTPS}
