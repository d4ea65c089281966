"""PROXY protocol, versions 1 and 2, as senders say it: what `proxy_protocol` reads.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
"""

from ipaddress import ip_address

from marchproxy.wire.proxy_protocol import Address

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_UNSPECIFIED = {4: "0.0.0.0", 6: "::"}


def greeting(version: int, source: Address | None = None, destination: Address | None = None) -> bytes:
    """The header of a connection from `source` that went to `destination`, both of which are IP addresses.

    Without a source the connection is the sender's own. A destination of the other family is said to be unknown.
    """
    if source is None:
        return b"PROXY UNKNOWN\r\n" if version == 1 else _SIGNATURE + b"\x20\0\0\0"
    host = ip_address(source.host.partition("%")[0])
    to = ip_address(destination.host.partition("%")[0]) if destination is not None else None
    if to is None or to.version != host.version:
        to = ip_address(_UNSPECIFIED[host.version])
    port = 0 if destination is None else destination.port
    if version == 1:
        return f"PROXY TCP{host.version} {host} {to} {source.port} {port}\r\n".encode()
    body = host.packed + to.packed + source.port.to_bytes(2) + port.to_bytes(2)
    family = b"\x11" if host.version == 4 else b"\x21"
    return _SIGNATURE + b"\x21" + family + len(body).to_bytes(2) + body
