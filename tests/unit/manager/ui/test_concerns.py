"""What somebody should look at."""

from datetime import UTC, datetime

import pytest

from marchproxy.manager.ui.components.badge import Tone
from marchproxy.manager.ui.concerns import concerns
from marchproxy.manager.watching import (
    EndpointView,
    ListenerView,
    LiveView,
    NlbView,
    PartView,
    PoolView,
    RolloutView,
)
from marchproxy.model.module import HealthStatus, ModuleType

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def part(health=HealthStatus.HEALTHY, *, is_current=True, **more):
    return PartView(
        id="alb-1",
        kind=ModuleType.ALB,
        version="v1",
        address="x:1",
        health=health,
        is_current=is_current,
        **more,
    )


def pool(*healths, trouble=""):
    endpoints = tuple(EndpointView(f"x:{number}", health) for number, health in enumerate(healths))
    return {"shop": PoolView(name="shop", version="v1", endpoints=endpoints, trouble=trouble)}


ILL = HealthStatus.UNHEALTHY
ROLLOUT = RolloutView("route", "shop", "v2", "ramping", 10, "goes on", NOW)


@pytest.mark.parametrize(
    ("view", "found"),
    [
        ({"parts": (part(),)}, []),
        ({"parts": (part(ILL),)}, [(Tone.BAD, "unhealthy")]),
        (
            {"parts": (part(HealthStatus.DEGRADED, troubles=("2 probes failed",)),)},
            [(Tone.WARN, "2 probes failed")],
        ),
        ({"parts": (part(silent="timed out"),)}, [(Tone.WARN, "timed out")]),
        ({"parts": (part(is_current=False),), "current": "ab"}, [(Tone.WARN, "does not run the revision")]),
        ({"parts": (part(draining=True, connections=3),)}, [(Tone.BUSY, "3 connections left")]),
        ({"nlbs": (NlbView("x:1", failure="refused"),)}, [(Tone.BAD, "does not answer: refused")]),
        ({"nlbs": (NlbView("x:1", health=ILL, message="no Envoy"),)}, [(Tone.BAD, "no Envoy")]),
        ({"nlbs": (NlbView("x:1"),), "current": "ab"}, [(Tone.WARN, "does not run the revision")]),
        ({"pools": pool(ILL, ILL)}, [(Tone.BAD, "none of its 2 endpoints")]),
        ({"pools": pool(ILL, None)}, [(Tone.WARN, "1 of 2 endpoints is not healthy")]),
        ({"pools": pool(trouble="no such file")}, [(Tone.WARN, "no such file")]),
        ({"rollouts": (ROLLOUT,)}, [(Tone.BUSY, "v2 has 10 %: goes on")]),
        (
            {"listeners": (ListenerView("web", "x:1", "http", "alb", failed=1.0),)},
            [(Tone.WARN, "reach nobody")],
        ),
    ],
)
def test_concerns(view, found):
    seen = concerns(LiveView(**view))
    assert [(one.tone, words in one.words) for one, (_, words) in zip(seen, found, strict=True)] == [
        (tone, True) for tone, _ in found
    ]


def test_the_worst_comes_first():
    view = LiveView(rollouts=(ROLLOUT,), pools=pool(ILL, None), parts=(part(ILL),))
    assert [one.tone for one in concerns(view)] == [Tone.BAD, Tone.WARN, Tone.BUSY]
