"""Clients: who may connect to a listener, and which limits count them. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from marchproxy.model.limit import LimitScope, RateLimit
from marchproxy.model.listener import Listener


def covers(networks: Sequence[str], source: str) -> bool:
    """Whether a client is in one of the networks; an unknown client is in none of them, and anybody when there are none."""
    return not networks or next(_covering(networks, source), None) is not None


def turned_away(listener: Listener, source: str) -> str:
    """Why a listener closes this client's connections at once; empty: it does not, or the client is not known."""
    if not source or _address(source) is None:
        return ""
    if (network := next(_covering(listener.deny, source), None)) is not None:
        return f'listener "{listener.name}" denies {source}: it is in {network}'
    if not covers(listener.allow, source):
        return f'listener "{listener.name}" does not allow {source}; allowed: {", ".join(listener.allow)}'
    return ""


def counting(limits: Iterable[RateLimit], listener: Listener, source: str) -> Iterator[RateLimit]:
    """The limits of the NLB that count this client's connections to the listener; without a client, those that may."""
    address = _address(source)
    for limit in limits:
        match limit.scope:
            case LimitScope.LISTENER:
                counted = limit.subject == listener.name
            case LimitScope.MODULE:
                counted = limit.subject == listener.module_type.value
            case LimitScope.SOURCE | LimitScope.CLIENT:
                counted = address is None or (limit.network is not None and address in limit.network)
            case LimitScope.ROUTE | LimitScope.EVERYTHING:
                counted = False
            case _:
                assert_never(limit.scope)
        if counted:
            yield limit


def _covering(networks: Iterable[str], source: str) -> Iterator[str]:
    address = _address(source)
    if address is None:
        return
    for network in networks:
        if address in ipaddress.ip_network(network, strict=False):
            yield network


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
