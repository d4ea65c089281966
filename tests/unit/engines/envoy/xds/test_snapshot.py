import dataclasses

import pytest
from hypothesis import given, settings

from marchproxy.engines.envoy.xds.snapshot import (
    EMPTY,
    Draft,
    InconsistentSnapshot,
    Snapshot,
    check,
    clusters_to_warm,
    transition,
    wanted_by_holder,
)
from tests.unit.engines.envoy.xds.envoy_model import (
    CLUSTER,
    ENDPOINT,
    EXTENSION,
    LISTENER,
    ROUTE,
    checked,
    of,
    pool,
    site,
)
from tests.unit.engines.envoy.xds.strategies import snapshots


@pytest.mark.parametrize(
    ("resources", "problems"),
    [
        ((of(CLUSTER, "a", 1),), ['cluster "a": needs endpoints "a", which is missing']),
        ((of(LISTENER, "l", 1),), ['listener "l": needs route configuration "l", which is missing']),
        (site("l", 1, "gone"), ['route configuration "l": needs cluster "gone", which is missing']),
        ((of(ENDPOINT, "e", 1), of(ENDPOINT, "e", 2)), ['endpoints "e": given more than once']),
        (
            (of(CLUSTER, "a", 1), of(ROUTE, "r", 1, "x", "y")),
            [
                'cluster "a": needs endpoints "a", which is missing',
                'route configuration "r": needs cluster "x", which is missing',
                'route configuration "r": needs cluster "y", which is missing',
            ],
        ),
    ],
)
def test_every_inconsistency_is_named(resources, problems):
    with pytest.raises(InconsistentSnapshot) as error:
        check(Draft(resources))
    assert error.value.problems == tuple(problems)


def test_clusters_of_the_bootstrap_may_be_named():
    snapshot = check(Draft(site("l", 1, "ext_proc"), static_clusters=frozenset({"ext_proc"})))
    assert len(snapshot) == 2


def test_only_check_and_transition_make_snapshots():
    with pytest.raises(TypeError, match="check"):
        Snapshot({}, frozenset(), object())
    with pytest.raises(TypeError, match="check"):
        dataclasses.replace(EMPTY, _seal=None)


def test_a_snapshot_cannot_be_changed():
    snapshot = checked(*pool("a"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.static_clusters = frozenset()
    with pytest.raises(TypeError):
        snapshot.of(CLUSTER)["b"] = of(CLUSTER, "b", 1)


def contents(snapshot):
    return sorted(f"{r.type.name.lower()} {r.name}{r.content}" for r in snapshot)


def test_transition_makes_before_it_breaks():
    old = checked(*pool("a"), *site("l", 1, "a"))
    new = checked(*pool("b"), *site("l", 2, "b"))
    both = ["cluster a1", "cluster b1", "endpoint a1", "endpoint b1", "listener l1"]
    assert [contents(stage) for stage in transition(old, new)] == [
        [*both, "route l1"],
        [*both, "route l2"],
        ["cluster b1", "endpoint b1", "listener l1", "route l2"],
    ]


def test_filters_change_before_the_routes_that_may_need_them_and_go_after():
    old = checked(*pool("a"), *site("l", 1, "a"), of(EXTENSION, "f", 1), of(EXTENSION, "gone", 1))
    new = checked(*pool("a"), *site("l", 2, "a"), of(EXTENSION, "f", 2), of(EXTENSION, "added", 1))
    filters = [
        [line for line in contents(stage) if line.startswith(("extension", "route"))]
        for stage in transition(old, new)
    ]
    union = ["extension added1", "extension f2", "extension gone1"]
    assert filters == [
        [*union, "route l1"],
        [*union, "route l2"],
        ["extension added1", "extension f2", "route l2"],
    ]


@pytest.mark.parametrize(
    ("new", "stages"),
    [
        (checked(*pool("a"), *site("l", 1, "a")), 0),  # nothing changed
        (checked(*pool("a"), *site("l", 2, "a")), 1),  # a weight
        (checked(*pool("a", endpoints=2), *site("l", 1, "a")), 1),  # an endpoint
        (checked(*pool("a", version=2), *site("l", 1, "a")), 1),  # a cluster in place
        (checked(*pool("a"), *pool("b"), *site("l", 2, "a", "b")), 2),  # one more cluster, used
        (checked(*pool("b"), *site("l", 2, "b")), 3),  # another cluster
        (EMPTY, 2),  # first listeners, then clusters
    ],
)
def test_stages_without_a_change_are_skipped(new, stages):
    old = checked(*pool("a"), *site("l", 1, "a"))
    taken = transition(old, new)
    assert len(taken) == stages
    assert (taken or (old,))[-1] == new


@settings(deadline=None)
@given(old=snapshots(), new=snapshots())
def test_every_stage_is_consistent_and_removes_nothing_still_referred_to(old, new):
    last = old
    for stage in transition(old, new):
        assert check(Draft(tuple(stage), stage.static_clusters)) == stage
        assert stage != last
        removed = last.of(CLUSTER).keys() - stage.of(CLUSTER).keys()
        for resource in (*last.of(ROUTE).values(), *last.of(LISTENER).values()):
            assert not removed & resource.references.get(CLUSTER, frozenset())
        last = stage
    assert last == new


def test_clusters_to_warm_are_the_added_and_the_changed():
    old = checked(*pool("same"), *pool("changed"), *pool("gone"))
    new = checked(*pool("same", endpoints=2), *pool("changed", version=2), *pool("added"))
    assert clusters_to_warm(old, new) == {"changed", "added"}


def test_a_listener_needs_its_filters():
    needy = of(LISTENER, "l", 1, reads="r", needs={EXTENSION: frozenset({"f"})})
    with pytest.raises(InconsistentSnapshot, match='listener "l": needs filter "f", which is missing'):
        checked(needy, of(ROUTE, "r", 1))
    whole = checked(needy, of(ROUTE, "r", 1), of(EXTENSION, "f", 1))
    assert wanted_by_holder(whole) == {ROUTE: {"r"}, EXTENSION: {"f"}}


def test_a_client_asks_for_what_clusters_and_listeners_refer_to():
    snapshot = checked(*pool("a"), *site("l", 1, "a"), of(ROUTE, "unused", 1))
    assert wanted_by_holder(snapshot) == {ENDPOINT: {"a"}, ROUTE: {"l"}}


def test_endpoints_get_a_new_version_with_their_cluster():
    def version(*resources):
        snapshot = checked(*resources)
        again = checked(*snapshot)  # put together from a snapshot's resources: the same
        assert again == snapshot
        return snapshot.of(ENDPOINT)["a"].version

    seen = [
        version(*pool("a")),
        version(*pool("a", version=2)),
        version(*pool("a", endpoints=2)),
        version(*pool("a"), of(CLUSTER, "twin", 1, reads="a")),
    ]
    assert len(set(seen)) == 4
    assert version(*pool("a")) == seen[0]
