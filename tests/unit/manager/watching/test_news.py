"""What is worth telling of the step from one view to the next."""

import itertools
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from marchproxy.manager.watching.news import news
from marchproxy.manager.watching.view import LiveView, NlbView, RolloutView, ScalingView
from marchproxy.model.module import HealthStatus
from marchproxy.model.revision import Author, RevisionHead, RevisionNumber, Summary
from tests.unit.manager.watching.seen import NLB, NOW, later, part, view

LOST = view(part(), nlbs=(NlbView(NLB, "nlb", failure="no answer", last_seen=NOW),))


def rollout(phase: str, percent: int, updated_at: datetime = NOW) -> RolloutView:
    return RolloutView("route", "web", "v2", phase, percent, "because", updated_at)


def decision(way: str, at: datetime = NOW, nlb: str = NLB) -> ScalingView:
    return ScalingView("alb", at, way, 2, 3, "cpu 90 % of 70 %", nlb=nlb)


def head(number: int) -> RevisionHead:
    return RevisionHead(
        RevisionNumber(number), None, NOW, Author("ada", "user"), "why", "sum", Summary(1, 2, 3)
    )


def told(before: LiveView, after: LiveView, at: datetime = NOW) -> list[tuple[str, str, str]]:
    return [(event.kind, event.subject, event.severity) for event in news(before, after, at)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (view(part()), view(part()), []),
        (view(), view(part()), [("instance.came", "alb-1", "info")]),
        (LiveView(), view(part()), []),  # whoever is found at the start has not come
        (view(part()), view(), [("instance.gone", "alb-1", "warning")]),
        (view(part(health=HealthStatus.STOPPING)), view(), [("instance.gone", "alb-1", "info")]),
        (
            view(part()),
            view(part(health=HealthStatus.UNHEALTHY)),
            [("instance.unhealthy", "alb-1", "error")],
        ),
        (
            view(part()),
            view(part(health=HealthStatus.DEGRADED, troubles=("calls fail",))),
            [("instance.degraded", "alb-1", "warning")],
        ),
        (
            view(part(health=HealthStatus.UNHEALTHY)),
            view(part()),
            [("instance.recovered", "alb-1", "info")],
        ),
        (
            view(part()),
            view(part(health=HealthStatus.STOPPING, draining=True)),
            [("instance.draining", "alb-1", "info")],
        ),
        (
            view(part(health=HealthStatus.STOPPING, draining=True)),
            view(part()),
            [("instance.undrained", "alb-1", "info")],
        ),
        (view(part()), view(part(since=later(5))), [("instance.restarted", "alb-1", "info")]),
        (view(part()), LOST, [("nlb.lost", "nlb", "error")]),
        (LOST, view(part()), [("nlb.back", "nlb", "info")]),
        (view(part()), replace(LOST, parts=()), [("nlb.lost", "nlb", "error")]),  # nobody knows who left
    ],
)
def test_instances_and_nlbs(before: LiveView, after: LiveView, expected: list[Any]) -> None:
    assert told(before, after) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [rollout("ramping", 10)], [("rollout.started", "route/web", "info")]),
        ([rollout("ramping", 10)], [rollout("ramping", 10)], []),
        ([rollout("ramping", 10)], [rollout("ramping", 50)], [("rollout.step", "route/web", "info")]),
        ([rollout("ramping", 50)], [rollout("promoted", 100)], [("rollout.promoted", "route/web", "info")]),
        (
            [rollout("ramping", 50)],
            [rollout("rolled_back", 0)],
            [("rollout.rolled_back", "route/web", "warning")],
        ),
        ([rollout("promoted", 100)], [rollout("ramping", 10)], [("rollout.started", "route/web", "info")]),
        ([], [rollout("promoted", 100)], []),  # somebody who came tells of long ago
        ([], [rollout("promoted", 100, later(1))], [("rollout.promoted", "route/web", "info")]),
    ],
)
def test_rollouts(before: list[RolloutView], after: list[RolloutView], expected: list[Any]) -> None:
    assert told(view(rollouts=tuple(before)), view(rollouts=tuple(after))) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [decision("up")], [("scaling.up", "alb", "info")]),
        ([decision("up")], [decision("up")], []),
        ([], [decision("hold")], []),
        (
            [decision("up")],
            [decision("down", later(30)), decision("up")],
            [("scaling.down", "alb", "info")],
        ),
        ([], [decision("up", nlb="another")], []),  # one that was not heard before tells of its past
    ],
)
def test_scaling(before: list[ScalingView], after: list[ScalingView], expected: list[Any]) -> None:
    assert told(view(scaling=tuple(before)), view(scaling=tuple(after))) == expected


def test_one_that_stays_behind_is_told_of_once() -> None:
    behind = part(is_current=False, behind_since=NOW)
    views = [view(behind, looked_at=later(seconds)) for seconds in (0, 18, 20, 22)]
    steps = [told(before, after, after.looked_at or NOW) for before, after in itertools.pairwise(views)]
    assert steps == [[], [("instance.behind", "alb-1", "warning")], []]
    assert told(views[-1], view(part()), later(24)) == [("instance.current", "alb-1", "info")]
    assert told(views[0], view(part()), later(2)) == []


def test_a_revision_is_told_of_also_without_an_nlb() -> None:
    (event,) = news(LiveView(head=head(1)), LiveView(head=head(2)), NOW)
    assert (event.kind, event.subject, event.message) == ("revision.applied", "2", "by ada, +1 ~2 -3: why")
    assert told(LiveView(), LiveView(head=head(2))) == []
