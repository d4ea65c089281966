"""Findings as one view."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.manager.watching.assembling import Seen, assemble
from marchproxy.manager.watching.counters import Served
from marchproxy.manager.watching.figures import figures
from marchproxy.manager.watching.findings import PartFinding, Promotion, Traffic, read_traffic
from marchproxy.manager.watching.pools import Pools
from marchproxy.manager.watching.view import LiveView, NlbView, Rates, Standing
from marchproxy.model.module import HealthStatus, ModuleType
from marchproxy.model.revision import Author, RevisionHead, RevisionNumber, Summary
from tests.unit.manager.watching.seen import NLB, NOW, instance, later, nlb

HEAD = RevisionHead(RevisionNumber(3), None, NOW, Author("ada", "user"), "", "new", Summary())


def together(*nlbs: Any, before: LiveView | None = None, **parts: PartFinding) -> LiveView:
    seen = Seen(nlbs, {name.replace("_", "-"): one for name, one in parts.items()}, NOW, head=HEAD)
    return assemble(before or LiveView(), seen, Pools())


def served(requests: float, **routes: float) -> PartFinding:
    rates = {name: Rates(value) for name, value in routes.items()}
    return PartFinding(served=Served(Rates(requests), rates), connections=4, cpu=50.0, memory=80.0, at=NOW)


@pytest.mark.parametrize(
    ("view", "stale"),
    [
        (LiveView(), True),  # nobody has looked yet
        (LiveView(version=1), False),  # there is no NLB
        (LiveView(version=1, nlbs=(NlbView(NLB),)), True),
        (LiveView(version=1, nlbs=(NlbView(NLB),), at=NOW, age=1.0), False),
        (LiveView(version=1, nlbs=(NlbView(NLB),), at=NOW, age=9.0), True),
    ],
)
def test_what_is_stale(view: LiveView, stale: bool) -> None:
    assert view.is_stale is stale


def test_nothing_is_known_at_first() -> None:
    view = LiveView()
    assert view.route("web") == Rates()
    assert view.part("alb-1") is None


def test_an_instance_is_what_its_nlb_and_itself_say() -> None:
    beat = Timestamp()
    beat.FromDatetime(later(-3))
    told = instance(
        "alb-1",
        last_heartbeat=beat,
        metadata={"zone": "a", "nlb.trouble.calls": "no answer"},
        traffic_endpoints=[types_pb2.TrafficEndpoint(address="10.0.0.1:80")],
        max_connections=9,
    )
    view = together(nlb(NLB, told), alb_1=served(12.0, web=12.0))
    (part,) = view.parts
    assert (part.id, part.kind, part.health, part.is_current) == (
        "alb-1",
        ModuleType.ALB,
        HealthStatus.HEALTHY,
        True,
    )
    assert (part.connections, part.cpu, part.memory, part.max_connections) == (4, 50.0, 80.0, 9)
    assert (part.zone, part.troubles, part.traffic) == ("a", ("no answer",), ("10.0.0.1:80",))
    assert (part.last_seen, part.nlb, part.behind_since) == (NOW, NLB, None)
    assert view.total.requests == 12.0
    assert view.route("web").requests == 12.0
    assert (view.version, view.at, view.current) == (1, NOW, "new")


def test_one_that_says_nothing_is_shown_as_its_nlb_has_it() -> None:
    beat = Timestamp()
    beat.FromDatetime(later(-3))
    told = instance("alb-1", current_connections=7, last_heartbeat=beat)
    (part,) = together(nlb(NLB, told), alb_1=PartFinding(failure="no answer")).parts
    assert (part.connections, part.silent, part.last_seen) == (7, "no answer", later(-3))


def test_since_when_one_is_behind_is_remembered() -> None:
    old = instance("alb-1", config_checksum="old")
    first = together(nlb(NLB, old))
    assert first.parts[0].behind_since == NOW
    seen = Seen([nlb(NLB, old)], {}, later(9), head=HEAD)
    assert assemble(first, seen, Pools()).parts[0].behind_since == NOW
    assert together(nlb(NLB, instance("alb-1")), before=first).parts[0].behind_since is None


def test_several_nlbs_have_one_instance_and_one_listener() -> None:
    traffic = Traffic(
        1.0,
        {("connections_active", "web"): 3.0, ("instance_connections_active", "alb-1", "web"): 3.0},
        {("connections_total", "web"): 5.0, ("limit_denied_total", "calm"): 2.0},
    )
    limited = Traffic(1.0, {**traffic.values, ("limit_allowed_total", "calm"): 9.0}, traffic.rates)
    view = together(
        nlb("one", instance("alb-1"), instance("alb-2"), traffic=traffic),
        nlb("two", instance("alb-1"), traffic=limited),
    )
    assert [(part.id, part.nlb) for part in view.parts] == [("alb-1", "one"), ("alb-2", "one")]
    (listener,) = view.listeners
    assert (listener.connections, listener.accepted, listener.instances) == (6, 10.0, {"alb-1": 6})
    assert (listener.protocol, listener.module_type, listener.weights) == (
        "http",
        "alb",
        {"v1": 90, "v2": 10},
    )
    assert view.connections == 6
    (limit,) = view.limits
    assert (limit.limit_id, limit.denied) == ("calm", 4.0)
    assert [one.id for one in view.nlbs] == ["id of one", "id of two"]


def test_an_nlb_that_is_silent_keeps_what_it_said() -> None:
    silent = replace(nlb(NLB, instance("alb-1")), failure="no answer")
    view = together(silent)
    assert view.nlbs[0].failure == "no answer"
    assert view.parts[0].id == "alb-1"
    never = replace(silent, status=None, at=None)
    assert together(never).at is None


def test_rollouts_of_several_are_one() -> None:
    def at(phase: str, percent: int) -> PartFinding:
        return PartFinding(promotions=(Promotion("web", "v2", Standing(phase, percent, "why", NOW)),), at=NOW)

    both = nlb(NLB, instance("alb-1"), instance("alb-2"))
    (rollout,) = together(both, alb_1=at("ramping", 50), alb_2=at("ramping", 25)).rollouts
    assert (rollout.phase, rollout.percent, set(rollout.standings)) == ("ramping", 25, {"alb-1", "alb-2"})
    (rollout,) = together(both, alb_1=at("promoted", 100), alb_2=at("ramping", 75)).rollouts
    assert rollout.phase == "ramping"
    (rollout,) = together(both, alb_1=at("promoted", 100), alb_2=at("promoted", 100)).rollouts
    assert (rollout.phase, rollout.percent) == ("promoted", 100)
    (rollout,) = together(both, alb_1=at("rolled_back", 0), alb_2=at("ramping", 75)).rollouts
    assert (rollout.phase, rollout.percent) == ("rolled_back", 0)


def test_of_several_rollouts_of_a_target_the_newest_counts() -> None:
    def promotion(version: str, seconds: float) -> Promotion:
        return Promotion("web", version, Standing("promoted", 100, "", later(seconds)))

    finding = PartFinding(promotions=(promotion("v2", 0), promotion("v3", 5)), at=NOW)
    (rollout,) = together(nlb(NLB, instance("alb-1")), alb_1=finding).rollouts
    assert rollout.version == "v3"


def test_an_nlbs_counters_become_rates() -> None:
    def points(total: float) -> list[types_pb2.MetricDataPoint]:
        labels = {"listener": "web"}
        return [
            types_pb2.MetricDataPoint(name="connections_total", value=total, labels=labels),
            types_pb2.MetricDataPoint(name="connections_active", value=4, labels=labels),
        ]

    first = read_traffic(Traffic(), points(100), 10.0)
    assert first.rate("connections_total", "web") == 0
    second = read_traffic(first, points(120), 14.0)
    assert (second.rate("connections_total", "web"), second.of("connections_active", "web")) == (5.0, 4.0)
    assert read_traffic(second, points(6), 16.0).rate("connections_total", "web") == 3.0  # it was restarted


def test_decisions_to_scale_come_with_the_newest_first() -> None:
    finding = nlb(NLB)
    assert finding.status is not None
    for seconds in (0, 5):
        one = finding.status.scaling.add(way="up", module_type=types_pb2.MODULE_TYPE_DBLB, wanted_instances=2)
        one.decided_at.FromDatetime(later(seconds))
    found = together(finding).scaling
    assert [(one.module_type, one.at) for one in found] == [("dblb", later(5)), ("dblb", NOW)]


def test_figures_have_names() -> None:
    view = together(nlb(NLB, instance("alb-1")), alb_1=served(12.0, web=12.0))
    found = dict(figures(view))
    for name, value in {
        "total/requests": 12.0,
        "routes/web/requests": 12.0,
        "instances/alb-1/cpu": 50.0,
        "listeners/web/connections": 0.0,
    }.items():
        assert found[name] == value


def test_a_part_of_an_unknown_kind_is_left_out() -> None:
    strange = instance("x-1", module_type=99)
    assert together(nlb(NLB, strange)).parts == ()
    assert isinstance(strange, types_pb2.ModuleInstance)
    assert nlb_pb2.GetNLBStatusResponse(modules=[strange]).modules[0].instance_id == "x-1"
