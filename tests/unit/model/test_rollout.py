from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.rollout import Phase, Rollout, RolloutLimits, Sample, SetWeight, step

LIMITS = RolloutLimits(step_percent=20, min_requests=20, max_p99_latency_ms=100.0)
RAMPING = Rollout("v2", 10)
GOOD = Sample(1000, 0, 50.0)


@pytest.mark.parametrize(
    ("canary", "baseline", "commands", "reason"),
    [
        (
            Sample(19, 19),
            GOOD,
            (),
            "held at 10 %: 19 of 20 requests seen",
        ),  # too little evidence, even of faults
        (Sample(0, 0), GOOD, (), "held at 10 %: 0 of 20"),
        (Sample(20, 0), GOOD, (SetWeight(30),), "20 requests, 0.00 % errors: 30 %"),
        (Sample(1000, 10), GOOD, (SetWeight(30),), "1.00 % errors"),  # at the limit is within it
        (
            Sample(1000, 11),
            GOOD,
            (SetWeight(0),),
            "rolled back: 1.10 % errors against 0.00 % of the baseline",
        ),
        (Sample(1000, 50), Sample(1000, 45), (SetWeight(30),), "5.00 % errors"),
        (
            Sample(1000, 51),
            Sample(1000, 51),
            (SetWeight(0),),
            "rolled back: 5.10 % errors, the limit is 5.00 %",
        ),
        (Sample(1000, 40), Sample(), (SetWeight(30),), "4.00 % errors"),  # no baseline to compare with
        (Sample(1000, 0, 100.0), GOOD, (SetWeight(30),), "30 %"),
        (
            Sample(1000, 0, 100.1),
            GOOD,
            (SetWeight(0),),
            "rolled back: p99 is 100.1 ms, the limit is 100.0 ms",
        ),
    ],
)
def test_step_while_ramping(canary, baseline, commands, reason):
    after, done = step(RAMPING, canary, baseline, LIMITS)
    assert done == commands
    assert reason in after.reason
    match commands:
        case ():
            assert (after.phase, after.percent) == (Phase.RAMPING, 10)
        case (SetWeight(0),):
            assert (after.phase, after.percent) == (Phase.ROLLED_BACK, 0)
        case (SetWeight(percent),):
            assert (after.phase, after.percent) == (Phase.RAMPING, percent)


@pytest.mark.parametrize(
    ("limits", "canary"),
    [
        (replace(LIMITS, max_error_percent=0.0, max_error_increase_percent=0.0), Sample(1000, 1000)),
        (replace(LIMITS, max_p99_latency_ms=0.0), Sample(1000, 0, 1e9)),
    ],
)
def test_a_limit_of_0_is_not_checked(limits, canary):
    assert step(RAMPING, canary, GOOD, limits)[1] == (SetWeight(30),)


@pytest.mark.parametrize(
    ("percent", "steps"), [(0, [20, 40, 60, 80, 100]), (90, [100]), (70, [90, 100]), (100, [100])]
)
def test_a_good_canary_is_promoted_and_then_left_alone(percent, steps):
    rollout, seen = Rollout("v2", percent), []
    while rollout.phase is Phase.RAMPING:
        rollout, commands = step(rollout, GOOD, GOOD, LIMITS)
        seen += [command.percent for command in commands]
    assert seen == steps
    assert rollout.phase is Phase.PROMOTED


@pytest.mark.parametrize("phase", [Phase.PROMOTED, Phase.ROLLED_BACK])
@pytest.mark.parametrize("canary", [GOOD, Sample(1000, 1000)])
def test_final_phases_stay(phase, canary):
    rollout = Rollout("v2", 100, phase=phase, reason="because")
    assert step(rollout, canary, GOOD, LIMITS) == (rollout, ())


SAMPLES = st.integers(0, 100).flatmap(
    lambda n: st.builds(Sample, st.just(n), st.integers(0, n), st.floats(0, 200))
)


@given(windows=st.lists(st.tuples(SAMPLES, SAMPLES), max_size=12), start=st.integers(0, 100))
def test_whatever_is_seen_the_weight_is_what_the_rollout_says(windows, start):
    rollout, weight = Rollout("v2", start), start
    for canary, baseline in windows:
        before = rollout
        rollout, commands = step(rollout, canary, baseline, LIMITS)
        for command in commands:
            weight = command.percent
        assert rollout.percent == weight
        assert 0 <= weight <= 100
        assert weight >= before.percent or rollout.phase is Phase.ROLLED_BACK
        assert rollout.reason or before is rollout
