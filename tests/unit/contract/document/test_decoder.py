"""What is remembered between documents makes no difference but in time."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.contract.document import Canon, Decoder, decode, encode
from marchproxy.model.problem import InvalidValue
from marchproxy.model.state import DesiredState

POOL = {"name": "p", "endpoints": ["127.0.0.1:1"]}


def document(*routes: dict[str, Any], pools: Any = (POOL,)) -> dict[str, Any]:
    return {"pools": list(pools), "routes": list(routes)}


def route(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "path": f"/{name}", "backends": ["p"], **more}


FAULTY = [
    pytest.param(document(route("a"), route("a")), id="twice"),
    pytest.param(document(route("a", backends=["q"])), id="no such pool"),
    pytest.param(document(route("a", timeout="never"), route("b", backends=["q"])), id="two faults"),
    pytest.param(document({"path": "/"}), id="without a name"),
    pytest.param(document(route("a"), pools=()), id="its pool is gone"),
    pytest.param(document(route("a", speed=1)), id="unknown key"),
    pytest.param({**document(), "rooutes": []}, id="unknown section"),
    pytest.param({"routes": {"id": "a"}}, id="no list"),
    pytest.param({"routes": ["a"]}, id="no items"),
    pytest.param([], id="no mapping"),
    pytest.param({"scaling": [{"module": "alb"}, {"module": "alb"}]}, id="a module twice"),
]


@pytest.mark.parametrize("faulty", FAULTY)
def test_faults_are_those_that_are_found_without_it(faulty):
    decoder = Decoder()
    decoder.state(document(route("a"), route("b")))
    with pytest.raises(InvalidValue) as expected:
        decode(json.dumps(faulty).encode())
    for _ in range(2):
        with pytest.raises(InvalidValue) as found:
            decoder.state(faulty)
        assert found.value.problems == expected.value.problems


def test_an_item_that_stays_is_the_same_object():
    decoder = Decoder()
    before = decoder.state(document(route("a"), route("b")))
    after = decoder.decode(json.dumps(document(route("b"), route("a", timeout="1s"))).encode())
    assert after.routes[0] is before.routes[1]
    assert after.routes[1].timeout == 1.0
    assert after.pools is before.pools


routes_of = st.lists(
    st.builds(
        route,
        st.sampled_from("abc"),
        timeout=st.sampled_from([1.0, "2s"]),
        priority=st.sampled_from([0, 5]),
    ),
    max_size=3,
    unique_by=lambda item: item["id"],
)


@given(st.lists(routes_of, min_size=1, max_size=4))
def test_one_after_the_other_gives_what_each_gives_alone(documents):
    decoder, canon = Decoder(), Canon()
    for routes in documents:
        data = json.dumps(document(*routes)).encode()
        state = decoder.decode(data)
        assert state == decode(data)
        written = canon.of(state)
        assert written.data == encode(state)
        assert json.loads(written.data) == written.document


def test_what_the_caller_knows_is_believed():
    decoder, state = Decoder(), decode(b'{"pools":[{"name":"p"}]}')
    decoder.know(Canon().of(state).document, state)
    assert decoder.decode(b'{"pools":[{"name":"p"}]}') == state
    assert decoder.decode(b"{}") == DesiredState()
