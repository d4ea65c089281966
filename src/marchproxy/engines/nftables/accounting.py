"""Accounting: the rules that find the byte counters of a translated connection. Pure.

Every packet comes here, and each look into a map costs some 0.3 µs, so there is a rule only for what the plan has: most
plans have one kind of frontend, and one rule in place of eight.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import product

from marchproxy.engines.nftables import expressions as x
from marchproxy.engines.nftables import names
from marchproxy.engines.nftables.expressions import Family
from marchproxy.engines.nftables.fragment import accounting_map
from marchproxy.engines.nftables.thing import Element, Kind, Rule, Thing

_YES_NO = (True, False)


def byte_chain(family: Family, way: str, elements: Iterable[Element]) -> Thing:
    """The chain that what comes to the gate `bytes-in` or `bytes-out` (`way`: in, out) goes to."""
    filled = {(element.map, protocol) for element in elements for protocol in element.key}
    rules = tuple(
        _count(family, way, protocol, asked=asked, answers=answers)
        for protocol, asked, answers in product(("tcp", "udp"), _YES_NO, _YES_NO)
        if (accounting_map(way, asked, answers), protocol) in filled
    )
    return Thing(Kind.CHAIN, f"{byte_gate(way)}.{names.digest(json.dumps(rules))}", rules=rules)


def byte_gate(way: str) -> str:
    """The chain that every packet of a translated connection comes to; `way` is in or out."""
    return f"bytes-{way}"


def byte_chains(family: Family, accounting: Mapping[str, Element]) -> dict[str, Thing]:
    """By gate, the chain that it leads to."""
    return {byte_gate(way): byte_chain(family, way, accounting.values()) for way in ("in", "out")}


def _count(family: Family, way: str, protocol: str, *, asked: bool, answers: bool) -> Rule:
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
