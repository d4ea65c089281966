"""Fragment: one frontend as the kernel's things: chains, counters, sets, map elements. Pure.

A connection's first packet goes: frontend map → frontend chain (deny, allow, limits, share) → endpoint chain (count,
mark, DNAT). The kernel remembers the choice (conntrack), so later packets never come here: that is why weights can
change and backends can drain under established connections, and why the counters here count connections.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import collapse_addresses, ip_address, ip_network
from typing import Any, assert_never

from marchproxy.engines.nftables import expressions as x
from marchproxy.engines.nftables import names
from marchproxy.engines.nftables.expressions import Family, Json
from marchproxy.engines.nftables.plan import Backend, ConnectionLimits, Frontend, Policy, Protocol
from marchproxy.engines.nftables.shares import intervals, ring, turns

HASH_SEED = 0x4D61_7263
"""Fixed, so that a client finds its backend again on any host and after any restart."""
MAX_SOURCES = 65_535
"""Sources remembered per limit. When they are all in use, a new source is let through unlimited."""
_RATE_MEMORY = {"second": 60, "minute": 600, "hour": 7_200}

Rule = tuple[Json, ...]
Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """What a map holds for a key: a chain to go to, or a counter."""

    map: str
    key: Key
    value: str


@dataclass(frozen=True, slots=True)
class SourceSet:
    """A dynamic set of sources; `timeout` in seconds, 0: until the source's last connection ends."""

    name: str
    timeout: int = 0


@dataclass(frozen=True, slots=True)
class Fragment:
    """Everything one frontend needs beside the skeleton of its table."""

    chains: tuple[tuple[str, tuple[Rule, ...]], ...]
    counters: tuple[str, ...]
    sets: tuple[SourceSet, ...]
    elements: tuple[Element, ...]


@lru_cache(maxsize=4_096)
def compile_frontend(frontend: Frontend, mark_bit: int) -> Fragment:
    """The fragment of a frontend without problems. `mark_bit` tells postrouting which packets to masquerade."""
    chain = names.frontend_chain(frontend.name)
    endpoints = [(names.endpoint_chain(frontend, backend), backend) for backend in frontend.backends]
    serving = [
        (name, tuple(_endpoint_rules(frontend, backend, mark_bit)))
        for name, backend in endpoints
        if backend.weight
    ]
    return Fragment(
        chains=((chain, tuple(_frontend_rules(frontend))), *serving),
        counters=(
            *(names.counter(chain, what) for what in names.REFUSALS),
            *(names.counter(name, what) for name, _ in endpoints for what in names.FLOWS),
        ),
        sets=tuple(_source_sets(frontend)),
        elements=(_entry(frontend), *_accounting(frontend, endpoints)),
    )


def _frontend_rules(frontend: Frontend) -> Iterator[Rule]:
    family = Family.of(frontend.version)
    source = x.header(family, "saddr")
    refuse = x.RESET if frontend.protocol is Protocol.TCP else x.DROP
    chain = names.frontend_chain(frontend.name)
    denied = (x.count(names.counter(chain, "denied")), refuse)
    if frontend.deny:
        yield (x.equal(source, _networks(frontend.deny)), *denied)
    if frontend.allow:
        yield (x.unequal(source, _networks(frontend.allow)), *denied)
    if not frontend.serving:
        unserved = x.RESET if frontend.protocol is Protocol.TCP else x.reject_unreachable(family)
        yield (x.count(names.counter(chain, "unserved")), unserved)
        return
    for over in _limits(frontend, family):
        yield (over, x.count(names.counter(chain, "limited")), refuse)
    yield (_share(frontend, source),)


def _limits(frontend: Frontend, family: Family) -> Iterator[Json]:
    limits = frontend.limits
    source: Any = x.header(family, "saddr")
    if family is Family.IP6:
        # whoever has one IPv6 address has the whole /64
        source = {"&": [source, "ffff:ffff:ffff:ffff::"]}
    if limits.rate is not None:
        rate = {"rate": limits.rate, "burst": limits.burst, "per": limits.period.value, "inv": True}
        yield _over("update", source, names.rate_set(frontend, limits), {"limit": rate})
    if limits.concurrent is not None:
        most = {"ct count": {"val": limits.concurrent, "inv": True}}
        yield _over("add", source, names.concurrent_set(frontend, limits), most)


