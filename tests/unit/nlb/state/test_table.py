"""The routing table: sources, replacement, clashes, deletion."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import BackendRef, PathKind, PathMatch, Route, RouteId, RouteMatch
from marchproxy.nlb.state.table import (
    OPERATOR,
    RoutingTable,
    TableUpdate,
    apply_update,
    check_update,
    delete_route,
    forget_sources,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = datetime(2030, 1, 2, tzinfo=UTC)


def route(name: str, path: str = "", **more) -> Route:
    return Route(RouteId(name), RouteMatch(path=PathMatch(value=path or f"/{name}")), **more)


def table(*updates: TableUpdate) -> RoutingTable:
    known = RoutingTable()
    for update in updates:
        assert check_update(known, update) == ()
        known, _ = apply_update(known, update, NOW)
    return known


def ids(known: RoutingTable) -> set[str]:
    return set(known.entries)


A = TableUpdate("alb-1", (route("a"), route("shared")))
B = TableUpdate("alb-2", (route("b"), route("shared")))


def test_a_route_lives_as_long_as_one_source_stands_for_it():
    known = table(A, B)
    assert known.entries[RouteId("shared")].sources == {"alb-1", "alb-2"}
    assert ids(forget_sources(known, ["alb-1"])) == {"b", "shared"}
    assert ids(forget_sources(known, ["alb-1", "alb-2"])) == set()


def test_replace_all_withdraws_only_what_the_same_source_announced():
    known, changed = apply_update(table(A, B), TableUpdate("alb-1", (route("new"),), replace_all=True), NOW)
    assert ids(known) == {"new", "b", "shared"}
    assert changed == 2  # a went, new came


def test_a_replaced_route_keeps_its_age_and_an_equal_one_counts_as_no_change():
    first = table(A)
    known, changed = apply_update(
        first, TableUpdate("alb-1", (route("a", priority=5), route("shared"))), LATER
    )
    assert changed == 1
    assert known.entries[RouteId("a")].created_at == NOW
    assert known.entries[RouteId("a")].route.priority == 5


@pytest.mark.parametrize(
    ("update", "paths"),
    [
        (TableUpdate("alb-1", (route("new"), route("other", "/a"))), ["routes[1].priority"]),
        (TableUpdate("x", (route("new"), route("other", "/a"))), []),
        (TableUpdate("x", (route("new"), route("new"))), ["routes[1].id"]),
        (TableUpdate("x", (route("bad", "no-slash"),)), ["routes[0].path"]),
        (TableUpdate("x", (route("a", "/elsewhere"),)), []),
        (TableUpdate("alb-1", (route("other", "/a"),), replace_all=True), []),
        (TableUpdate("x", (route("pooled", backends=(BackendRef(PoolName("theirs")),)),)), []),
    ],
    ids=[
        "clash with one that stays",
        "another source may differ",
        "twice",
        "malformed",
        "replaces",
        "the other goes",
        "pools are theirs",
    ],
)
def test_faults_are_blamed_on_the_newcomer(update, paths):
    assert [problem.path for problem in check_update(table(A), update)] == paths


def test_every_fault_of_every_route_is_reported():
    regex = Route(RouteId("r"), RouteMatch(path=PathMatch(PathKind.REGEX, "(")))
    update = TableUpdate("x", (route("bad", "no-slash"), regex, route("late", timeout=-1)))
    paths = [problem.path for problem in check_update(RoutingTable(), update)]
    assert sorted(paths) == ["routes[0].path", "routes[1].path", "routes[2].timeout"]


def test_pools_of_databases_are_the_modules_to_know():
    databases = (
        Route(RouteId(kind.value), protocol=kind, backends=(BackendRef(PoolName(kind.value), 100),))
        for kind in (Protocol.POSTGRES, Protocol.MYSQL, Protocol.MONGODB, Protocol.REDIS)
    )
    assert check_update(table(A), TableUpdate("dblb-1", tuple(databases))) == ()


def test_the_newest_announcement_counts_and_the_others_are_kept():
    said_once, runs = route("a"), replace(route("a"), priority=9)
    known = table(TableUpdate(OPERATOR, (said_once,)), TableUpdate("alb-1", (runs,)))
    entry = known.entries[RouteId("a")]
    assert entry.route == runs
    assert entry.sources == {OPERATOR, "alb-1"}
    again, changed = apply_update(known, TableUpdate(OPERATOR, (said_once,), replace_all=True), LATER)
    assert (again.entries[RouteId("a")].route, changed) == (runs, 0)  # a repetition is not news
    assert forget_sources(known, ["alb-1"]).entries[RouteId("a")].route == said_once


@pytest.mark.parametrize(
    ("source", "left"),
    [(OPERATOR, {"a"}), ("alb-1", {"a", "shared"})],
    ids=["an operator removes it", "another source still stands for it"],
)
def test_delete(source, left):
    known = table(A, TableUpdate("alb-2", (route("shared"),)))
    assert ids(delete_route(known, RouteId("shared"), source)) == left


@pytest.mark.parametrize(
    ("name", "source", "code"),
    [("nothing", OPERATOR, RefusalCode.NOT_FOUND), ("a", "alb-2", RefusalCode.PERMISSION_DENIED)],
)
def test_delete_refused(name, source, code):
    with pytest.raises(Refused) as refused:
        delete_route(table(A), RouteId(name), source)
    assert refused.value.code is code
