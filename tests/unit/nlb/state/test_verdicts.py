"""What is asked of whom: each instance about listeners, one of those that run the same about routes."""

from datetime import UTC, datetime

import pytest

from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance, ModuleType, Protocol, Version
from marchproxy.model.plan import Verdict
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.nlb.state.member import Member, Moment, Standing
from marchproxy.nlb.state.registry import Registry
from marchproxy.nlb.state.table import Entry, RoutingTable
from marchproxy.nlb.state.verdicts import (
    ROUTE,
    Answers,
    RouteVerdicts,
    about_listener,
    same_questions,
    to_ask,
)
from marchproxy.nlb.state.world import World

NOW = Moment(0.0, datetime(2030, 1, 1, tzinfo=UTC))
WEB = Listener("web", "127.0.0.1", 8000)
YES = Verdict(can_handle=True)
TLS = TlsTermination("/c.pem", "/k.pem")


def member(
    name: str, *, version="v1", checksum="", registration="", standing=Standing.ACTIVE, **more
) -> Member:
    instance = ModuleInstance(
        InstanceId(name),
        more.pop("kind", ModuleType.ALB),
        f"{name}:1",
        Version(version),
        more.pop("health", HealthStatus.HEALTHY),
        config_checksum=checksum,
    )
    return Member(instance, registration or f"r-{name}", NOW.wall, NOW, standing)


def world(*members: Member, routes: tuple[Route, ...] = (Route(RouteId("shop")),)) -> World:
    return World(
        DesiredState((WEB,)),
        Registry({one.instance.instance_id: one for one in members}),
        RoutingTable({route.route_id: Entry((("", route),), NOW.wall) for route in routes}),
    )


def asked(where: World, answers: Answers | None = None, kind: str = ROUTE) -> list[str]:
    known = Answers() if answers is None else answers
    return [f"{a.instance_id} {a.subject.name}" for a in to_ask(where, known) if a.subject.kind == kind]


def answer_all(where: World) -> Answers:
    answers = Answers()
    for asking in to_ask(where, answers):
        assert answers.record(asking, YES, where)
    return answers


A, B = member("a"), member("b")


@pytest.mark.parametrize(
    ("members", "routes"),
    [
        ([A, B], ["a shop"]),
        ([A, member("b", version="v2")], ["a shop", "b shop"]),
        ([A, member("b", checksum="123")], ["a shop", "b shop"]),
        ([member("a", health=HealthStatus.UNHEALTHY), B], ["b shop"]),
        ([member("a", standing=Standing.LEAVING), B], ["b shop"]),
        ([member("a", health=HealthStatus.UNHEALTHY)], ["a shop"]),
    ],
    ids=[
        "alike",
        "another version",
        "another configuration",
        "one is unhealthy",
        "one leaves",
        "nobody healthy",
    ],
)
def test_one_of_those_that_run_the_same_is_asked_about_a_route(members, routes):
    assert asked(world(*members)) == routes


def test_each_instance_is_asked_about_each_listener_of_its_kind():
    assert asked(world(A, B, member("d", kind=ModuleType.DBLB)), kind="listener") == ["a web", "b web"]


def test_a_route_of_another_kind_of_module_is_not_asked_about():
    assert asked(world(A, routes=(Route(RouteId("r"), module_type=ModuleType.RTMP),))) == []


def test_the_answer_of_one_counts_for_all_that_run_the_same():
    where = world(A, B, member("c", version="v2"))
    answers = Answers()
    assert answers.record(next(a for a in to_ask(where, answers) if a.subject.kind == ROUTE), YES, where)
    verdicts = RouteVerdicts(answers, where.registry.members)
    assert [verdicts.get((InstanceId(name), "shop")) for name in "abcd"] == [YES, YES, None, None]


def test_a_route_that_changed_and_a_spokesman_that_registered_again_are_asked_anew():
    answers = answer_all(world(A, B))
    assert asked(world(A, B), answers) == []
    assert asked(world(A, B, routes=(Route(RouteId("shop"), priority=1),)), answers) == ["a shop"]
    assert asked(world(member("a", registration="r2"), B), answers) == ["a shop"]
    assert asked(world(A, member("b", registration="r2")), answers) == []
    assert asked(world(B), answers) == ["b shop"]


def test_answers_that_nobody_wants_any_more_are_neither_taken_nor_kept():
    where = world(A)
    answers = answer_all(where)
    (about_listener, about_route) = to_ask(where, Answers())
    for later in (world(), world(member("a", registration="r2"))):
        assert not answers.record(about_route, YES, later)
    assert not answers.record(about_route, YES, world(A, routes=()))
    assert not answers.record(about_listener, YES, World(registry=where.registry))
    answers.forget_gone(world(A, routes=()))
    assert list(answers.listeners) == [("a", "web")]
    assert answers.routes == {(ModuleType.ALB, "v1", ""): {}}
    answers.forget_gone(world())
    assert (answers.listeners, answers.routes) == ({}, {})


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda w: World(w.desired, Registry(dict(w.registry.members)), w.table), True),
        (
            lambda w: World(w.desired, Registry({"a": member("a", health=HealthStatus.DEGRADED)}), w.table),
            True,
        ),
        (lambda w: World(w.desired, Registry({"a": member("a", checksum="9")}), w.table), False),
        (lambda w: World(w.desired, Registry({"a": member("a", registration="r2")}), w.table), False),
        (lambda w: World(w.desired, w.registry, RoutingTable(w.table.entries)), False),
        (lambda w: World(DesiredState(), w.registry, w.table), False),
    ],
)
def test_what_can_raise_new_questions(change, same):
    before = world(A)
    assert same_questions(before, change(before)) is same


@pytest.mark.parametrize(
    ("protocol", "tls", "asked"),
    [
        (Protocol.HTTPS, None, Protocol.HTTPS),
        (Protocol.HTTPS, TLS, Protocol.HTTP),  # what is left when TLS has ended
        (Protocol.RTMPS, TLS, Protocol.RTMP),
        (Protocol.GRPC, TLS, Protocol.GRPC),
    ],
)
def test_a_module_is_asked_for_what_it_would_get(protocol, tls, asked):
    route = about_listener(Listener("web", "0.0.0.0", 443, protocol, ModuleType.AILB, tls=tls))
    assert (route.protocol, route.module_type, route.listeners) == (asked, ModuleType.AILB, ("web",))
    assert route.destination_port == 443
