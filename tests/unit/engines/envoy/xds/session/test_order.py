"""Delivery order: make before break on one stream, whatever is pushed."""

import pytest

from marchproxy.engines.envoy.xds.node import expected_of
from marchproxy.engines.envoy.xds.session import DeltaSession, SotwSession
from tests.unit.engines.envoy.xds.envoy_model import (
    CLUSTER,
    ENDPOINT,
    EXTENSION,
    LISTENER,
    ROUTE,
    RUNTIME,
    SECRET,
    checked,
    of,
    pool,
    site,
)
from tests.unit.engines.envoy.xds.session.dialogue import BOTH, Dialogue
from tests.unit.engines.envoy.xds.session.test_pitfalls import settled

both = pytest.mark.parametrize("variant", BOTH)


def test_delta_replacement_of_everything():
    talk = settled(DeltaSession)
    assert talk.push(checked(*pool("b"), *site("l", 2, "b", listener=2))) == ["cluster b1"]
    assert talk.subscribe(ENDPOINT, "b") == [
        "endpoint b1"
    ]  # clusters warm: no waiting for their acknowledgement
    assert talk.answer(ENDPOINT) == []
    assert talk.answer(CLUSTER) == ["listener l2"]
    assert talk.answer(LISTENER) == ["route l2"]
    assert talk.answer(ROUTE) == ["cluster -a"]
    assert talk.answer(CLUSTER) == ["endpoint -a"]
    assert talk.answer(ENDPOINT) == []
    assert talk.session.pending() == ()


def test_sotw_replacement_of_everything():
    talk = settled(SotwSession)
    assert talk.push(checked(*pool("b"), *site("l", 2, "b", listener=2))) == ["cluster a1 b1"]  # a lingers
    assert talk.subscribe(ENDPOINT, "b") == ["endpoint b1"]
    assert talk.answer(ENDPOINT) == []
    assert talk.answer(CLUSTER) == ["listener l2"]
    assert talk.answer(LISTENER) == ["route l2"]
    assert talk.answer(ROUTE) == ["cluster b1"]
    assert talk.answer(CLUSTER) == []
    assert talk.session.pending() == ()


@both
def test_routes_wait_for_endpoints_too(variant):
    talk = settled(variant)
    assert talk.push(checked(*pool("a", endpoints=2), *site("l", 2, "a"))) == ["endpoint a2"]
    assert talk.answer(ENDPOINT) == ["route l2"]


@both
def test_endpoints_flow_while_clusters_warm(variant):
    talk = settled(variant)
    talk.push(checked(*pool("a"), *pool("b"), *site("l", 1, "a")))
    assert talk.push(checked(*pool("a", endpoints=2), *pool("b"), *site("l", 2, "a"))) == ["endpoint a2"]
    assert talk.answer(ENDPOINT) == []
    assert talk.answer(CLUSTER) == ["route l2"]


@both
def test_secrets_do_not_wait_for_the_clusters_that_need_them(variant):
    talk = Dialogue(variant, checked(*pool("a"), of(SECRET, "cert", 1)))
    assert talk.subscribe(CLUSTER) == ["cluster a1"]
    assert talk.subscribe(SECRET, "cert") == ["secret cert1"]


@both
def test_filters_wait_for_clusters_and_are_waited_for(variant):
    talk = settled(variant)
    talk.push(checked(*pool("a"), *site("l", 1, "a"), of(EXTENSION, "f", 1)))
    assert talk.subscribe(EXTENSION, "f") == ["extension f1"]
    talk.answer(EXTENSION)
    changed = checked(
        *pool("a", version=2, endpoints=2), *site("l", 2, "a", listener=2), of(EXTENSION, "f", 2)
    )
    assert talk.push(changed) == ["cluster a2", "endpoint a2"]
    assert talk.answer(ENDPOINT) == []
    assert talk.answer(CLUSTER) == ["extension f2"]
    assert talk.answer(EXTENSION) == ["listener l2"]
    assert talk.answer(LISTENER) == ["route l2"]
    talk.answer(ROUTE)
    gone = checked(*pool("a", version=2, endpoints=2), *site("l", 2, "a", listener=2))
    assert talk.push(gone) == (["extension -f"] if variant is DeltaSession else [])


@both
def test_a_refused_filter_is_withheld_and_the_last_good_one_stays(variant):
    talk = settled(variant)
    good = (*pool("a"), *site("l", 1, "a"))
    talk.push(checked(*good, of(EXTENSION, "f", 1), of(EXTENSION, "g", 1)))
    talk.subscribe(EXTENSION, "f", "g")
    talk.answer(EXTENSION)
    talk.push(checked(*good, of(EXTENSION, "f", 2), of(EXTENSION, "g", 2)))
    assert talk.answer(EXTENSION, error='filter "f": no') == ["extension f1 g2"]
    talk.answer(EXTENSION)
    assert talk.session.pending() == ()


@both
def test_a_runtime_layer_waits_for_nothing_and_is_waited_for(variant):
    talk = settled(variant)
    changed = checked(*pool("a"), *site("l", 1, "a"), of(RUNTIME, "limits", 1))
    assert talk.push(changed) == []
    assert RUNTIME in expected_of(changed)
    assert not talk.session.holds(changed, expected_of(changed))
    assert talk.subscribe(RUNTIME, "limits") == ["runtime limits1"]
    assert talk.answer(RUNTIME) == []
    assert talk.session.holds(changed, expected_of(changed))
    assert RUNTIME not in expected_of(checked(*pool("a")))  # who has none is not waited for


@both
def test_a_cluster_that_comes_back_before_it_was_removed_never_leaves(variant):
    talk = settled(variant)
    one = checked(*pool("a"), *site("l", 1, "a"))
    talk.push(checked(*pool("b"), *site("l", 2, "b")))
    talk.subscribe(ENDPOINT, "b")
    talk.answer(ENDPOINT)
    assert talk.answer(CLUSTER) == ["route l2"]
    assert talk.push(one) == []
    assert talk.answer(ROUTE) == ["route l1"]
    gone = talk.answer(ROUTE)
    assert gone == (["cluster a1"] if variant is SotwSession else ["cluster -b"])


@both
def test_refused_clusters_do_not_hold_the_rest_up(variant):
    talk = settled(variant)
    bad = checked(*pool("a"), *pool("bad"), *site("l", 2, "a"))
    assert len(talk.push(bad)) == 1
    assert talk.answer(CLUSTER, error="bad") == ["route l2"]
