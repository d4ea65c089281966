"""Ruleset: a plan as one table per address family, and the commands that lead from one ruleset to the next. Pure.

Tables `ip marchproxy` and `ip6 marchproxy` are ours whole; no command names another table. Separate families, because
one NAT rule cannot carry both kinds of address.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from marchproxy.engines.nftables import expressions as x
from marchproxy.engines.nftables.expressions import Family, Json
from marchproxy.engines.nftables.fragment import (
    MAX_SOURCES,
    Fragment,
    Key,
    Rule,
    SourceSet,
    compile_frontend,
)
from marchproxy.engines.nftables.names import TABLE
from marchproxy.engines.nftables.plan import Plan
from marchproxy.engines.nftables.skeleton import skeleton


@dataclass(frozen=True, slots=True)
class Table:
    """What our table of one family holds beside its skeleton."""

    family: Family
    mark_bit: int
    chains: Mapping[str, tuple[Rule, ...]]
    counters: frozenset[str]
    sets: frozenset[SourceSet]
    elements: Mapping[tuple[str, Key], str]


Ruleset = Mapping[Family, Table]


@dataclass(frozen=True, slots=True)
class Transition:
    """`change` is one transaction and takes effect whole. `sweep` then deletes what nothing points to any more.

    Two transactions, because a kernel may call a chain busy whose last reference goes in the same one
    (kubernetes/kubernetes#122604).
    """

    change: tuple[Json, ...]
    sweep: tuple[Json, ...] = ()


def compile_plan(plan: Plan, *, mark_bit: int, keep: Collection[Family] = ()) -> Ruleset:
    """The tables of a plan without problems: one per family that has frontends, and those to `keep`.

    A table that was in force is to be kept: with the last NAT chain of a namespace the kernel stops translating, and
    established connections would break.
    """
    fragments_of: dict[Family, list[Fragment]] = {family: [] for family in keep}
    for frontend in plan.frontends:
        fragment = compile_frontend(frontend, mark_bit)
        fragments_of.setdefault(Family.of(frontend.version), []).append(fragment)
    tables = {}
    for family, fragments in fragments_of.items():
        tables[family] = Table(
            family,
            mark_bit,
            chains={name: rules for fragment in fragments for name, rules in fragment.chains},
            counters=frozenset(name for fragment in fragments for name in fragment.counters),
            sets=frozenset(known for fragment in fragments for known in fragment.sets),
            elements={(e.map, e.key): e.value for fragment in fragments for e in fragment.elements},
        )
    return tables


def replace_all(wanted: Ruleset) -> Transition:
    """Whatever is in our tables now, `wanted` takes its place, in one transaction. Counters start at zero."""
    commands: list[Json] = []
    for family in Family:
        commands += _drop(family)
        if family in wanted:
            commands += _create(wanted[family])
    return Transition(tuple(commands))


def transition(old: Ruleset, new: Ruleset) -> Transition:
    """From `old`, which is in force, to `new`. Frontends that stay the same are not touched, nor are counters."""
    change: list[Json] = []
    sweep: list[Json] = []
    for family in Family:
        match old.get(family), new.get(family):
            case None, None:
                continue
            case None, Table() as table:
                change += [*_drop(family), *_create(table)]
            case Table(), None:
                change += _drop(family)
            case Table() as before, Table() as after:
                change += _change(before, after)
                sweep += _sweep(before, after)
    return Transition(tuple(change), tuple(sweep))


def unswept(old: Ruleset, new: Ruleset) -> Ruleset:
    """What is in the kernel between `change` and `sweep`: `new`, and the empty remains of `old`."""
    return {
        family: _with_remains(old[family], table) if family in old else table for family, table in new.items()
    }


def _with_remains(old: Table, new: Table) -> Table:
    return Table(
        new.family,
        new.mark_bit,
        {**dict.fromkeys(old.chains, ()), **new.chains},
        old.counters | new.counters,
        old.sets | new.sets,
        new.elements,
    )


def _drop(family: Family) -> list[Json]:
    # deleting a table that is not there fails, so it is made sure of first
    table = {"table": {"family": family.value, "name": TABLE}}
    return [{"add": table}, {"delete": table}]


def _create(table: Table) -> Iterator[Json]:
    family = table.family
    yield {"add": {"table": {"family": family.value, "name": TABLE}}}
    yield from skeleton(family, table.mark_bit)
    yield from _change(Table(family, table.mark_bit, {}, frozenset(), frozenset(), {}), table)


def _change(old: Table, new: Table) -> Iterator[Json]:
    # nothing is named before it exists, nothing is filled before it is emptied
    yield from _declare(old, new)
    for name, rules in old.chains.items():
        if rules and new.chains.get(name) != rules:
            yield x.flush_chain(new.family, TABLE, name)
    for (map_name, key), value in old.elements.items():
        if new.elements.get((map_name, key)) != value:
            yield x.delete("element", new.family, TABLE, name=map_name, elem=[x.concat(*key)])
    for name, rules in new.chains.items():
        if old.chains.get(name) != rules:
            yield from (_add(new.family, "rule", chain=name, expr=list(rule)) for rule in rules)
    for (map_name, key), value in new.elements.items():
        if old.elements.get((map_name, key)) != value:
            yield _add(new.family, "element", name=map_name, elem=[_pair(map_name, key, value)])


def _declare(old: Table, new: Table) -> Iterator[Json]:
    for name in sorted(new.counters - old.counters):
        yield _add(new.family, "counter", name=name)
    for known in sorted(new.sets - old.sets, key=lambda one: one.name):
        # nft marks the set dynamic by itself when a rule of the same transaction fills it; its JSON has no word for it
        timeout = {"flags": ["timeout"], "timeout": known.timeout} if known.timeout else {}
        kind = {"type": new.family.address_type, "size": MAX_SOURCES}
        yield _add(new.family, "set", name=known.name, **kind, **timeout)
    for name in new.chains:
        if name not in old.chains:
            yield _add(new.family, "chain", name=name)


def _sweep(old: Table, new: Table) -> Iterator[Json]:
    for name in old.chains:
        if name not in new.chains:
            yield x.delete("chain", new.family, TABLE, name=name)
    for name in sorted(old.counters - new.counters):
        yield x.delete("counter", new.family, TABLE, name=name)
    for known in sorted(old.sets - new.sets, key=lambda one: one.name):
        yield x.delete("set", new.family, TABLE, name=known.name)


def _pair(map_name: str, key: Key, value: str) -> list[Json | str]:
    is_verdict = map_name in {"frontends", "wildcards"}
    return [x.concat(*key), x.goto(value) if is_verdict else value]


def _add(family: Family, kind: str, **fields: object) -> Json:
    return x.add(kind, family, TABLE, **fields)
