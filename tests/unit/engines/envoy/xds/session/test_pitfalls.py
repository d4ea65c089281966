"""Mistakes that other control planes made, each with the report it is known by."""

import pytest

from marchproxy.engines.envoy.xds.session import Acked, DeltaSession, Nacked, ProtocolViolation, SotwSession
from marchproxy.engines.envoy.xds.session.channel import MAX_NAMES
from marchproxy.engines.envoy.xds.verdicts import Verdicts
from tests.unit.engines.envoy.xds.envoy_model import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    ROUTE,
    SECRET,
    checked,
    of,
    pool,
    site,
)
from tests.unit.engines.envoy.xds.session.dialogue import BOTH, Dialogue

both = pytest.mark.parametrize("variant", BOTH)
ONE = checked(*pool("a"), *site("l", 1, "a"))


def settled(variant, snapshot=ONE, **options):
    """A client that holds all of ONE."""
    talk = Dialogue(variant, snapshot, **options)
    talk.subscribe(CLUSTER)
    talk.subscribe(ENDPOINT, "a")
    talk.answer(CLUSTER)
    talk.answer(ENDPOINT)
    talk.subscribe(LISTENER)
    talk.answer(LISTENER)
    talk.subscribe(ROUTE, "l")
    talk.answer(ROUTE)
    assert talk.session.pending() == ()
    talk.events.clear()
    return talk


@both
def test_rejected_resource_is_not_sent_again_envoy_3079(variant):
    talk = settled(variant)
    bad = checked(*pool("a"), *site("l", 2, "a"))
    assert talk.push(bad) == ["route l2"]
    assert talk.answer(ROUTE, error="missing )") == [
        "route l1"
    ]  # the last good one: who knows what it holds now
    assert talk.answer(ROUTE) == []
    assert talk.push(bad) == []
    assert talk.push(checked(*pool("a"), *site("l", 3, "a"))) == ["route l3"]
    nacked, *_ = talk.events
    assert isinstance(nacked, Nacked)
    assert (nacked.rejection.names, nacked.rejection.message) == (("l",), "missing )")


@both
def test_rejection_outlives_the_stream(variant):
    verdicts = Verdicts()
    talk = settled(variant, verdicts=verdicts)
    bad = checked(*pool("a", version=2), *site("l", 1, "a"))
    talk.push(bad)
    talk.answer(CLUSTER, error="a")
    again = Dialogue(variant, bad, verdicts)
    assert again.subscribe(CLUSTER) == ["cluster a1"]


@both
def test_nothing_is_held_before_it_is_acknowledged_gcp_delta_server(variant):
    talk = settled(variant)
    talk.push(checked(*pool("a"), *site("l", 2, "a")))
    assert talk.push(ONE) == []  # one response is under way
    assert talk.answer(ROUTE, error="no") == ["route l1"]  # l2 was sent, but never held


@both
def test_changed_cluster_gets_its_endpoints_again_gcp_245_envoy_46383(variant):
    talk = settled(variant)
    assert talk.push(checked(*pool("a", version=2), *site("l", 1, "a"))) == ["cluster a2", "endpoint a1"]


@both
def test_cluster_that_shares_endpoints_gets_them_too(variant):
    talk = settled(variant)
    twin = of(CLUSTER, "twin", 1, reads="a")
    cluster = "cluster a1 twin1" if variant is SotwSession else "cluster twin1"
    assert talk.push(checked(*ONE, twin)) == [cluster, "endpoint a1"]


@both
def test_endpoints_never_precede_their_cluster_gcp_526_java_93(variant):
    talk = settled(variant)
    talk.subscribe(ENDPOINT, "b")  # nothing of that name yet
    talk.answer(ENDPOINT)
    more = checked(*pool("a"), *pool("b"), *site("l", 1, "a"))
    assert [line.split()[0] for line in talk.push(more)] == ["cluster", "endpoint"]


@both
def test_name_that_does_not_exist_yet_is_remembered_kgw_14688_gcp_1356(variant):
    talk = Dialogue(variant, checked())
    told = {DeltaSession: ["route -later"], SotwSession: ["route"]}
    assert talk.subscribe(ROUTE, "later") == told[variant]
    assert talk.answer(ROUTE) == []
    assert talk.push(checked(of(ROUTE, "later", 1))) == ["route later1"]