def _over(operation: str, source: Json, sources: str, statement: Json) -> Json:
    return {"set": {"op": operation, "elem": source, "set": f"@{sources}", "stmt": [statement]}}


def _source_sets(frontend: Frontend) -> Iterator[SourceSet]:
    limits: ConnectionLimits = frontend.limits
    if not frontend.serving:
        return  # a set is dynamic only when it is created together with the rule that fills it
    if limits.rate is not None:
        # longer than the bucket takes to fill, so that forgetting a source gives it nothing
        fill = limits.burst * {"second": 1, "minute": 60, "hour": 3_600}[limits.period.value] // limits.rate
        yield SourceSet(names.rate_set(frontend, limits), max(fill + 1, _RATE_MEMORY[limits.period.value]))
    if limits.concurrent is not None:
        yield SourceSet(names.concurrent_set(frontend, limits))


def _share(frontend: Frontend, source: Json) -> Json:
    weights = {names.endpoint_chain(frontend, backend): backend.weight for backend in frontend.serving}
    if len(weights) == 1:
        return x.goto(next(iter(weights)))
    match frontend.policy:
        case Policy.RANDOM:
            key = _numgen("random", sum(weights.values()))
            return x.dispatch(key, [(_range(*span), x.goto(name)) for span, name in intervals(weights)])
        case Policy.ROUND_ROBIN:
            order = turns(weights)
            return x.dispatch(_numgen("inc", len(order)), _numbered(order))
        case Policy.SOURCE_HASH:
            slots = ring(weights)
            key = {"jhash": {"mod": len(slots), "expr": source, "seed": HASH_SEED}}
            return x.dispatch(key, _numbered(slots))
        case _:
            assert_never(frontend.policy)


def _endpoint_rules(frontend: Frontend, backend: Backend, mark_bit: int) -> Iterator[Rule]:
    family = Family.of(frontend.version)
    if not backend.local:
        mark = x.set_mark_bit(mark_bit)
        # a backend that reaches itself through us would otherwise answer itself past us
        yield (x.equal(x.header(family, "saddr"), backend.address), mark) if backend.keep_source else (mark,)
    port = {"port": backend.port}
    translate = {"redirect": port} if backend.redirected else {"dnat": {"addr": backend.address, **port}}
    yield (
        x.count(names.counter(names.endpoint_chain(frontend, backend), "new")),
        x.equal(x.L4PROTO, frontend.protocol.value),  # nft wants to know what kind of port it is
        translate,
    )


def _entry(frontend: Frontend) -> Element:
    chain = names.frontend_chain(frontend.name)
    if frontend.wildcard:
        return Element("wildcards", (frontend.protocol.value, frontend.port), chain)
    address = str(ip_address(frontend.address))
    return Element("frontends", (address, frontend.protocol.value, frontend.port), chain)


def _accounting(frontend: Frontend, endpoints: Iterable[tuple[str, Backend]]) -> Iterator[Element]:
    """Bytes are found by the connection's own tuple: what the client asked for, who answers. `ruleset` looks them up."""
    for chain, backend in endpoints:
        asked = () if frontend.wildcard else (str(ip_address(frontend.address)),)
        answers = () if backend.redirected else (str(ip_address(backend.address)),)
        key = (*asked, frontend.protocol.value, frontend.port, *answers, backend.port)
        for way in ("in", "out"):
            yield Element(accounting_map(way, bool(asked), bool(answers)), key, names.counter(chain, way))


def accounting_map(way: str, asked: bool, answers: bool) -> str:  # noqa: FBT001 - the two halves of a table's index
    """The map of byte counters `in` or `out`, keyed with or without the address asked for and the one that answers."""
    return f"{way}-{'address' if asked else 'any'}-{'backend' if answers else 'redirect'}"


def _networks(cidrs: Iterable[str]) -> Json:
    return x.prefixes(sorted(collapse_addresses(ip_network(cidr, strict=False) for cidr in cidrs)))  # type: ignore[type-var]


def _numgen(mode: str, size: int) -> Json:
    return {"numgen": {"mode": mode, "mod": size, "offset": 0}}


def _numbered(order: Iterable[str]) -> list[tuple[Any, Json]]:
    return [(number, x.goto(name)) for number, name in enumerate(order)]


def _range(first: int, last: int) -> Any:
    return first if first == last else {"range": [first, last]}
