"""Skeleton: the part of our table that is the same for every plan. Pure.

    prerouting, output    nat, dstnat     first packets → services → gates: frontends by address, wildcards by port
    postrouting           nat, srcnat     masquerades what an endpoint chain marked
    incoming, outgoing    filter, dstnat+10   bytes of translated connections, by the connection's tuple

Bytes are counted in hooks and not read from conntrack accounting: that would mean listing every flow, and would miss
those that ended in between. The two hooks see each packet once: what arrives (except over lo), and what this host sends.
"""

from collections.abc import Iterator
from itertools import product

from marchproxy.engines.nftables import expressions as x
from marchproxy.engines.nftables.expressions import Family, Json
from marchproxy.engines.nftables.fragment import accounting_map
from marchproxy.engines.nftables.thing import Rule

_DSTNAT, _SRCNAT, _AFTER_DSTNAT = -100, 100, -90


def skeleton(family: Family, table: str, mark_bit: int) -> Iterator[Json]:
    """The commands that fill an empty table with everything that does not depend on the plan."""

    def add(kind: str, **fields: object) -> Json:
        return x.add(kind, family, table, **fields)

    for name, kind, hook, priority in (
        ("prerouting", "nat", "prerouting", _DSTNAT),
        ("output", "nat", "output", _DSTNAT),
        ("postrouting", "nat", "postrouting", _SRCNAT),
        ("incoming", "filter", "prerouting", _AFTER_DSTNAT),
        ("outgoing", "filter", "output", _AFTER_DSTNAT),
    ):
        yield add("chain", name=name, type=kind, hook=hook, prio=priority, policy="accept")
    for name in ("services", "bytes-in", "bytes-out"):
        yield add("chain", name=name)
    address, entry = [family.address_type], ["inet_proto", "inet_service"]
    yield add("map", name="frontends", type=address + entry, map="verdict")
    yield add("map", name="wildcards", type=entry, map="verdict")
    for way, asked, answers in product(("in", "out"), (True, False), (True, False)):
        key = address * asked + entry + address * answers + ["inet_service"]
        yield add("map", name=accounting_map(way, asked, answers), type=key, map="counter")
    for chain, rule in _fixed_rules(family, mark_bit):
        yield add("rule", chain=chain, expr=list(rule))


def _fixed_rules(family: Family, mark_bit: int) -> Iterator[tuple[str, Rule]]:
    destination = x.header(family, "daddr")
    yield "prerouting", (x.jump("services"),)
    yield "output", (x.jump("services"),)
    # what began before this host tracked connections is some other program's, though tracking calls its next packet new
    yield "services", (x.NO_SYN, x.RETURN)
    yield "services", (x.dispatch(x.concat(destination, x.L4PROTO, x.DPORT), "@frontends"),)
    is_local = x.equal({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    yield "services", (is_local, x.dispatch(x.concat(x.L4PROTO, x.DPORT), "@wildcards"))
    masquerade = {"masquerade": {"flags": "fully-random"}}
    yield "postrouting", (x.has_mark_bit(mark_bit), x.clear_mark_bit(mark_bit), masquerade)
    translated = {"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}
    ways = [("original", x.jump("bytes-in")), ("reply", x.jump("bytes-out"))]
    by_direction = x.dispatch({"ct": {"key": "direction"}}, ways)
    yield "incoming", (x.unequal({"meta": {"key": "iifname"}}, "lo"), translated, by_direction)
    yield "outgoing", (translated, by_direction)
    for way, protocol, asked, answers in product(("in", "out"), ("tcp", "udp"), (True, False), (True, False)):
        yield f"bytes-{way}", _count_bytes(family, way, protocol, asked=asked, answers=answers)


def _count_bytes(family: Family, way: str, protocol: str, *, asked: bool, answers: bool) -> Rule:
    key = [
        *([x.tracked(f"{family.value} daddr", "original")] if asked else []),
        x.L4PROTO,
        x.tracked("proto-dst", "original"),
        *([x.tracked(f"{family.value} saddr", "reply")] if answers else []),
        x.tracked("proto-src", "reply"),
    ]
    counted = x.count_by(x.concat(*key), accounting_map(way, asked, answers))
    # nft knows the type of a connection's port only after the protocol is fixed
    return x.equal(x.L4PROTO, protocol), counted, x.RETURN
