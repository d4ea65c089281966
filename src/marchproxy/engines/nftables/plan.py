"""Plan: what the kernel shall forward, as values of this engine, and what is wrong with one. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network

from marchproxy.kit.addresses import ip_address

MAX_WEIGHT = 65_535
MAX_BACKENDS = 4_096
MAX_LIMIT = 1_000_000


class Protocol(Enum):
    """What a frontend accepts; the values are nft's words."""

    TCP = "tcp"
    UDP = "udp"


class Policy(Enum):
    """How a new connection finds its backend. Weights count in each of them."""

    RANDOM = "random"
    SOURCE_HASH = "source_hash"
    ROUND_ROBIN = "round_robin"


class Period(Enum):
    """The time a rate counts in; the values are nft's words."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Backend:
    """One endpoint. Weight 0 drains: no new connections, established ones stay and are counted.

    `local`: on this host; an unspecified address then means whichever address the client used (`redirect`).
    `keep_source`: a remote backend whose way back to the clients leads through this host sees their addresses; any
    other remote backend sees this host's.
    """

    address: str
    port: int
    weight: int = 1
    local: bool = False
    keep_source: bool = False

    @property
    def redirected(self) -> bool:
        """Whether only the port is replaced."""
        return ip_address(self.address).is_unspecified


@dataclass(frozen=True, slots=True)
class Rate:
    """New connections per `period`; at most `burst` of them at once, 0: as many as in a period."""

    count: int
    period: Period
    burst: int = 0

    @property
    def bucket(self) -> int:
        """The most at once."""
        return self.burst or self.count


@dataclass(frozen=True, slots=True)
class Limit:
    """How many new connections may come, over all frontends of one IP version that have it. All `rates` hold.

    `network`: only clients of this CIDR; empty: everybody. `each`: every IPv4 address or IPv6 /64 by itself.
    What is in a bucket stays over plans that have the limit with the same rates.
    """

    name: str
    rates: tuple[Rate, ...]
    network: str = ""
    each: bool = False


@dataclass(frozen=True, slots=True)
class Frontend:
    """An address and port, and who takes its connections. An unspecified address is any address of this host.

    `deny` goes before `allow`; an empty `allow` allows everyone. Both are CIDRs and apply to new connections.
    `concurrent` connections at once from an IPv4 address or an IPv6 /64, 0: no limit; counted from the moment it comes
    into force.
    """

    name: str
    protocol: Protocol
    address: str
    port: int
    backends: tuple[Backend, ...] = ()
    policy: Policy = Policy.RANDOM
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    concurrent: int = 0

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(self.address).version

    @property
    def wildcard(self) -> bool:
        """Whether it takes any address of this host."""
        return ip_address(self.address).is_unspecified

    @property
    def serving(self) -> tuple[Backend, ...]:
        """The backends that take new connections."""
        return tuple(backend for backend in self.backends if backend.weight > 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything this engine forwards."""

    frontends: tuple[Frontend, ...] = ()


def find_problems(plan: Plan) -> tuple[str, ...]:
    """Everything that keeps this plan from being compiled, each with the frontend's name. Empty: it compiles."""
    return tuple(_plan_problems(plan))


def _plan_problems(plan: Plan) -> Iterator[str]:
    names: set[str] = set()
    limits: dict[str, Limit] = {}
    places: dict[tuple[Protocol, str, int], str] = {}
    for frontend in plan.frontends:
        own = list(_frontend_problems(frontend))
        yield from (f"frontend {frontend.name!r}: {problem}" for problem in own)
        if frontend.name in names:
            yield f"frontend {frontend.name!r}: the name is used twice"
        names.add(frontend.name)
        for limit in frontend.limits:
            if limits.setdefault(limit.name, limit) != limit:
                yield f"frontend {frontend.name!r}: limit {limit.name!r} is another one elsewhere"
        if own:
            continue
        place = (frontend.protocol, str(ip_address(frontend.address)), frontend.port)
        if place in places:
            yield f"frontend {frontend.name!r}: same protocol, address and port as {places[place]!r}"
        places.setdefault(place, frontend.name)


def _frontend_problems(frontend: Frontend) -> Iterator[str]:
    version = _version(frontend.address)
    if version is None:
        yield f"{frontend.address!r} is not an IP address"
        return
    if not _is_port(frontend.port):
        yield f"port {frontend.port} is not in 1..65535"
    if len(frontend.backends) > MAX_BACKENDS:
        yield f"{len(frontend.backends)} backends; at most {MAX_BACKENDS}"
    seen: set[tuple[str, int]] = set()
    for backend in frontend.backends:
        for problem in _backend_problems(backend, version):
            yield f"backend {backend.address}:{backend.port}: {problem}"
        if (backend.address, backend.port) in seen:
            yield f"backend {backend.address}:{backend.port} is named twice"
        seen.add((backend.address, backend.port))
    for cidr in (*frontend.allow, *frontend.deny):
        yield from _cidr_problems(cidr, version)
    if frontend.concurrent and not _is_limit(frontend.concurrent):
        yield f"limit concurrent {frontend.concurrent} is not in 1..{MAX_LIMIT}"
    for limit in frontend.limits:
        yield from _limit_problems(limit, version)


def _backend_problems(backend: Backend, version: int) -> Iterator[str]:
    address = _address(backend.address)
    if address is None:
        yield "not an IP address"
        return
    if address.version != version:
        yield f"IPv{address.version} behind an IPv{version} frontend"
    if not _is_port(backend.port):
        yield "port is not in 1..65535"
    if not 0 <= backend.weight <= MAX_WEIGHT:
        yield f"weight {backend.weight} is not in 0..{MAX_WEIGHT}"
    if address.is_unspecified and not backend.local:
        yield "an unspecified address is for backends on this host only"
    if address.is_loopback:
        # the kernel drops packets from outside to 127.0.0.0/8 or ::1 (martians), whatever NAT says
        yield "a loopback address cannot be reached from outside; let it listen on a real address"


def _cidr_problems(cidr: str, version: int) -> Iterator[str]:
    try:
        network = ip_network(cidr, strict=False)
    except ValueError:
        yield f"{cidr!r} is not a CIDR"
        return
    if network.version != version:
        yield f"{cidr!r} is IPv{network.version}, the frontend IPv{version}"


def _limit_problems(limit: Limit, version: int) -> Iterator[str]:
    if limit.network:
        yield from _cidr_problems(limit.network, version)
    for rate in limit.rates:
        for word, value in ((f"per {rate.period.value}", rate.count), ("burst", rate.bucket)):
            if not _is_limit(value):
                yield f"limit {limit.name!r}: {word} {value} is not in 1..{MAX_LIMIT}"


def _is_limit(value: int) -> bool:
    # the kernel takes larger ones without a word and then counts wrongly (nft_limit.c rounds to nanoseconds)
    return 1 <= value <= MAX_LIMIT


@lru_cache(maxsize=16_384)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _version(text: str) -> int | None:
    address = _address(text)
    return None if address is None else address.version


def _is_port(port: int) -> bool:
    return 1 <= port <= 65_535