def test_missing_endpoints_do_not_keep_a_cluster_warming():
    talk = Dialogue(DeltaSession, checked())
    assert talk.subscribe(ENDPOINT, "gone") == ["endpoint -gone"]
    talk = Dialogue(SotwSession, checked())
    (line,) = talk.subscribe(ENDPOINT, "gone")
    assert "gone" in line  # an assignment without endpoints


@both
def test_subscription_is_read_when_sending_gcp_1498(variant):
    snapshot = checked(of(ROUTE, "x", 1), of(ROUTE, "y", 1))
    talk = Dialogue(variant, snapshot)
    assert talk.subscribe(ROUTE, "x", "y") == ["route x1 y1"]
    talk.session.push(checked(of(ROUTE, "x", 2), of(ROUTE, "y", 2)))
    talk.answer(ROUTE, nonce="0")  # to nothing that was ever sent
    # for state of the world the second request is the acknowledgement at once
    assert talk.subscribe(ROUTE, drop=["y"]) + talk.answer(ROUTE) == ["route x2"]


def test_deleted_while_away_is_removed_istio_41494():
    talk = Dialogue(DeltaSession, ONE)
    assert talk.subscribe(CLUSTER, holds={"a": "1", "old": "1"}) == ["cluster"]  # an answer at once
    assert talk.answer(CLUSTER) == ["cluster -old"]  # the removal when all else is settled
    assert talk.subscribe(LISTENER, holds={"l": "1", "old": "1"}) == []
    assert talk.answer(CLUSTER) == ["listener -old"]


def test_resumed_client_is_sent_what_changed_and_nothing_else():
    talk = Dialogue(DeltaSession, ONE)
    assert talk.subscribe(CLUSTER, holds={"a": "1"}) == ["cluster"]
    assert talk.subscribe(ENDPOINT, "a", holds={"a": "1.1"}) == ["endpoint"]
    talk.answer(CLUSTER)
    talk.answer(ENDPOINT)
    assert talk.subscribe(LISTENER, holds={"l": "0"}) == ["listener l1"]


def test_endpoints_forgotten_on_reconnect_are_sent_envoy_22418():
    # It got cluster a2 and lost the stream before the endpoints: it reports those that came with cluster a1.
    talk = Dialogue(DeltaSession, checked(*pool("a", version=2)))
    assert talk.subscribe(CLUSTER, holds={"a": "2"}) == ["cluster"]
    assert talk.subscribe(ENDPOINT, "a", holds={"a": "1.1"}) == ["endpoint a1"]


def test_cluster_that_was_warming_when_the_stream_broke_is_told_that_its_endpoints_are_gone():
    talk = Dialogue(DeltaSession, checked())
    assert talk.subscribe(CLUSTER, holds={"a": "2"}) == ["cluster"]
    assert talk.subscribe(ENDPOINT, "a", holds={"a": "1.1"}) == ["endpoint -a"]


@both
def test_explicit_subscription_is_answered_even_if_unchanged_gcp_431(variant):
    talk = settled(variant)
    assert talk.subscribe(ROUTE, drop=["l"]) == []
    assert talk.subscribe(ROUTE, "l") == ["route l1"]


def test_delta_subscription_to_a_held_name_is_answered():
    talk = settled(DeltaSession)
    assert talk.subscribe(ROUTE, "l") == ["route l1"]
    talk.answer(ROUTE)
    assert talk.subscribe(CLUSTER, "a") == [
        "cluster a1",
        "endpoint a1",
    ]  # it may have forgotten: then it warms


@both
@pytest.mark.parametrize("kind", [CLUSTER, LISTENER, SECRET])
def test_first_request_is_always_answered_istio_39916(variant, kind):
    talk = Dialogue(variant, checked())
    assert talk.subscribe(kind) == [kind.name.lower()]
    assert talk.answer(kind) == []


@both
def test_one_unacknowledged_push_per_type_and_the_newest_state_next_istio_push_overload(variant):
    talk = settled(variant)
    assert talk.push(checked(*pool("a"), *site("l", 2, "a"))) == ["route l2"]
    for version in range(3, 10):
        assert talk.push(checked(*pool("a"), *site("l", version, "a"))) == []
    assert talk.answer(ROUTE) == ["route l9"]
    assert talk.answer(ROUTE) == []


