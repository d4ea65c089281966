"""Thing: what our table is made of. Values only.

Things never change: what would be different has a different name. That is what makes a change safe for a packet under
way (see `ruleset`). Only a gate, the chain at the place of a frontend, is given another chain to go to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from marchproxy.engines.nftables.expressions import Json

Rule = tuple[Json, ...]
Key = tuple[str | int, ...]


class Kind(Enum):
    """The values are nft's words. The order is that in which things that point to one another can go."""

    CHAIN = "chain"
    SET = "set"
    LIMIT = "limit"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something with a name in our table. `fields` are nft's; `rules` those of a chain.

    `settles`: it must be there one transaction before it is used, for it has sets of intervals.
    """

    kind: Kind
    name: str
    fields: Json = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    settles: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """What a map holds for a key: a gate, or a counter."""

    map: str
    key: Key
    value: str


def by_place(*elements: Element) -> Mapping[str, Element]:
    """Elements by map and key as one text, which is cheaper to look up than they are."""
    return {" ".join((element.map, *map(str, element.key))): element for element in elements}


@dataclass(frozen=True, slots=True)
class Fragment:
    """Everything one frontend needs beside the skeleton of its table.

    `entry` leads what is asked of the frontend to `gate`, and the gate's one rule to the chain `target`. Things are by name,
    elements by place.
    """

    gate: str
    target: str
    entry: Mapping[str, Element]
    things: Mapping[str, Thing]
    accounting: Mapping[str, Element]
