"""PROXY protocol, versions 1 and 2: the header that tells who the client of a forwarded connection is.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. Strict: what the specification does not allow is refused,
because an address taken from a half-understood header would pass for a client's.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

#: Bytes. Version 1 has at most 107 (§2.1); version 2 may have 64 KB of TLVs, of which senders use some hundred.
LONGEST_V1, LONGEST_V2 = 107, 4096

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1 = b"PROXY "
_V2_FIXED = 16
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESS_SIZES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,4}")


class MalformedHeader(Exception):
    """These bytes begin no PROXY protocol header, whatever follows."""


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address as text and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Header:
    """`size`: bytes of the header. Without addresses the connection is the sender's own, or of no TCP client."""

    size: int
    source: Address | None = None
    destination: Address | None = None


def parse(data: bytes) -> Header | None:
    """The header that `data` begins with; None when it is not all there. Raises MalformedHeader."""
    if data[:1] == _V1[:1]:
        return _parse_v1(data)
    return _parse_v2(data)


def _parse_v1(data: bytes) -> Header | None:
    if not _V1.startswith(data[: len(_V1)]):
        raise MalformedHeader("no PROXY protocol header")
    end = data.find(b"\r\n", 0, LONGEST_V1)
    if end < 0:
        if len(data) >= LONGEST_V1:
            raise MalformedHeader(f"no line end within {LONGEST_V1} bytes")
        return None
    try:
        words = data[len(_V1) : end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise MalformedHeader("not ASCII") from None
    size = end + 2
    if words[0] == "UNKNOWN":
        return Header(size)
    if len(words) != 5 or words[0] not in {"TCP4", "TCP6"}:
        raise MalformedHeader("not PROXY TCP4|TCP6|UNKNOWN with two addresses and two ports")
    kind = IPv4Address if words[0] == "TCP4" else IPv6Address
    hosts = [_host(kind, text) for text in words[1:3]]
    ports = [_port(text) for text in words[3:]]
    return Header(size, *(Address(host, port) for host, port in zip(hosts, ports, strict=True)))


def _host(kind: type[IPv4Address] | type[IPv6Address], text: str) -> str:
    try:
        address = kind(text)
    except ValueError:
        raise MalformedHeader("an address is none") from None
    if "%" in text:
        raise MalformedHeader("an address has a zone")
    return str(address)


def _port(text: str) -> int:
    if not _DECIMAL.fullmatch(text) or int(text) > 65535:
        raise MalformedHeader("a port is none")
    return int(text)


def _parse_v2(data: bytes) -> Header | None:
    if not _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        raise MalformedHeader("no PROXY protocol header")
    if len(data) > 12 and data[12] not in {_LOCAL, _PROXY}:
        raise MalformedHeader("neither LOCAL nor PROXY of version 2")
    if len(data) < _V2_FIXED:
        return None
    length = int.from_bytes(data[14:16])
    if length > LONGEST_V2:
        raise MalformedHeader(f"more than {LONGEST_V2} bytes")
    size = _V2_FIXED + length
    if len(data) < size:
        return None
    body = data[_V2_FIXED:size]
    if data[12] == _LOCAL:  # §2.2: what follows is to be skipped
        return Header(size)
    return _read_v2(data[13], body, size)


def _read_v2(family: int, body: bytes, size: int) -> Header:
    taken = _ADDRESS_SIZES.get(family)
    if taken is None or len(body) < taken:
        raise MalformedHeader("the family is no stream's, or its addresses are cut short")
    if family != _UNSPECIFIED:  # what follows UNSPEC has no defined form
        _check_tlvs(body[taken:])
    if family == _TCP4:
        return Header(size, *_addresses(IPv4Address, 4, body))
    if family == _TCP6:
        return Header(size, *_addresses(IPv6Address, 16, body))
    return Header(size)


def _addresses(
    kind: type[IPv4Address] | type[IPv6Address], width: int, body: bytes
) -> tuple[Address, Address]:
    ports = body[2 * width : 2 * width + 4]
    return (
        Address(str(kind(body[:width])), int.from_bytes(ports[:2])),
        Address(str(kind(body[width : 2 * width])), int.from_bytes(ports[2:])),
    )


def _check_tlvs(data: bytes) -> None:
    at = 0
    while at < len(data):
        end = at + 3 + int.from_bytes(data[at + 1 : at + 3])
        if at + 3 > len(data) or end > len(data):
            raise MalformedHeader("a TLV is cut short")
        at = end
