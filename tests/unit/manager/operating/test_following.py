"""What becomes of rollouts that were started through a manager."""

from datetime import timedelta

import pytest

from marchproxy.manager.operating.following import Fate, follow, id_of, target_of
from marchproxy.manager.operating.targets import Target
from marchproxy.manager.watching import LiveView, NlbView, RolloutView, Standing
from marchproxy.model.record import StartedRollout
from tests.unit.manager.watching.seen import NLB, NOW, later, view

GRACE = timedelta(seconds=6)
WEB = Target("route", "web")
STARTED = StartedRollout(id_of(WEB), "web", "v2", "ada", NOW)


def rollout(*phases: str, version: str = "v2", seconds: float = 1) -> RolloutView:
    standings = {f"alb-{at}": Standing(phase, 50, "", NOW) for at, phase in enumerate(phases)}
    phase = next(
        (one for one in ("rolled_back", "ramping", "promoted") if one in phases),
        "",
    )
    return RolloutView("route", "web", version, phase, 50, "", later(seconds), (), standings)


def fate(*rollouts: RolloutView, age: float = 10, **fields: object) -> Fate:
    return follow(STARTED, view(rollouts=rollouts, **fields), later(age), grace=GRACE).fate


@pytest.mark.parametrize(
    ("rollouts", "age", "expected"),
    [
        ([rollout("ramping", "ramping")], 10, Fate.GOES_ON),
        ([rollout("ramping", "promoted")], 10, Fate.GOES_ON),
        ([rollout("promoted", "promoted")], 10, Fate.PROMOTED),
        ([rollout("promoted", "promoted")], 2, Fate.GOES_ON),  # what is seen may be from before
        ([rollout("promoted", "promoted", seconds=-60)], 10, Fate.GOES_ON),  # this surely is
        ([rollout("rolled_back", "ramping")], 10, Fate.ROLLED_BACK),
        ([rollout("promoted", version="v3")], 10, Fate.GOES_ON),
        ([], 10, Fate.GOES_ON),
        ([], 60, Fate.ENDED),
    ],
)
def test_fate(rollouts: list[RolloutView], age: float, expected: Fate) -> None:
    assert fate(*rollouts, age=age) is expected


def test_nothing_is_decided_on_what_is_not_seen() -> None:
    lost = (NlbView(NLB, failure="no answer"),)
    assert fate(rollout("promoted"), nlbs=lost) is Fate.GOES_ON
    assert follow(STARTED, LiveView(), later(100), grace=GRACE).fate is Fate.GOES_ON


def test_those_who_did_not_go_back_are_named() -> None:
    found = follow(
        STARTED, view(rollouts=(rollout("rolled_back", "ramping", "promoted"),)), later(10), grace=GRACE
    )
    assert found.laggards == ("alb-1", "alb-2")


@pytest.mark.parametrize("target", [WEB, Target("listener", "a:b")])
def test_targets_are_remembered(target: Target) -> None:
    started = StartedRollout(id_of(target), target.name, "v2", "ada", NOW)
    assert target_of(started) == target
