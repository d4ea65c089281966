"""A snapshot taken apart: what a change makes new, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.validation.pieces import Pieces
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.snapshot import check
from marchproxy.model.route import BackendRef
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.resources import Builder, ListenerSpec

STATE = decode(
    b"""
    pools: [{name: blue, endpoints: ["127.0.0.1:81"]}, {name: green, endpoints: ["127.0.0.1:82"]}]
    routes:
      - {id: a, hosts: [a.test, b.test], path: /a, backends: [{pool: blue, weight: 90}, {pool: green, weight: 10}]}
      - {id: c, path: /c, backends: [green], max_request_bytes: 9}
    """
)
BUILDER = Builder([ListenerSpec("http", "127.0.0.1", 10000)])


def pieces(state: DesiredState, taker: Pieces | None = None) -> dict[bytes, str]:
    """What each piece is, by its digest."""
    found = (taker or Pieces()).of(check(BUILDER.build(state)))
    return {piece.digest: f"{piece.type.name} {piece.part or piece.name}" for piece in found}


def changed(**fields: Any) -> DesiredState:
    return replace(STATE, routes=(replace(STATE.routes[0], **fields), STATE.routes[1]))


def test_a_route_of_several_hosts_is_one_piece_and_one_of_several_parts_several() -> None:
    found = list(pieces(STATE).values())
    assert found.count("ROUTE a") == 1
    assert found.count("ROUTE c") > 1
    assert found.count("ROUTE routes") == 1  # the frame
    assert {"CLUSTER pool.blue", "ENDPOINT pool.green", "LISTENER http"} <= set(found)


@pytest.mark.parametrize(
    ("state", "new"),
    [
        (STATE, set()),
        (changed(timeout=99.0), set()),
        (changed(match=replace(STATE.routes[0].match, methods=("PUT",))), {"ROUTE a"}),
        (changed(backends=(BackendRef(STATE.pools[0].name, 1), BackendRef(STATE.pools[1].name, 99))), set()),
        (replace(STATE, routes=STATE.routes[:1]), {"ROUTE routes"}),  # other hosts
        (replace(STATE, pools=(replace(STATE.pools[0], connect_timeout=9.0), STATE.pools[1])), {"CLUSTER pool.blue"}),
        (replace(STATE, pools=decode(b"pools: [{name: blue, endpoints: ['127.0.0.1:99', '127.0.0.9:1']}, {name: green}]").pools), {"ENDPOINT pool.green"}),
    ],
)  # fmt: skip
def test_a_change_makes_new_what_it_touches(state: DesiredState, new: set[str]) -> None:
    taker = Pieces()
    before = pieces(STATE, taker)
    after = pieces(state, taker)
    assert {name for digest, name in after.items() if digest not in before} == new
    assert after == pieces(state)  # what it remembers makes no difference


def test_every_kind_that_a_node_is_judged_by_is_a_piece() -> None:
    kinds = {name.partition(" ")[0] for name in pieces(STATE).values()}
    snapshot = check(BUILDER.build(STATE))
    held = {kind.name for kind in ResourceType if snapshot.of(kind)} - {"RUNTIME"}
    assert kinds == held
