"""States between two others."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.contract.document import decode
from marchproxy.model.checks import check_state
from marchproxy.modules.http.blame import Item, ItemKind
from marchproxy.modules.http.mixture import Inputs, changes, is_only_found, mixture, with_findings_of
from marchproxy.modules.http.resources.endpoints import Target
from marchproxy.modules.http.resources.pools import PoolFindings
from marchproxy.modules.http.resources.upstream_tls import PoolMaterial

BEFORE = Inputs(
    decode(
        b"""
        pools: [{name: old}, {name: same}, {name: other, connect_timeout: 1s}]
        routes:
          - {id: stays, path: /stays, backends: [same]}
          - {id: moves, path: /moves, backends: [old]}
          - {id: goes, path: /goes, backends: [old]}
          - {id: calm, path: /calm, backends: [same]}
        rate_limits: [{id: l, target: calm, requests_per_second: 1}, {id: e, target: "*", requests_per_second: 5}]
        """
    )
)
AFTER = Inputs(
    decode(
        b"""
        pools: [{name: same}, {name: other, connect_timeout: 2s}, {name: new}]
        routes:
          - {id: stays, path: /stays, backends: [same]}
          - {id: moves, path: /moves, backends: [new]}
          - {id: calm, path: /calm, backends: [same]}
          - {id: comes, path: /comes, backends: [other]}
        rate_limits: [{id: l, target: calm, requests_per_second: 2}, {id: e, target: "*", requests_per_second: 6}]
        """
    )
)


def route(name: str) -> Item:
    return Item(ItemKind.ROUTE, name)


def pool(name: str) -> Item:
    return Item(ItemKind.POOL, name)


CHANGES = [pool("other"), pool("new"), route("moves"), route("calm"), route("comes")]


def test_changes_are_what_is_new_or_another() -> None:
    assert changes(BEFORE, AFTER) == CHANGES
    assert changes(AFTER, AFTER) == []


@pytest.mark.parametrize(
    ("accepted", "routes"),
    [
        (CHANGES, {"stays": "same", "moves": "new", "calm": "same", "comes": "other"}),
        ([], {"stays": "same", "moves": "old", "calm": "same"}),
        ([route("moves")], {"stays": "same", "moves": "old", "calm": "same"}),  # its pool is not there
        ([pool("new")], {"stays": "same", "moves": "old", "calm": "same"}),
        ([route("comes")], {"stays": "same", "moves": "old", "calm": "same", "comes": "other"}),
    ],
)
def test_what_is_not_accepted_stays_as_it_was(accepted: list[Item], routes: dict[str, str]) -> None:
    mixed = mixture(BEFORE, AFTER, accepted).state
    assert {str(one.route_id): str(one.backends[0].pool) for one in mixed.routes} == routes


@pytest.mark.parametrize(("accepted", "rate"), [([], 1), ([route("calm")], 2)])
def test_a_limit_goes_with_its_route(accepted: list[Item], rate: int) -> None:
    limits = {str(one.limit_id): one.per_second for one in mixture(BEFORE, AFTER, accepted).state.rate_limits}
    assert limits == {"l": rate, "e": 6}


@given(st.sets(st.sampled_from(CHANGES)))
def test_every_mixture_is_sound(accepted: set[Item]) -> None:
    assert list(check_state(mixture(BEFORE, AFTER, accepted).state)) == []


LLM = """
pools: [{{name: {pool}, ai: {{}}}}, {{name: same, ai: {{}}}}]
routes:
  - {{id: llm, path: /v1, ai: {{models: [{{name: m, targets: [{pool}, {{pool: same, tier: 1}}]}}], guardrails: [{rail}]}}}}
guardrails: [{{name: {rail}, kind: injection}}]
"""


@pytest.mark.parametrize(
    ("accepted", "target"),
    [
        ([], "old"),
        ([route("llm")], "old"),  # its pool is not there
        ([pool("new")], "old"),
        ([pool("new"), route("llm")], "new"),
    ],
)
def test_a_route_of_language_models_goes_with_its_targets_and_guardrails(
    accepted: list[Item], target: str
) -> None:
    before, after = (
        Inputs(decode(LLM.format(pool=name, rail=rail).encode()))
        for name, rail in (("old", "g"), ("new", "h"))
    )
    mixed = mixture(before, after, accepted).state
    assert list(check_state(mixed)) == []
    assert mixed.routes[0].answering == (target, "same")


def test_everything_accepted_is_what_was_wanted_beside_pools_that_are_left() -> None:
    mixed = mixture(BEFORE, AFTER, CHANGES)
    assert set(mixed.state.pools) == {*AFTER.state.pools, *BEFORE.state.pools[:1]}
    assert mixed.state.routes == AFTER.state.routes


def test_endpoints_that_were_found_are_a_change_of_their_pool() -> None:
    def found(port: int) -> Inputs:
        endpoints = {one.name: (Target(f"127.0.0.1:{port}"),) for one in AFTER.state.pools[:1]}
        return replace(AFTER, findings=PoolFindings(endpoints=endpoints))

    one, two = found(1), found(2)
    assert changes(one, two) == [pool("same")]
    assert is_only_found(pool("same"), one, two)
    assert not is_only_found(pool("other"), one, two)
    assert mixture(one, two, []).findings.endpoints == one.findings.endpoints
    assert mixture(one, two, [pool("same")]).findings.endpoints == two.findings.endpoints
    assert with_findings_of(one, two, pool("same")).findings.endpoints == one.findings.endpoints


def test_other_files_are_a_change_of_every_pool_that_names_them() -> None:
    state = decode(
        b"pools: [{name: a, endpoints: ['127.0.0.1:1'], tls: {ca: /ca, server_name: a}}, {name: b}]"
    )
    tls = state.pools[0].tls
    assert tls is not None

    def holding(ca: bytes) -> Inputs:
        return Inputs(state, findings=PoolFindings(material={tls: PoolMaterial(ca=ca)}))

    one, two = holding(b"one"), holding(b"two")
    assert changes(one, two) == [pool("a")]
    assert is_only_found(pool("a"), one, two)
    assert with_findings_of(one, two, pool("a")).findings.material == one.findings.material
    assert mixture(one, two, []).findings.material == one.findings.material
    assert mixture(one, two, [pool("a")]).findings.material == two.findings.material
