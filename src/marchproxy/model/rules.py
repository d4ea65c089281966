"""Rules of single values: names, addresses, durations, patterns, shares. `path` is where the value stands."""

import ipaddress
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit

from marchproxy.model.problem import Problem

T = TypeVar("T")

HOST = re.compile(r"(\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PORT = re.compile(r"[0-9]{1,5}")
_LONGEST_PATTERN = 1000
# seconds; longer than anybody waits, far below what any wire type holds
_LONGEST_DURATION = 366 * 24 * 3600.0


def check_address(address: str, path: str) -> Iterator[Problem]:
    """Faults of a `host:port` text."""
    host, colon, port = address.rpartition(":")
    if "://" in address:
        yield Problem(path, f'"{address}" is a URL; write host:port')
    elif not colon or not host:
        yield Problem(path, f'"{address}" is not host:port')
    elif not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        yield Problem(path, f'port "{port[:10]}" is not between 1 and 65535')
    elif host.startswith("[") and host.endswith("]"):
        if ip_address(host[1:-1]) is None:
            yield Problem(path, f"{host} is not an IPv6 address in brackets")
    elif ":" in host:
        yield Problem(path, f'"{address}": write an IPv6 address in brackets, [{host}]:{port}')
    elif not HOST.fullmatch(host) or host.startswith("*"):
        yield Problem(path, f'"{host}" is neither an IP address nor a host name')


def check_name(name: str, path: str) -> Iterator[Problem]:
    """Faults of the name of a route, pool, listener, limit or version."""
    if not _NAME.fullmatch(name):
        yield Problem(path, f'"{name}" is not a name: letters, digits, ".", "_" and "-", 1 to 100 of them')


def check_duration(seconds: float, path: str) -> Iterator[Problem]:
    """Faults of a duration in seconds, of which 0 means none."""
    if not 0 <= seconds <= _LONGEST_DURATION:  # false for NaN as well
        yield Problem(path, f"{seconds} s is not between 0 and {_LONGEST_DURATION:.0f}")


def check_wait(seconds: float, path: str) -> Iterator[Problem]:
    """Faults of a duration in seconds that cannot be 0."""
    if not 0 < seconds <= _LONGEST_DURATION:
        yield Problem(path, f"{seconds} s is not more than 0 and at most {_LONGEST_DURATION:.0f}")


def check_regex(pattern: str, path: str) -> Iterator[Problem]:
    """Faults of a regular expression in Python's opinion.

    Envoy's own (RE2 knows no look-around) comes with its answer to the snapshot.
    """
    if not pattern or len(pattern) > _LONGEST_PATTERN:
        yield Problem(path, f"a regular expression has 1 to {_LONGEST_PATTERN} characters")
        return
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield Problem(path, f'"{pattern}" is not a regular expression: {error}')


def check_shares(shares: Sequence[tuple[str, int]], path: str) -> Iterator[Problem]:
    """Faults of a split in percent, given as pairs of path and weight; no split at all is sound."""
    for where, weight in shares:
        if not 0 <= weight <= 100:
            yield Problem(where, f"{weight} is not between 0 and 100")
    total = sum(weight for _, weight in shares)
    if shares and total != 100:
        yield Problem(path, f"the weights add up to {total}, they must add up to 100")


def duplicates(path: str, field: str, items: Sequence[T], key: Callable[[T], Hashable]) -> Iterator[Problem]:
    """A fault for each item whose `key` an earlier one has; `field` is where the key is written in the item."""
    first: dict[Hashable, int] = {}
    for index, item in enumerate(items):
        at = first.setdefault(key(item), index)
        if at != index:
            yield Problem(f"{path}[{index}].{field}", f"the same as {path}[{at}].{field}")


@lru_cache(maxsize=8)  # asked again for each wrong name of a document
def known(names: frozenset[str]) -> str:
    """The end of a message about a wrong name: which ones there are."""
    if not names:
        return "; there are none"
    return f"; known: {', '.join(sorted(names)[:8])}{', …' if len(names) > 8 else ''}"


def check_networks(networks: Sequence[str], path: str) -> Iterator[Problem]:
    """Faults of a list of CIDRs; bits beyond the prefix are allowed, and an address alone is itself."""
    for number, network in enumerate(networks):
        if not is_network(network):
            yield Problem(f"{path}[{number}]", f'"{network}" is not an IP network such as 10.0.0.0/8')


def check_file(file: str, path: str) -> Iterator[Problem]:
    """Faults of the path of a file on the host of whoever reads it."""
    if not file:
        yield Problem(path, "is needed: the absolute path of a file")
    elif not file.startswith("/") or "\0" in file:
        yield Problem(path, f'"{file}" is not the absolute path of a file')


def check_count(count: int, path: str, *, most: int = 2**31 - 1) -> Iterator[Problem]:
    """Faults of a number of things, of which 0 means no limit."""
    if not 0 <= count <= most:
        yield Problem(path, f"{count} is not between 0 and {most}")


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, or None when it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_network(text: str) -> bool:
    """Whether this is a CIDR or an address; bits beyond the prefix are allowed."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def is_url(text: str) -> bool:
    """Whether this is an absolute URL of http or https."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
