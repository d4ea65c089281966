"""Addresses: clients' addresses as values, and sets of networks they may be in. Pure."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_SOURCE_BITS = 64  # of an IPv6 address: what one subscriber has to himself (RFC 6177)


@lru_cache(maxsize=4096)
def ip_of(host: str) -> IPv4Address | IPv6Address:
    """The address behind the text; an IPv4 one where it was mapped into IPv6. Raises ValueError."""
    address = ip_address(host.partition("%")[0])  # a zone means nothing to another host
    # a socket that takes both families shows IPv4 clients as ::ffff:a.b.c.d
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=4096)
def source_of(host: str) -> str:
    """What counts as one source: an IPv4 address, or an IPv6 /64. Raises ValueError."""
    address = ip_of(host)
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Address(int(address) >> _SOURCE_BITS << _SOURCE_BITS))


class Networks:
    """Some networks. Raises ValueError for a text that is none."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = tuple(ip_network(text, strict=False) for text in texts)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, host: str) -> bool:
        if not self._networks:  # most listeners have none, and each connection asks
            return False
        address = ip_of(host)
        return any(address in network for network in self._networks)
