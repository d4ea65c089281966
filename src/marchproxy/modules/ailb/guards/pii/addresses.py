"""Addresses: of mail, and of machines. Pure."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from marchproxy.modules.ailb.guards.pii.numbers import begins

_LONGEST_LOCAL = 64  # RFC 5321 §4.5.3.1.1
_DOMAIN = re.compile(r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_](?:[\w-]{0,61}[^\W_])")
_LOCAL = re.compile(r"[\w.+-]{1,64}\Z")
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\.?[0-9]|[A-Za-z_])")
_IPV6_REST = re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{0,30}(?![0-9A-Za-z_])")
# what is given out begins with 2 or 3, what is used at home or on a link with f; `::1` tells of nobody
_IPV6_FIRST = re.compile(r"[23][0-9A-Fa-f]{3}|[fF][cdeCDE][0-9A-Fa-f]{2}")


def find_emails(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Mail addresses: from each @ to both sides."""
    at = start
    for match in _DOMAIN.finditer(text, start, stop):
        sign = match.start()
        local = _LOCAL.search(text, max(at, sign - _LONGEST_LOCAL), sign)
        if local is not None:
            yield local.start(), match.end()
            at = match.end()


def find_ips(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Addresses of IP, both versions; those of no machine, and of the machine itself, tell nothing."""
    for match in _IPV4.finditer(text, start, stop):
        if begins(text, match.start(), signs=".-:") and _is_telling(IPv4Address, match[0]):
            yield match.span()
    for match in _IPV6_REST.finditer(text, start, stop):
        first = match.start() - 4
        if first >= start and _IPV6_FIRST.match(text, first) and begins(text, first, signs=".-:"):
            written = text[first : match.end()]
            rest = written.removesuffix(":") if not written.endswith("::") else written
            if _is_telling(IPv6Address, rest):
                yield first, first + len(rest)


def _is_telling(kind: type[IPv4Address] | type[IPv6Address], written: str) -> bool:
    try:
        address = kind(written)
    except AddressValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
