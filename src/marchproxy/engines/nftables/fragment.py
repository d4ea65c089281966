"""Fragment: one frontend as the kernel's things: chains, counters, sets, map elements. Pure.

A connection's first packet goes: map of places → gate → frontend's chain (deny, allow, limits, share) → endpoint's chain
(count, mark, DNAT). The kernel remembers the choice (conntrack), so later packets never come here: that is why weights can
change and backends can drain under established connections, and why the counters here count connections.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import collapse_addresses, ip_network
from typing import Any, assert_never

from marchproxy.engines.nftables import expressions as x
from marchproxy.engines.nftables import names
from marchproxy.engines.nftables.expressions import Family, Json
from marchproxy.engines.nftables.limiting import limiting_rules, limiting_things
from marchproxy.engines.nftables.plan import Backend, Frontend, Policy, Protocol
from marchproxy.engines.nftables.shares import intervals, ring, slots, turns
from marchproxy.engines.nftables.thing import Element, Fragment, Kind, Rule, Thing, by_place
from marchproxy.kit.addresses import ip_address

HASH_SEED = 0x4D61_7263
"""Fixed, so that a client finds its backend again on any host and after any restart."""


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """A backend of a frontend as things: those of one that drains, its chain, and where its bytes are counted."""

    counters: Mapping[str, Thing]
    chain: Thing
    accounting: Mapping[str, Element]


@lru_cache(maxsize=4_096)
def compile_frontend(frontend: Frontend, mark_bit: int) -> Fragment:
    """The fragment of a frontend without problems. `mark_bit` tells postrouting which packets to masquerade."""
    prefix, gate = names.frontend_prefix(frontend.name), names.gate_chain(frontend)
    things: dict[str, Thing] = {gate: Thing(Kind.CHAIN, gate)}
    accounting: dict[str, Element] = {}
    weights: dict[str, int] = {}
    bare = Frontend(frontend.name, frontend.protocol, frontend.address, frontend.port)
    for backend in frontend.backends:
        endpoint = _endpoint(bare, _unweighted(backend), mark_bit)
        things.update(endpoint.counters)
        accounting.update(endpoint.accounting)
        if backend.weight:
            things[endpoint.chain.name] = endpoint.chain
            weights[endpoint.chain.name] = backend.weight
    intervals = bool(frontend.deny or frontend.allow) or _in_intervals(frontend.policy, weights)
    target = replace(_chain(f"{prefix}/entry", tuple(_frontend_rules(frontend, weights))), settles=intervals)
    refusals = (Thing(Kind.COUNTER, names.counter(prefix, what)) for what in names.REFUSALS)
    things.update((thing.name, thing) for thing in (*refusals, *limiting_things(frontend), target))
    return Fragment(gate, target.name, by_place(_entry(frontend, gate)), things, accounting)


def accounting_map(way: str, asked: bool, answers: bool) -> str:  # noqa: FBT001 - the two halves of a table's index
    """The map of byte counters `in` or `out`, keyed with or without the address asked for and the one that answers."""
    return f"{way}-{'address' if asked else 'any'}-{'backend' if answers else 'redirect'}"


def _frontend_rules(frontend: Frontend, weights: dict[str, int]) -> Iterator[Rule]:
    family = Family.of(frontend.version)
    source = x.header(family, "saddr")
    over_tcp = frontend.protocol is Protocol.TCP
    prefix = names.frontend_prefix(frontend.name)
    denied = (x.count(names.counter(prefix, "denied")), x.RESET if over_tcp else x.DROP)
    if frontend.deny:
        yield (x.equal(source, _networks(frontend.deny)), *denied)
    if frontend.allow:
        yield (x.unequal(source, _networks(frontend.allow)), *denied)
    if not weights:
        unserved = x.RESET if over_tcp else x.reject_unreachable(family)
        yield (x.count(names.counter(prefix, "unserved")), unserved)
        return
    yield from limiting_rules(frontend)
    yield (_share(frontend.policy, weights, source),)


def _share(policy: Policy, weights: dict[str, int], source: Json) -> Json:
    if len(weights) == 1:
        return x.goto(next(iter(weights)))
    match policy:
        case Policy.RANDOM:
            if _in_intervals(policy, weights):
                key = _numgen("random", sum(weights.values()))
                return x.dispatch(key, [(_range(*span), x.goto(name)) for span, name in intervals(weights)])
            repeated = slots(weights)
            return x.dispatch(_numgen("random", len(repeated)), _numbered(repeated))
        case Policy.ROUND_ROBIN:
            order = turns(weights)
            return x.dispatch(_numgen("inc", len(order)), _numbered(order))
        case Policy.SOURCE_HASH:
            hashed = ring(weights)
            key = {"jhash": {"mod": len(hashed), "expr": source, "seed": HASH_SEED}}
            return x.dispatch(key, _numbered(hashed))
        case _:
            assert_never(policy)


def _in_intervals(policy: Policy, weights: dict[str, int]) -> bool:
    """A set of single numbers takes effect at once, one of intervals does not (see `ruleset`), but is never large."""
    return policy is Policy.RANDOM and len(weights) > 1 and not slots(weights)


@lru_cache(maxsize=16_384)
def _endpoint(frontend: Frontend, backend: Backend, mark_bit: int) -> _Endpoint:
    prefix = names.endpoint_prefix(frontend.name, backend)
    counters = {
        name: Thing(Kind.COUNTER, name) for name in (names.counter(prefix, what) for what in names.FLOWS)
    }
    rules = tuple(_endpoint_rules(prefix, frontend.protocol, backend, mark_bit))
    return _Endpoint(counters, _chain(prefix, rules), by_place(*_accounting(frontend, backend, prefix)))


def _endpoint_rules(prefix: str, protocol: Protocol, backend: Backend, mark_bit: int) -> Iterator[Rule]:
    family = Family.of(ip_address(backend.address).version)
    if not backend.local:
        mark = x.set_mark_bit(mark_bit)
        # a backend that reaches itself through us would otherwise answer itself past us
        yield (x.equal(x.header(family, "saddr"), backend.address), mark) if backend.keep_source else (mark,)
    port = {"port": backend.port}
    translate = {"redirect": port} if backend.redirected else {"dnat": {"addr": backend.address, **port}}
    yield (
        x.count(names.counter(prefix, "new")),
        x.equal(x.L4PROTO, protocol.value),  # nft wants to know what kind of port it is
        translate,
    )


def _chain(prefix: str, rules: tuple[Rule, ...]) -> Thing:
    digest = names.digest(json.dumps(rules))
    return Thing(Kind.CHAIN, f"{prefix}.{digest}", rules=rules)


def _unweighted(backend: Backend) -> Backend:
    return Backend(backend.address, backend.port, 1, backend.local, backend.keep_source)


def _entry(frontend: Frontend, gate: str) -> Element:
    if frontend.wildcard:
        return Element("wildcards", (frontend.protocol.value, frontend.port), gate)
    address = str(ip_address(frontend.address))
    return Element("frontends", (address, frontend.protocol.value, frontend.port), gate)


def _accounting(frontend: Frontend, backend: Backend, prefix: str) -> Iterator[Element]:
    """Bytes are found by the connection's own tuple: what the client asked for, who answers. `skeleton` looks them up."""
    asked = () if frontend.wildcard else (str(ip_address(frontend.address)),)
    answers = () if backend.redirected else (str(ip_address(backend.address)),)
    key = (*asked, frontend.protocol.value, frontend.port, *answers, backend.port)
    for way in ("in", "out"):
        yield Element(accounting_map(way, bool(asked), bool(answers)), key, names.counter(prefix, way))


def _networks(cidrs: Iterable[str]) -> Json:
    return x.prefixes(sorted(collapse_addresses(ip_network(cidr, strict=False) for cidr in cidrs)))  # type: ignore[type-var]


def _numgen(mode: str, size: int) -> Json:
    return {"numgen": {"mode": mode, "mod": size, "offset": 0}}


def _numbered(order: Iterable[str]) -> list[tuple[Any, Json]]:
    return [(number, x.goto(name)) for number, name in enumerate(order)]


def _range(first: int, last: int) -> Any:
    return first if first == last else {"range": [first, last]}
