"""What has several versions, with which shares; and paces as they are typed."""

from datetime import UTC, datetime

import pytest

from marchproxy.manager.operating import Pace
from marchproxy.manager.ui.pace import read_pace
from marchproxy.manager.ui.versions import versions_of
from marchproxy.manager.watching import ListenerView, LiveView, RolloutView

NOW = datetime(2026, 1, 2, tzinfo=UTC)
POOLS = [{"name": "a", "version": "v1"}, {"name": "b", "version": "v2"}, {"name": "c"}]


def route(**weights):
    return {
        "routes": [
            {"id": "shop", "backends": [{"pool": pool, "weight": weight} for pool, weight in weights.items()]}
        ],
        "pools": POOLS,
    }


def ramping(percent, version="v2", phase="ramping"):
    return LiveView(rollouts=(RolloutView("route", "shop", version, phase, percent, "", NOW),))


@pytest.mark.parametrize(
    ("document", "view", "shares"),
    [
        (route(a=90, b=10), LiveView(), {"v1": 90, "v2": 10}),
        (route(a=50, b=10, c=40), LiveView(), {"v1": 90, "v2": 10}),  # c is of v1, too
        (route(a=100, b=0), ramping(25), {"v1": 75, "v2": 25}),
        (route(a=100, b=0), ramping(25, phase="rolled_back"), {"v1": 100, "v2": 0}),
        (route(a=0, b=100), ramping(30), {"v1": 70, "v2": 30}),
        (route(a=100, b=0), ramping(25, version="v9"), {"v1": 100, "v2": 0}),
    ],
)
def test_shares_of_a_route(document, view, shares):
    (found,) = versions_of(document, view)
    assert (found.on, found.name, dict(found.shares)) == ("route", "shop", shares)
    assert sum(found.shares.values()) == 100


def test_a_route_to_one_pool_has_no_versions_and_a_listener_has_those_that_are_seen():
    view = LiveView(listeners=(ListenerView("web", "x:1", "http", "alb", weights={"v1": 80, "v2": 20}),))
    document = {"routes": [{"id": "r", "backends": ["a"]}], "pools": POOLS}
    assert [(one.on, one.name, dict(one.shares)) for one in versions_of(document, view)] == [
        ("listener", "web", {"v1": 80, "v2": 20})
    ]


def test_a_pace():
    pace = read_pace("5, 25 % 100", "30", "50", "2.5", "1.5")
    assert isinstance(pace, Pace)
    assert pace.steps == (5, 25, 100)
    assert (
        pace.limits.interval,
        pace.limits.min_requests,
        pace.limits.max_error_percent,
        pace.limits.max_p99_factor,
    ) == (30, 50, 2.5, 1.5)
    assert pace.limits.steps == pace.steps


def test_no_steps_are_everything_at_once():
    pace = read_pace("", "60", "20", "5", "0")
    assert isinstance(pace, Pace)
    assert pace.at_once


@pytest.mark.parametrize(
    ("typed", "paths"),
    [
        (("5, many", "60", "20", "5", "0"), ["steps"]),
        (("50, 25", "60", "20", "5", "0"), ["steps"]),
        (("0, 101", "60", "20", "5", "0"), ["steps"]),
        (
            ("5", "nan", "0", "500", "x"),
            ["seconds for each", "requests at least", "errors at most", "p99, times baseline"],
        ),
    ],
)
def test_every_fault_of_a_pace_is_said(typed, paths):
    found = read_pace(*typed)
    assert isinstance(found, tuple)
    assert [problem.path for problem in found] == paths
