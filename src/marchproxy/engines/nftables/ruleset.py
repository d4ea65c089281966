"""Ruleset: a plan as the contents of one table per address family, and the transactions from one to the next. Pure.

Two tables, `ip` and `ip6`, because one NAT rule cannot carry both kinds of address.

A transaction takes effect whole, but not for a packet on its way through the rules: it goes on by the old rules and sees
the new elements of sets and maps. An anonymous set of a rule that goes is empty for it, and where Linux keeps intervals in
an array (7e43e0a1141d, "nft_set_rbtree: translate rbtree to array for binary search"), a new set of intervals is empty for
everybody until a moment after the rules that ask it are in force. A lookup that finds nothing falls through, and a new
connection is lost. So:

- what replaces something has another name; what nothing points to any more is left whole until the next transaction;
- the place of a frontend leads to a gate for good, and the gate's one rule, `goto`, needs no set;
- an element is added once the gate it names is in force, and a gate leads to sets of intervals once they are there.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from marchproxy.engines.nftables import expressions as x
from marchproxy.engines.nftables.accounting import byte_chains
from marchproxy.engines.nftables.expressions import Family, Json
from marchproxy.engines.nftables.fragment import Fragments
from marchproxy.engines.nftables.plan import Plan
from marchproxy.engines.nftables.skeleton import skeleton
from marchproxy.engines.nftables.thing import Element, Fragment, Kind, Thing

Things = Mapping[str, Thing]


@dataclass(frozen=True, slots=True)
class Contents:
    """What the table of one family shall hold beside its skeleton: things by name, elements by place.

    `gates` are the chains that the gates lead to.
    """

    mark_bit: int
    things: Things = field(default_factory=dict)
    gates: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, Element] = field(default_factory=dict)
    accounting: Mapping[str, Element] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """What the table of one family holds: contents, and what they no longer need.

    `unused` since the last transaction; the next one empties its chains. `emptied` by the last one; the next one deletes
    it. Not all in one, because a kernel may call a chain busy whose last reference goes in the same transaction
    (kubernetes/kubernetes#122604).
    """

    contents: Contents
    unused: Things = field(default_factory=dict)
    emptied: Things = field(default_factory=dict)

    @property
    def tidy(self) -> bool:
        """Whether it holds nothing but what is needed."""
        return not self.unused and not self.emptied


Ruleset = Mapping[Family, Contents]
InForce = Mapping[Family, Table]
_Part = TypeVar("_Part", Thing, Element)


@dataclass(frozen=True, slots=True)
class Transition:
    """Transactions, one after the other, and what is in the kernel after the last. One is empty when nothing is to do."""

    steps: tuple[tuple[Json, ...], ...]
    after: InForce


def compile_plan(
    plan: Plan, *, mark_bit: int, keep: Collection[Family] = (), fragments: Fragments | None = None
) -> Ruleset:
    """The contents for a plan without problems: of each family that has frontends, and of those to `keep`.

    A table that was in force is to be kept: with the last NAT chain of a namespace the kernel stops translating, and
    established connections would break. `fragments` are those of the plan before.
    """
    fragments_of: dict[Family, list[Fragment]] = {family: [] for family in keep}
    compiled = (fragments or Fragments()).of(plan.frontends, mark_bit)
    for frontend, fragment in zip(plan.frontends, compiled, strict=True):
        fragments_of.setdefault(Family.of(frontend.version), []).append(fragment)
    return {family: _contents(family, fragments, mark_bit) for family, fragments in fragments_of.items()}


def create(wanted: Ruleset, table: str) -> Transition:
    """Put the contents into a table of this name that does not exist yet. Counters start at zero."""
    steps = _Steps()
    for family, contents in wanted.items():
        steps.create(_Commands(family, table), contents)
    return Transition(steps.taken(), {family: Table(contents) for family, contents in wanted.items()})


def drop(tables: Collection[tuple[Family, str]]) -> tuple[Json, ...]:
    """The transaction that deletes tables which exist."""
    return tuple({"delete": {"table": {"family": family.value, "name": name}}} for family, name in tables)


def transition(old: InForce, wanted: Ruleset, table: str) -> Transition:
    """From `old`, which is in force in the tables of this name, to `wanted`. What stays the same is not touched.

    Families of `old` are in `wanted` (see `compile_plan`).
    """
    steps = _Steps()
    after: dict[Family, Table] = {}
    for family, contents in wanted.items():
        commands = _Commands(family, table)
        if (before := old.get(family)) is None:
            steps.create(commands, contents)
            after[family] = Table(contents)
        else:
            steps.change(commands, before, contents)
            after[family] = _age(before, contents)
    return Transition(steps.taken(), after)


@dataclass(slots=True)
class _Steps:
    """Commands of a first transaction, and of a second one for what must come later."""

    first: list[Json] = field(default_factory=list)
    second: list[Json] = field(default_factory=list)

    def create(self, commands: "_Commands", contents: Contents) -> None:
        nothing = Table(Contents(contents.mark_bit))
        self.first += commands.create(contents.mark_bit)
        self.first += commands.declare(nothing, contents)
        self.first += commands.lead(nothing, contents, contents.gates)
        self.first += commands.add_elements({}, contents.accounting)
        entries = self.second if _settles(nothing, contents) else self.first
        entries += commands.add_elements({}, contents.entries)

    def change(self, commands: "_Commands", before: Table, new: Contents) -> None:
        old = before.contents
        self.first += commands.delete_elements(old.entries, new.entries)
        self.first += commands.delete_elements(old.accounting, new.accounting)
        self.first += commands.sweep(before, new)
        self.first += commands.declare(before, new)
        self.first += commands.add_elements(old.accounting, new.accounting)
        used = new.gates.keys() & old.gates.keys()
        self.first += commands.lead(before, new, new.gates.keys() - used)
        leading = self.second if _settles(before, new) else self.first
        leading += commands.lead(before, new, used)
        self.second += commands.add_elements(old.entries, new.entries)

    def taken(self) -> tuple[tuple[Json, ...], ...]:
        return tuple(tuple(step) for step in (self.first, self.second) if step)


@dataclass(frozen=True, slots=True)
class _Commands:
    """The commands for one table."""

    family: Family
    table: str

    def create(self, mark_bit: int) -> Iterator[Json]:
        yield {"add": {"table": {"family": self.family.value, "name": self.table}}}
        yield from skeleton(self.family, self.table, mark_bit)

    def declare(self, before: Table, new: Contents) -> Iterator[Json]:
        """What is new, with its rules. Nothing is named before it exists."""
        fresh = _fresh(before, new)
        for kind in reversed(Kind):
            for thing in fresh:
                if thing.kind is kind and thing.name not in before.emptied:
                    yield self._command("add", kind.value, name=thing.name, **thing.fields)
        for thing in fresh:
            for rule in thing.rules:
                yield self._command("add", "rule", chain=thing.name, expr=list(rule))

    def lead(self, before: Table, new: Contents, gates: Collection[str]) -> Iterator[Json]:
        """Those of the gates that shall lead elsewhere."""
        for gate, target in new.gates.items():
            if gate in gates and before.contents.gates.get(gate) != target:
                if gate in before.contents.gates or gate in before.unused:
                    yield self._flush(gate)
                yield self._command("add", "rule", chain=gate, expr=[x.goto(target)])

    def add_elements(self, old: Mapping[str, Element], new: Mapping[str, Element]) -> Iterator[Json]:
        """The elements of a map in one command: thousands of commands cost nft much more."""
        pairs: dict[str, list[object]] = {}
        for place, element in new.items():
            if old.get(place) != element:
                leads = x.goto(element.value) if element.map in {"frontends", "wildcards"} else element.value
                pairs.setdefault(element.map, []).append([x.concat(*element.key), leads])
        for name, chosen in pairs.items():
            yield self._command("add", "element", name=name, elem=chosen)

    def delete_elements(self, old: Mapping[str, Element], new: Mapping[str, Element]) -> Iterator[Json]:
        keys: dict[str, list[object]] = {}
        for place, element in old.items():
            if new.get(place) != element:
                keys.setdefault(element.map, []).append(x.concat(*element.key))
        for name, chosen in keys.items():
            yield self._command("delete", "element", name=name, elem=chosen)

    def sweep(self, before: Table, new: Contents) -> Iterator[Json]:
        gone = [thing for name, thing in before.emptied.items() if name not in new.things]
        for kind in Kind:
            for thing in gone:
                if thing.kind is kind:
                    yield self._command("delete", kind.value, name=thing.name)
        for name, thing in before.unused.items():
            if name not in new.things and thing.kind is Kind.CHAIN:
                yield self._flush(name)

    def _flush(self, chain: str) -> Json:
        return x.flush_chain(self.family, self.table, chain)

    def _command(self, verb: str, kind: str, **fields: object) -> Json:
        return {verb: {kind: {"family": self.family.value, "table": self.table, **fields}}}


def _fresh(before: Table, new: Contents) -> list[Thing]:
    return [
        thing
        for name, thing in new.things.items()
        if name not in before.contents.things and name not in before.unused
    ]


def _settles(before: Table, new: Contents) -> bool:
    return any(thing.settles for thing in _fresh(before, new))


def _age(before: Table, new: Contents) -> Table:
    def without(things: Things) -> Things:
        return {name: thing for name, thing in things.items() if name not in new.things}

    return Table(new, unused=without(before.contents.things), emptied=without(before.unused))


def _contents(family: Family, fragments: Collection[Fragment], mark_bit: int) -> Contents:
    accounting = _merged(fragment.accounting for fragment in fragments)
    counting = byte_chains(family, accounting)
    return Contents(
        mark_bit,
        things=_merged(fragment.things for fragment in fragments)
        | {chain.name: chain for chain in counting.values()},
        gates={fragment.gate: fragment.target for fragment in fragments}
        | {gate: chain.name for gate, chain in counting.items()},
        entries=_merged(fragment.entry for fragment in fragments),
        accounting=accounting,
    )


def _merged(parts: Iterable[Mapping[str, _Part]]) -> dict[str, _Part]:
    merged: dict[str, _Part] = {}
    for part in parts:
        merged.update(part)
    return merged
