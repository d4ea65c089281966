"""Networks: CIDRs as people write them, and the clients in them."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(
    maxsize=4096
)  # asked for each listener and request; reading one takes as long as comparing a hundred
def read_network(text: str) -> Network | None:
    """The network, bits beyond the prefix dropped; an address alone is itself. None for what is neither."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def is_among(networks: Sequence[str], client: str) -> bool:
    """Whether a client's address is in one of the networks; one that is not known is in none.

    An IPv4 address that came over an IPv6 socket is itself.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    found = (read_network(text) for text in networks)
    return any(network is not None and (mapped or address) in network for network in found)


def networks_meet(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether some address is in both; no networks are all of them, and so is what cannot be read."""
    ones, others = [read_network(text) for text in first], [read_network(text) for text in second]
    if not ones or not others or None in ones or None in others:
        return True
    return any(_overlap(one, other) for one in ones for other in others)


def _overlap(one: Network | None, other: Network | None) -> bool:
    if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return one.overlaps(other)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return one.overlaps(other)
    return False
