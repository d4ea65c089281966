"""Plans in, nft's commands out. Golden: tests/golden/nftables; read the difference before you accept it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.engines.nftables import Backend, Frontend, Limit, Period, Plan, Policy, Protocol, Rate
from marchproxy.engines.nftables.expressions import Family
from marchproxy.engines.nftables.probe import PROBE
from marchproxy.engines.nftables.ruleset import (
    Ruleset,
    Table,
    Transition,
    compile_plan,
    create,
    transition,
)
from tests.unit.engines.nftables.kernel import Kernel

TABLE = "marchproxy"
GOLDEN = Path(__file__).parents[3] / "golden" / "nftables"
MARK = 0x2000
ONE, TWO = Backend("10.1.0.1", 8080), Backend("10.1.0.2", 8080, weight=3, keep_source=True)
LOCAL, REDIRECT = Backend("10.0.0.1", 8080, local=True), Backend("0.0.0.0", 8080, local=True)
WEB = Frontend("web", Protocol.TCP, "10.0.0.1", 80, (ONE, TWO))
DNS = Frontend("dns", Protocol.UDP, "0.0.0.0", 53, (replace(ONE, port=53), replace(REDIRECT, port=53)))
SIX = Frontend("six", Protocol.TCP, "2001:db8::1", 80, (Backend("2001:db8::2", 8080),))
TEN = Limit("ten", (Rate(10, Period.SECOND, 20), Rate(100, Period.HOUR)))
OFFICE = Limit("office", (Rate(5, Period.MINUTE),), "10.0.0.0/8")
EACH = Limit("each", (Rate(1, Period.SECOND), Rate(9, Period.MINUTE)), "10.0.0.0/8", each=True)
EVERYBODY6 = Limit("each6", (Rate(1, Period.SECOND),), "::/0", each=True)
LIMITED = replace(
    WEB,
    limits=(EACH, OFFICE, TEN),
    concurrent=5,
    allow=("10.0.0.0/8", "10.2.0.0/16", "192.0.2.0/24"),
    deny=("10.9.0.0/16",),
)
FINE = replace(WEB, backends=(replace(ONE, weight=1000), replace(TWO, weight=33)))


def compiled(*frontends: Frontend) -> Ruleset:
    return compile_plan(Plan(frontends), mark_bit=MARK)


def first(*frontends: Frontend) -> Transition:
    return create(compiled(*frontends), TABLE)


def step(before: Ruleset, wanted: Ruleset) -> Transition:
    return transition({family: Table(contents) for family, contents in before.items()}, wanted, TABLE)


def swept(before: Ruleset, wanted: Ruleset) -> Transition:
    """What deletes the remains of a change."""
    emptied = transition(step(before, wanted).after, wanted, TABLE)
    return transition(emptied.after, wanted, TABLE)


CASES: dict[str, Transition] = {
    "first-plan": first(WEB, DNS),
    "both-families": first(WEB, SIX),
    "no-change": step(compiled(WEB, DNS), compiled(WEB, DNS)),
    "canary-step": step(
        compiled(WEB, DNS), compiled(replace(WEB, backends=(replace(ONE, weight=9), TWO)), DNS)
    ),
    "drain": step(compiled(WEB), compiled(replace(WEB, backends=(replace(ONE, weight=0), TWO)))),
    "backend-gone": step(compiled(WEB), compiled(replace(WEB, backends=(TWO,)))),
    "nobody-left": step(compiled(WEB, DNS), compiled(replace(WEB, backends=()), replace(DNS, backends=()))),
    "frontend-added": step(compiled(WEB), compiled(WEB, replace(LIMITED, name="limited", port=81))),
    "fine-weights": step(compiled(WEB), compiled(FINE)),
    "first-with-intervals": first(LIMITED),
    "remains-of-a-backend": swept(compiled(WEB), compiled(replace(WEB, backends=(TWO,)))),
    "renamed": step(compiled(WEB), compiled(replace(WEB, name="new"))),
    "frontend-gone": step(compiled(WEB, DNS), compiled(DNS)),
    "limits-set": step(compiled(WEB), compiled(LIMITED)),
    "limits-changed": step(compiled(LIMITED), compiled(replace(LIMITED, limits=(TEN,), concurrent=6))),
    "round-robin": step(compiled(WEB), compiled(replace(WEB, policy=Policy.ROUND_ROBIN))),
    "source-hash": step(compiled(WEB), compiled(replace(WEB, policy=Policy.SOURCE_HASH))),
    "local-backends": step(compiled(WEB), compiled(replace(WEB, backends=(LOCAL, REDIRECT)))),
    "port-moved": step(compiled(WEB), compiled(replace(WEB, port=8080))),
    "second-family": step(compiled(WEB), compiled(WEB, SIX)),
    "limits-of-ipv6": step(compiled(SIX), compiled(replace(SIX, limits=(TEN, EVERYBODY6), concurrent=5))),
    "names-swapped": step(
        compiled(WEB, replace(WEB, name="other", port=81)),
        compiled(replace(WEB, port=81), replace(WEB, name="other")),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, update_golden: bool):
    # one command a line, and a line between transactions: a person reads the difference
    steps = ("".join(json.dumps(command) + "\n" for command in commands) for commands in CASES[name].steps)
    text = "---\n".join(steps)
    golden = GOLDEN / f"{name}.jsonl"
    if update_golden:
        golden.write_text(text)
    assert golden.read_text() == text, "if the difference is meant, run with --update-golden"


def test_names_of_similar_frontends_differ():
    twins = [
        replace(WEB, name=name, port=port)
        for port, name in enumerate(("a-b", "a/b", "a.b", "ä" * 300), start=1)
    ]
    kernel = Kernel()
    run(kernel, first(*twins))
    assert len([name for name in kernel.tables["ip"]["chain"] if name.startswith("fe-")]) == len(twins) * 3
    assert all(len(name) < 200 and name.isascii() for name in kernel.tables["ip"]["chain"])


def run(kernel: Kernel, change: Transition) -> None:
    for commands in change.steps:
        kernel.load(commands)


def test_a_kept_family_keeps_its_nat_chains():
    kernel = Kernel()
    run(kernel, first(SIX))
    run(kernel, step(compiled(SIX), compile_plan(Plan(), mark_bit=MARK, keep=[Family.IP6])))
    assert {"prerouting", "output", "postrouting"} <= set(kernel.tables["ip6"]["chain"])
    assert not kernel.tables["ip6"]["map"]["frontends"]["elements"]


BACKENDS = st.lists(
    st.sampled_from([ONE, TWO, LOCAL, REDIRECT, replace(ONE, weight=0), replace(TWO, weight=7000)]),
    unique_by=lambda backend: (backend.address, backend.port),
    max_size=4,
).map(tuple)
LIMITS = st.lists(st.sampled_from([TEN, OFFICE, EACH]), unique=True).map(tuple)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    names = draw(st.lists(st.sampled_from("abc"), unique=True))
    ports = draw(st.permutations([80, 81, 82]))
    frontends = [
        Frontend(
            name,
            draw(st.sampled_from(Protocol)),
            draw(st.sampled_from(["10.0.0.1", "0.0.0.0"])),
            port,
            draw(BACKENDS),
            draw(st.sampled_from(Policy)),
            deny=draw(st.sampled_from([(), ("10.9.0.0/16",)])),
            limits=draw(LIMITS),
            concurrent=draw(st.sampled_from([0, 9])),
        )
        for name, port in zip(names, ports, strict=False)
    ]
    return Plan((*frontends, *draw(st.sampled_from([(), (SIX,)]))))


@settings(deadline=None, max_examples=100)
@given(st.lists(plans(), min_size=1, max_size=5))
def test_any_way_to_a_plan_ends_in_the_same_rules_and_is_safe_for_packets_under_way(way: list[Plan]):
    kernel, in_force = Kernel(), {}
    # the remains of the last change are gone after two more
    for plan in (*way, way[-1], way[-1]):
        wanted = compile_plan(plan, mark_bit=MARK, keep=tuple(in_force))
        change = transition(in_force, wanted, TABLE)
        run(kernel, change)
        in_force = change.after
    assert all(table.tidy for table in in_force.values())
    fresh = Kernel()
    run(fresh, create(wanted, TABLE))
    assert kernel.tables == fresh.tables


def test_the_probe_uses_every_kind_of_statement():
    text = json.dumps(create(compile_plan(PROBE, mark_bit=MARK), TABLE).steps)
    for word in (
        "numgen",
        "jhash",
        "dnat",
        "redirect",
        "masquerade",
        "ct count",
        "limit",
        "fib",
        "tcp reset",
    ):
        assert f'"{word}"' in text
    assert text.count('"inc"') == 2


def test_a_change_names_only_the_frontend_that_changed():
    other = replace(WEB, name="other", port=81)
    changed = replace(other, backends=(ONE, replace(TWO, weight=9)))
    (commands,) = step(compiled(WEB, other), compiled(WEB, changed)).steps
    assert "fe-web" not in json.dumps(commands)
    assert len(commands) == 4  # a chain with one rule, and the gate's rule in place of the old one


def test_what_comes_back_is_found_again():
    there, gone = compiled(WEB, SIX), compiled(SIX)
    in_force = step(
        there, {**gone, Family.IP: compile_plan(Plan(), mark_bit=MARK, keep=[Family.IP])[Family.IP]}
    )
    back = transition(in_force.after, there, TABLE)
    verbs = [next(iter(command)) for commands in back.steps for command in commands]
    assert "delete" not in verbs
    left = [name for table in back.after.values() for name in (*table.unused, *table.emptied)]
    assert all(name.startswith("bytes-") for name in left)  # those that counted nothing
