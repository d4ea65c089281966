"""Expressions: nft's JSON, one function per phrase of a rule (libnftables-json(5)). No I/O.

JSON rather than nft's text, so that no name or address is ever quoted by hand.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

L4PROTO: Json = {"meta": {"key": "l4proto"}}
MARK: Json = {"meta": {"key": "mark"}}
DPORT: Json = {"payload": {"protocol": "th", "field": "dport"}}
RETURN: Json = {"return": None}
DROP: Json = {"drop": None}
_FLAGS: Json = {"|": ["fin", {"|": ["syn", {"|": ["rst", "ack"]}]}]}
NO_SYN: Json = {
    "match": {
        "op": "!=",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, _FLAGS]},
        "right": "syn",
    }
}
"""Matches a TCP segment that does not ask for a connection."""
RESET: Json = {"reject": {"type": "tcp reset"}}


class Family(Enum):
    """A table's address family; the values are nft's words."""

    IP = "ip"
    IP6 = "ip6"

    @property
    def address_type(self) -> str:
        """nft's name of the type of an address."""
        return "ipv4_addr" if self is Family.IP else "ipv6_addr"

    @classmethod
    def of(cls, version: int) -> "Family":
        """The family of IP version 4 or 6."""
        return cls.IP if version == 4 else cls.IP6


def header(family: Family, field: str) -> Json:
    """A field of the IP header: `saddr` or `daddr`."""
    return {"payload": {"protocol": family.value, "field": field}}


def tracked(key: str, direction: str) -> Json:
    """A part of the connection's tuple, e.g. `proto-dst` of `original`."""
    return {"ct": {"key": key, "dir": direction}}


def equal(left: Json, right: Any) -> Json:
    """Match when both are the same, or when `right` is a set that holds `left`."""
    return {"match": {"op": "==", "left": left, "right": right}}


def unequal(left: Json, right: Any) -> Json:
    """Match when they differ, or when `right` is a set without `left`."""
    return {"match": {"op": "!=", "left": left, "right": right}}


def concat(*parts: Any) -> Json:
    """Several values as one key."""
    return {"concat": list(parts)}


def jump(chain: str) -> Json:
    """Go through a chain and come back."""
    return {"jump": {"target": chain}}


def goto(chain: str) -> Json:
    """Go to a chain for good."""
    return {"goto": {"target": chain}}


def dispatch(key: Json, verdicts: str | Sequence[tuple[Any, Json]]) -> Json:
    """Do what the verdict map says: a named one (`@name`), or these pairs."""
    data = (
        verdicts if isinstance(verdicts, str) else {"set": [[value, verdict] for value, verdict in verdicts]}
    )
    return {"vmap": {"key": key, "data": data}}


def count(name: str) -> Json:
    """Add the packet to a named counter."""
    return {"counter": name}


def count_by(key: Json, counters: str) -> Json:
    """Add the packet to the counter that the map holds for this key; no match when there is none."""
    return {"counter": {"map": {"key": key, "data": f"@{counters}"}}}


def reject_unreachable(family: Family) -> Json:
    """Answer with ICMP "port unreachable"."""
    return {"reject": {"type": "icmp" if family is Family.IP else "icmpv6", "expr": "port-unreachable"}}


def set_mark_bit(bit: int) -> Json:
    """Set one bit of the packet's mark and leave the others alone."""
    return {"mangle": {"key": MARK, "value": {"|": [MARK, bit]}}}


def has_mark_bit(bit: int) -> Json:
    """Match when the bit is set."""
    return equal({"&": [MARK, bit]}, bit)


def clear_mark_bit(bit: int) -> Json:
    """Turn a bit that is set back."""
    return {"mangle": {"key": MARK, "value": {"^": [MARK, bit]}}}


def add(kind: str, family: Family, table: str, **fields: Any) -> Json:
    """The command that adds a thing to a table."""
    return {"add": {kind: {"family": family.value, "table": table, **fields}}}


def flush_chain(family: Family, table: str, name: str) -> Json:
    """The command that deletes a chain's rules."""
    return {"flush": {"chain": {"family": family.value, "table": table, "name": name}}}


def prefixes(networks: Iterable[Any]) -> Json:
    """An anonymous set of networks that do not overlap."""
    return {"set": [{"prefix": {"addr": str(net.network_address), "len": net.prefixlen}} for net in networks]}
