"""An encoder that remembers writes what one that does not would, and writes each item once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.contract.document import Encoder, codec, decode, encode, from_model
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import BackendRef, PathMatch, Route, RouteId, RouteMatch
from marchproxy.model.state import DesiredState

CASES = sorted((Path(__file__).parents[3] / "golden" / "alb").glob("*/state.yaml"))


def plainly(state: DesiredState) -> bytes:
    document = from_model(state).model_dump(mode="json", exclude_defaults=True)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_items_one_by_one_are_the_whole(case: Path):
    state = decode(case.read_bytes())
    assert encode(state) == plainly(state)
    assert decode(encode(state)) == state


def test_nothing_is_an_empty_document():
    assert encode(DesiredState()) == plainly(DesiredState()) == b"{}"


some_routes = st.lists(
    st.builds(
        lambda number, path, timeout: Route(
            RouteId(f"r{number}"),
            RouteMatch(path=PathMatch(value=path)),
            (BackendRef(PoolName("ä")),),
            timeout=timeout,
        ),
        st.integers(0, 5),
        st.sampled_from(["/", "/ü", '/"', "/a\\b", "/\u2028"]),
        st.sampled_from([1.0, 15.0]),
    ),
    max_size=5,
)


@given(st.lists(some_routes, min_size=1, max_size=5))
def test_what_is_remembered_makes_no_difference(states):
    encoder, kept = Encoder(), DesiredState(pools=(BackendPool(PoolName("ä")),))
    for routes in states:
        kept = replace(kept, routes=(*kept.routes[:2], *routes))
        assert encoder.encode(kept) == plainly(kept)


def test_an_item_that_stays_is_written_once(monkeypatch: pytest.MonkeyPatch):
    written: list[object] = []
    text = codec._text
    monkeypatch.setattr(codec, "_text", lambda document: written.append(document["id"]) or text(document))
    routes = tuple(Route(RouteId(f"r{number}")) for number in range(5))
    encoder = Encoder()
    encoder.encode(DesiredState(routes=routes))
    changed = replace(routes[3], timeout=1.0)
    encoder.encode(DesiredState(routes=(*routes[:3], changed, routes[4])))
    assert written == ["r0", "r1", "r2", "r3", "r4", "r3"]
