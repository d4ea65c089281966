import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.judging import RISK, RolloutLimits, Sample
from marchproxy.model.rollout import (
    MOST_DECISIONS,
    Phase,
    Prolong,
    Rollout,
    SetWeight,
    Verdict,
    Window,
    begin,
    hold,
    step,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = RolloutLimits(step_percent=20, min_requests=20, max_p99_latency_ms=100.0, max_p99_factor=3.0)
RAMPING = Rollout("v2", 10)
GOOD = Sample(1000, 0, 50.0)


def decide(
    rollout: Rollout, canary: Sample, baseline: Sample = GOOD, limits: RolloutLimits = LIMITS, **window
):
    return step(rollout, Window(canary, baseline, **window), limits, AT)


@pytest.mark.parametrize(
    ("canary", "baseline", "commands", "reason"),
    [
        (Sample(19, 2), GOOD, (), "held at 10 %: 19 of 20 requests seen"),  # too little evidence, even of faults
        (Sample(0, 0), GOOD, (), "held at 10 %: 0 of 20"),
        (Sample(20, 0), GOOD, (SetWeight(30),), "20 requests, 0.00 % errors: 30 %"),
        (Sample(1000, 10), GOOD, (SetWeight(30),), "1.00 % errors"),  # unlikely, but within what is allowed
        (Sample(1000, 12), GOOD, (SetWeight(0),), "rolled back: 1.20 % errors against 0.00 % of the baseline"),
        (Sample(50, 1), GOOD, (Prolong(),), "2.00 % errors against 0.00 % of the baseline (p = 0.048)"),
        (Sample(50, 1), Sample(200, 0), (SetWeight(30),), "2.00 % errors"),  # one accident
        (Sample(1000, 50), Sample(1000, 45), (SetWeight(30),), "5.00 % errors"),
        (Sample(1000, 51), Sample(1000, 51), (Prolong(),), "5.10 % errors, the limit is 5.00 %; it may be chance"),
        (Sample(1000, 90), Sample(1000, 90), (SetWeight(0),), "rolled back: 9.00 % errors, the limit is 5.00 %"),
        (Sample(1000, 40), Sample(), (SetWeight(30),), "4.00 % errors"),  # no baseline to compare with
        # what may be the asker's fault counts by comparison, where there is one
        (Sample(1000, 90, 0, 90), Sample(1000, 90, 0, 90), (SetWeight(30),), "9.00 % errors: 30 %"),
        (Sample(1000, 90, 0, 90), Sample(1000, 9, 0, 9), (SetWeight(0),), "against 0.90 % of the baseline"),
        (Sample(1000, 180, 0, 90), Sample(1000, 180, 0, 90), (SetWeight(0),), "9.00 % errors, the limit is 5"),
        (Sample(1000, 90, 0, 90), Sample(), (SetWeight(0),), "rolled back: 9.00 % errors, the limit is 5.00 %"),
        (Sample(1000, 0, 100.0), GOOD, (SetWeight(30),), "30 %"),
        (Sample(1000, 0, 100.1), GOOD, (SetWeight(0),), "rolled back: p99 is 100.1 ms, the limit is 100.0 ms"),
        (Sample(1000, 0, 90.1), Sample(9, 0, 30.0), (SetWeight(0),), "p99 is 90.1 ms against 30.0 ms"),
        (Sample(1000, 0, 90.0), Sample(9, 0, 30.0), (SetWeight(30),), "30 %"),
        (Sample(10, 9), GOOD, (SetWeight(0),), "rolled back: 9 of the first 10 requests failed"),
    ],
)  # fmt: skip
def test_step_while_ramping(canary, baseline, commands, reason):
    after, done = decide(RAMPING, canary, baseline)
    assert done == commands
    assert reason in after.reason
    last = after.decisions[-1]
    assert (last.at, last.reason, last.canary, last.baseline) == (AT, after.reason, canary, baseline)
    match commands:
        case () | (Prolong(),):
            assert (after.phase, after.percent, last.verdict) == (Phase.RAMPING, 10, Verdict.HELD)
        case (SetWeight(0),):
            assert (after.phase, after.percent, last.verdict) == (Phase.ROLLED_BACK, 0, Verdict.ROLLED_BACK)
        case (SetWeight(percent),):
            assert (after.phase, after.percent) == (Phase.RAMPING, percent)
            assert (last.verdict, last.before, last.after) == (Verdict.ADVANCED, 10, percent)


@pytest.mark.parametrize(
    ("canary", "baseline", "aborts"),
    [
        (Sample(10, 6), Sample(200, 0), True),
        (Sample(4, 4), Sample(200, 0), False),  # too few
        (Sample(5, 3), Sample(50, 0), False),  # by accident, once in 2,000
        (Sample(100, 50), Sample(2000, 0), False),  # not most of them
        (Sample(10, 6), Sample(20, 10), False),  # the others do no better
        (Sample(10, 10), Sample(), True),  # there are no others, but a limit
        (Sample(1000, 0), Sample(1000, 0), False),
    ],
)
def test_before_the_window_is_over_only_gross_failure_counts(canary, baseline, aborts):
    after, done = decide(RAMPING, canary, baseline, over=False)
    assert done == ((SetWeight(0),) if aborts else ())
    assert aborts or after is RAMPING


def test_an_obstacle_holds_a_good_canary_but_saves_no_bad_one():
    held, done = decide(RAMPING, GOOD, obstacle="no instance is ready")
    assert (done, held.percent, held.reason) == ((), 10, "held at 10 %: no instance is ready")
    assert decide(RAMPING, Sample(), obstacle="no instance is ready")[0].reason == held.reason
    assert decide(RAMPING, Sample(1000, 900), obstacle="no instance is ready")[1] == (SetWeight(0),)


@pytest.mark.parametrize(
    ("limits", "canary"),
    [
        (replace(LIMITS, max_error_percent=0.0, max_error_increase_percent=0.0), Sample(1000, 400)),
        (replace(LIMITS, max_p99_latency_ms=0.0, max_p99_factor=0.0), Sample(1000, 0, 1e9)),
    ],
)
def test_a_limit_of_0_is_not_checked(limits, canary):
    assert decide(RAMPING, canary, limits=limits)[1] == (SetWeight(30),)


@pytest.mark.parametrize("limits", [LIMITS, replace(LIMITS, min_requests=0)])
def test_no_traffic_never_promotes(limits):
    rollout = RAMPING
    for _ in range(1000):
        rollout, commands = decide(rollout, Sample(), limits=limits)
        assert commands == ()
    assert (rollout.phase, rollout.percent, len(rollout.decisions)) == (Phase.RAMPING, 10, 1)


@pytest.mark.parametrize(
    ("limits", "share", "steps"),
    [
        (LIMITS, 0, [20, 40, 60, 80, 100]),
        (LIMITS, 90, [100]),
        (LIMITS, 70, [90, 100]),
        (LIMITS, 100, [100]),
        (replace(LIMITS, step_percent=0), 98, [99, 100]),
        (replace(LIMITS, steps=(5, 25, 50)), 0, [5, 25, 50, 100]),
        (replace(LIMITS, steps=(5, 25, 50, 100)), 10, [25, 50, 100]),
    ],
)
def test_a_good_canary_is_promoted_and_then_left_alone(limits, share, steps):
    rollout, first = begin("v2", share, limits, AT)
    seen = [first.percent]
    while rollout.phase is Phase.RAMPING:
        rollout, commands = decide(rollout, GOOD, limits=limits)
        seen += [command.percent for command in commands]
    assert seen == steps
    assert [decision.after for decision in rollout.decisions] == steps
    assert decide(rollout, GOOD, limits=limits) == (rollout, ())


@pytest.mark.parametrize("phase", [Phase.PROMOTED, Phase.ROLLED_BACK])
@pytest.mark.parametrize("canary", [GOOD, Sample(1000, 1000)])
def test_final_phases_stay(phase, canary):
    rollout = Rollout("v2", 100, phase=phase, reason="because")
    assert decide(rollout, canary) == (rollout, ())


def test_holds_in_a_row_are_one_decision_and_the_history_is_bounded():
    rollout = RAMPING
    for seen in range(15):
        at = AT + timedelta(seconds=seen)
        rollout, _ = step(rollout, Window(Sample(seen), GOOD), LIMITS, at)
    assert [(d.at, d.canary.requests) for d in rollout.decisions] == [(at, 14)]
    small = replace(LIMITS, step_percent=1)
    for seen in range(80):
        rollout, _ = decide(rollout, GOOD, limits=small)
        rollout = hold(rollout, Window(GOOD, GOOD), f"refused {seen}", AT)
    assert len(rollout.decisions) == MOST_DECISIONS
    assert rollout.decisions[-1].reason == f"held at {rollout.percent} %: refused 79"


SAMPLES = st.integers(0, 100).flatmap(
    lambda n: st.builds(Sample, st.just(n), st.integers(0, n), st.floats(0, 200))
)
WINDOWS = st.builds(Window, SAMPLES, SAMPLES, st.booleans(), st.sampled_from(["", "nobody is ready"]))


@given(windows=st.lists(WINDOWS, max_size=12), start=st.integers(0, 100))
def test_whatever_is_seen_the_weight_is_what_the_rollout_says(windows, start):
    rollout, weight = Rollout("v2", start), start
    for window in windows:
        before = rollout
        rollout, commands = step(rollout, window, LIMITS, AT)
        for command in commands:
            if isinstance(command, SetWeight):
                weight = command.percent
        assert rollout.percent == weight
        assert 0 <= weight <= 100
        assert weight >= before.percent or rollout.phase is Phase.ROLLED_BACK
        assert weight <= before.percent or (
            window.over and not window.obstacle and window.canary.requests >= 20
        )
        assert rollout is before or rollout.reason == rollout.decisions[-1].reason


class Simulation:
    """A rollout of a canary that fails at one rate beside a baseline that fails at another."""

    def __init__(self, seed: int, requests: int, canary: float, baseline: float) -> None:
        self.random = random.Random(seed)
        self.requests = requests
        self.rates = canary, baseline

    def run(self, limits: RolloutLimits) -> Rollout:
        rollout, _ = begin("v2", 0, limits, AT)
        canary = baseline = Sample()
        for _ in range(30):
            share = max(1, self.requests * rollout.percent // 100)
            canary += self.sample(share, self.rates[0])
            baseline += self.sample(self.requests - share, self.rates[1])
            rollout, commands = decide(rollout, canary, baseline, limits)
            if rollout.phase is not Phase.RAMPING:
                break
            if commands and isinstance(commands[0], SetWeight):
                canary = baseline = Sample()
        return rollout

    def sample(self, requests: int, rate: float) -> Sample:
        """Failures, by the gaps between them."""
        failures, at = 0, 0
        while rate and (at := at + 1 + int(math.log(self.random.random()) / math.log1p(-rate))) <= requests:
            failures += 1
        return Sample(requests, failures)


def phases(runs: int, limits: RolloutLimits, **rates: float) -> list[Phase]:
    return [Simulation(seed, 800, **rates).run(limits).phase for seed in range(runs)]


@pytest.mark.parametrize("limits", [RolloutLimits(), RolloutLimits(steps=(5, 25, 50))])
@pytest.mark.parametrize("rate", [0.0, 0.002, 0.01, 0.02, 0.04])
def test_a_canary_as_good_as_its_baseline_is_hardly_ever_rolled_back(limits, rate):
    found = phases(400, limits, canary=rate, baseline=rate)
    assert found.count(Phase.ROLLED_BACK) < 400 * RISK


@pytest.mark.parametrize("limits", [RolloutLimits(), RolloutLimits(steps=(5, 25, 50))])
def test_a_canary_that_fails_is_not_promoted(limits):
    assert phases(200, limits, canary=0.06, baseline=0.01).count(Phase.PROMOTED) == 0


@pytest.mark.parametrize("others", [600, 1000, 3800])
def test_three_percent_against_none_are_caught_in_200_requests(others):
    assert decide(RAMPING, Sample(200, 6), Sample(others))[1] == (SetWeight(0),)
