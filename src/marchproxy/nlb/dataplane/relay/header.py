"""Header: PROXY protocol version 2, which tells a target who the client is.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt §2.2
"""

import struct
from ipaddress import IPv4Address, IPv6Address

from marchproxy.kit.settings import HostPort
from marchproxy.nlb.dataplane.relay.addresses import ip_of

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_VERSION_2_PROXY = 0x21
_TCP4, _TCP6 = 0x11, 0x21


def encode_header(source: HostPort, destination: HostPort) -> bytes:
    """The header for a client at `source` that connected to `destination`, both IP addresses. Raises ValueError."""
    addresses = (ip_of(source.host), ip_of(destination.host))
    if all(isinstance(address, IPv4Address) for address in addresses):
        family, packed = _TCP4, [address.packed for address in addresses]
    else:
        family, packed = _TCP6, [_as_ipv6(address).packed for address in addresses]
    body = b"".join(packed) + struct.pack("!HH", source.port, destination.port)
    return _SIGNATURE + struct.pack("!BBH", _VERSION_2_PROXY, family, len(body)) + body


def _as_ipv6(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")
