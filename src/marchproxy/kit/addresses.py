"""Addresses: IP addresses, parsed once. A plan of a thousand endpoints asks for the same ones several times at every change."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=16_384)
def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """`ipaddress.ip_address` of a text. Raises ValueError."""
    return ipaddress.ip_address(text)