@both
def test_stale_nonce_is_no_answer(variant):
    talk = settled(variant)
    talk.push(checked(*pool("a"), *site("l", 2, "a")))
    stale = str(int(talk.last[ROUTE]) - 1)
    assert talk.answer(ROUTE, nonce=stale, error="late") == []
    assert talk.events == []
    assert talk.answer(ROUTE) == []
    assert talk.events == [Acked(ROUTE, talk.last[ROUTE])]


def test_sotw_request_with_a_stale_nonce_is_dropped_whole():
    talk = settled(SotwSession)
    talk.push(checked(*pool("a"), *site("l", 2, "a")))
    assert talk.subscribe(ROUTE, "new", nonce="1") == []
    talk.names[ROUTE].discard("new")
    assert talk.answer(ROUTE) == []


def test_delta_subscription_in_a_request_with_a_stale_nonce_counts():
    talk = settled(DeltaSession)
    talk.push(checked(*pool("a"), *site("l", 2, "a"), of(ROUTE, "m", 1)))
    assert talk.subscribe(ROUTE, "m") == []
    assert talk.answer(ROUTE) == ["route m1"]


@both
def test_nonce_of_another_type_is_no_answer(variant):
    talk = settled(variant)
    talk.push(checked(*pool("a", version=2), *site("l", 1, "a")))
    assert talk.answer(CLUSTER, nonce=talk.last[ENDPOINT]) == []
    assert CLUSTER in talk.session.pending()


def test_sotw_empty_names_are_a_wildcard_only_before_any_name_cilium_45288():
    talk = Dialogue(SotwSession, checked(*pool("a"), *pool("b")))
    assert talk.subscribe(CLUSTER) == ["cluster a1 b1"]
    talk.answer(CLUSTER)
    assert talk.subscribe(CLUSTER, "a") == ["cluster a1"]  # no wildcard any more
    talk.answer(CLUSTER)
    assert talk.subscribe(CLUSTER, drop=["a"]) == []  # nothing any more
    assert talk.push(checked(*pool("a", version=2), *pool("b", version=2))) == []
    assert talk.subscribe(CLUSTER, "*") == ["cluster a2 b2"]


def test_delta_wildcard_stays_beside_names_and_ends_by_name_cilium_45288():
    talk = Dialogue(DeltaSession, checked(*pool("a"), *pool("b")))
    assert talk.subscribe(CLUSTER) == ["cluster a1 b1"]
    talk.answer(CLUSTER)
    assert talk.subscribe(CLUSTER, "a") == ["cluster a1"]
    talk.answer(CLUSTER)
    assert talk.push(checked(*pool("a"), *pool("b", version=2))) == ["cluster b2"]
    talk.answer(CLUSTER)
    assert talk.subscribe(CLUSTER, drop=["*"]) == []
    assert talk.push(checked(*pool("a", version=3), *pool("b", version=3))) == ["cluster a3"]
    talk.answer(CLUSTER)
    assert talk.subscribe(CLUSTER, "*") == ["cluster b3"]


def test_delta_name_dropped_beside_a_wildcard_is_sent_again():
    talk = Dialogue(DeltaSession, checked(*pool("a")))
    talk.subscribe(CLUSTER, "*", "a")
    talk.answer(CLUSTER)
    assert talk.subscribe(CLUSTER, drop=["a"]) == ["cluster a1"]


@both
@pytest.mark.parametrize("kind", [ENDPOINT, ROUTE, SECRET])
def test_only_clusters_and_listeners_have_the_legacy_wildcard(variant, kind):
    talk = Dialogue(variant, checked(of(kind, "x", 1)))
    assert talk.subscribe(kind) == [kind.name.lower()]


@both
def test_nothing_is_sent_before_there_is_a_snapshot(variant):
    talk = Dialogue(variant)
    assert talk.subscribe(CLUSTER) == []
    assert talk.push(ONE) == ["cluster a1"]


@both
def test_names_are_limited(variant):
    talk = Dialogue(variant, ONE)
    with pytest.raises(ProtocolViolation, match="names"):
        talk.subscribe(ROUTE, *(f"r{n}" for n in range(MAX_NAMES + 1)))


def test_initial_versions_are_limited():
    talk = Dialogue(DeltaSession, ONE)
    with pytest.raises(ProtocolViolation, match="initial"):
        talk.subscribe(CLUSTER, holds={f"r{n}": "1" for n in range(MAX_NAMES + 1)})
