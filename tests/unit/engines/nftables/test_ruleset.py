"""Plans in, nft's commands out. Golden: tests/golden/nftables; read the difference before you accept it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marchproxy.engines.nftables import Backend, ConnectionLimits, Frontend, Period, Plan, Policy, Protocol
from marchproxy.engines.nftables.expressions import Family
from marchproxy.engines.nftables.probe import PROBE
from marchproxy.engines.nftables.ruleset import (
    Ruleset,
    Transition,
    compile_plan,
    replace_all,
    transition,
    unswept,
)
from tests.unit.engines.nftables.kernel import Kernel

GOLDEN = Path(__file__).parents[3] / "golden" / "nftables"
MARK = 0x2000
ONE, TWO = Backend("10.1.0.1", 8080), Backend("10.1.0.2", 8080, weight=3, keep_source=True)
LOCAL, REDIRECT = Backend("10.0.0.1", 8080, local=True), Backend("0.0.0.0", 8080, local=True)
WEB = Frontend("web", Protocol.TCP, "10.0.0.1", 80, (ONE, TWO))
DNS = Frontend("dns", Protocol.UDP, "0.0.0.0", 53, (replace(ONE, port=53), replace(REDIRECT, port=53)))
SIX = Frontend("six", Protocol.TCP, "2001:db8::1", 80, (Backend("2001:db8::2", 8080),))
LIMITED = replace(
    WEB,
    limits=ConnectionLimits(rate=10, burst=20, concurrent=5),
    allow=("10.0.0.0/8", "10.2.0.0/16", "192.0.2.0/24"),
    deny=("10.9.0.0/16",),
)


def compiled(*frontends: Frontend) -> Ruleset:
    return compile_plan(Plan(frontends), mark_bit=MARK)


CASES: dict[str, Transition] = {
    "first-plan": replace_all(compiled(WEB, DNS)),
    "both-families": replace_all(compiled(WEB, SIX)),
    "nothing": replace_all({}),
    "no-change": transition(compiled(WEB, DNS), compiled(WEB, DNS)),
    "canary-step": transition(
        compiled(WEB, DNS), compiled(replace(WEB, backends=(replace(ONE, weight=9), TWO)), DNS)
    ),
    "drain": transition(compiled(WEB), compiled(replace(WEB, backends=(replace(ONE, weight=0), TWO)))),
    "backend-gone": transition(compiled(WEB), compiled(replace(WEB, backends=(TWO,)))),
    "nobody-left": transition(
        compiled(WEB, DNS), compiled(replace(WEB, backends=()), replace(DNS, backends=()))
    ),
    "frontend-added": transition(compiled(WEB), compiled(WEB, replace(LIMITED, name="limited", port=81))),
    "frontend-gone": transition(compiled(WEB, DNS), compiled(DNS)),
    "limits-set": transition(compiled(WEB), compiled(LIMITED)),
    "limits-changed": transition(
        compiled(LIMITED), compiled(replace(LIMITED, limits=ConnectionLimits(rate=11)))
    ),
    "per-hour": transition(
        compiled(WEB), compiled(replace(WEB, limits=ConnectionLimits(rate=10, burst=100, period=Period.HOUR)))
    ),
    "round-robin": transition(compiled(WEB), compiled(replace(WEB, policy=Policy.ROUND_ROBIN))),
    "source-hash": transition(compiled(WEB), compiled(replace(WEB, policy=Policy.SOURCE_HASH))),
    "local-backends": transition(compiled(WEB), compiled(replace(WEB, backends=(LOCAL, REDIRECT)))),
    "port-moved": transition(compiled(WEB), compiled(replace(WEB, port=8080))),
    "second-family": transition(compiled(WEB), compiled(WEB, SIX)),
    "limits-of-ipv6": transition(compiled(SIX), compiled(replace(SIX, limits=LIMITED.limits))),
    "names-swapped": transition(
        compiled(WEB, replace(WEB, name="other", port=81)),
        compiled(replace(WEB, port=81), replace(WEB, name="other")),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, update_golden: bool):
    for part in ("change", "sweep"):
        # one command a line: a person reads the difference
        text = "".join(json.dumps(command) + "\n" for command in getattr(CASES[name], part))
        golden = GOLDEN / name / f"{part}.jsonl"
        if update_golden:
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(text)
        assert golden.read_text() == text, "if the difference is meant, run with --update-golden"


def test_names_of_similar_frontends_differ():
    twins = [
        replace(WEB, name=name, port=port)
        for port, name in enumerate(("a-b", "a/b", "a.b", "ä" * 300), start=1)
    ]
    kernel = Kernel()
    kernel.load(replace_all(compiled(*twins)).change)
    assert len([name for name in kernel.tables["ip"]["chain"] if name.startswith("fe-")]) == len(twins) * 3
    assert all(len(name) < 200 and name.isascii() for name in kernel.tables["ip"]["chain"])


def test_a_kept_family_keeps_its_nat_chains():
    kernel = Kernel()
    kernel.load(replace_all(compiled(SIX)).change)
    empty = compile_plan(Plan(), mark_bit=MARK, keep=[Family.IP6])
    change = transition(compiled(SIX), empty)
    kernel.load(change.change)
    kernel.load(change.sweep)
    assert {"prerouting", "output", "postrouting"} <= set(kernel.tables["ip6"]["chain"])
    assert not kernel.tables["ip6"]["map"]["frontends"]["elements"]


BACKENDS = st.lists(
    st.sampled_from([ONE, TWO, LOCAL, REDIRECT, replace(ONE, weight=0), replace(TWO, weight=7)]),
    unique_by=lambda backend: (backend.address, backend.port),
    max_size=4,
).map(tuple)
LIMITS = st.sampled_from(
    [ConnectionLimits(), LIMITED.limits, ConnectionLimits(rate=9), ConnectionLimits(concurrent=9)]
)


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
            draw(LIMITS),
            deny=draw(st.sampled_from([(), ("10.9.0.0/16",)])),
        )
        for name, port in zip(names, ports, strict=False)
    ]
    return Plan((*frontends, *draw(st.sampled_from([(), (SIX,)]))))


@settings(deadline=None, max_examples=60)
@given(st.lists(plans(), min_size=2, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_any_way_to_a_plan_ends_in_the_same_rules(way: list[Plan], swept: list[bool]):
    kernel, in_force = Kernel(), compile_plan(Plan(), mark_bit=MARK)
    for plan, sweeps in zip(way, swept, strict=False):
        wanted = compile_plan(plan, mark_bit=MARK)
        step = transition(in_force, wanted)
        kernel.load(step.change)
        if sweeps:
            kernel.load(step.sweep)
        in_force = wanted if sweeps else unswept(in_force, wanted)
    last = transition(in_force, wanted)
    kernel.load(last.change)
    kernel.load(last.sweep)
    fresh = Kernel()
    fresh.load(replace_all(wanted).change)
    assert kernel.tables == fresh.tables


def test_the_probe_uses_every_kind_of_statement():
    text = json.dumps(replace_all(compile_plan(PROBE, mark_bit=MARK)).change)
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
    step = transition(
        compiled(WEB, other), compiled(WEB, replace(other, backends=(ONE, replace(TWO, weight=9))))
    )
    assert "fe-web" not in json.dumps(step.change + step.sweep)
    assert len(step.change) == 2  # flush, one rule
