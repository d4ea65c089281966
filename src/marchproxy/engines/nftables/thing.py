"""Thing: what our table is made of. Values only.

Things never change: what would be different has a different name. That is what makes a change safe for a packet under
way (see `ruleset`). Only a gate, the chain at the place of a frontend, is given another chain to go to.
"""

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

    @property
    def place(self) -> str:
        """Map and key as one text, which no other place has."""
        return " ".join((self.map, *map(str, self.key)))


@dataclass(frozen=True, slots=True)
class Fragment:
    """Everything one frontend needs beside the skeleton of its table.

    `entry` leads what is asked of the frontend to `gate`, and the gate's one rule to the chain `target`.
    """

    gate: str
    target: str
    entry: Element
    things: tuple[Thing, ...]
    accounting: tuple[Element, ...]
