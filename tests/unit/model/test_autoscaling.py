from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.autoscaling import Advice, Decision, Kind, Observation, ScalingState, step
from marchproxy.model.module import ModuleType
from marchproxy.model.scaling import ScalingConfig, ScalingLimits

CONFIG = ScalingConfig(ModuleType.ALB, ScalingLimits(1, 10), connections=10, cooldown=60.0)
SETTLED = ScalingState(recent=(Advice(0.0, 1),))
NOW = 1000.0


def loaded(*connections, **more):
    return [Observation(connections=value, **more) for value in connections]


def decide(seen, config=CONFIG, state=SETTLED, now=NOW) -> Decision:
    return step(state, seen, config, now)[1]


@pytest.mark.parametrize(
    ("seen", "config", "expected", "words"),
    [
        ([], CONFIG, (Kind.HOLD, 0), "no instance"),
        (loaded(100.0), replace(CONFIG, enabled=False), (Kind.HOLD, 1), "not enabled"),
        (loaded(100.0), replace(CONFIG, connections=0), (Kind.HOLD, 1), "no target"),
        (loaded(25.0), CONFIG, (Kind.UP, 3), "connections 25.0 of 10"),
        (loaded(11.0), CONFIG, (Kind.HOLD, 1), "within 90% to 110%"),
        (loaded(11.1), CONFIG, (Kind.UP, 2), "11.1 of 10"),
        (loaded(9.0, 9.0), CONFIG, (Kind.HOLD, 2), "within"),
        (loaded(5.0, 5.0), CONFIG, (Kind.DOWN, 1), "5.0 of 10"),
        (loaded(0.0, 0.0, 0.0), CONFIG, (Kind.DOWN, 1), "0.0 of 10"),
        (loaded(500.0), CONFIG, (Kind.UP, 10), "limits are 1 to 10"),
        (loaded(10.0), replace(CONFIG, limits=ScalingLimits(3, 4)), (Kind.UP, 3), "limits are 3 to 4"),
        (
            loaded(*[10.0] * 5),
            replace(CONFIG, limits=ScalingLimits(1, 4)),
            (Kind.DOWN, 4),
            "limits are 1 to 4",
        ),
        # the largest of several metrics counts
        (
            loaded(5.0, 5.0, cpu_percent=90.0),
            replace(CONFIG, cpu_percent=50),
            (Kind.UP, 4),
            "cpu % 90.0 of 50",
        ),
        (loaded(10.0, latency_ms=80.0), replace(CONFIG, latency_ms=20.0), (Kind.UP, 4), "latency ms 80.0"),
        (
            loaded(1.0, memory_mb=150.0),
            replace(CONFIG, memory_percent=50, memory_limit_mb=200),
            (Kind.UP, 2),
            "memory MiB 150.0 of 100",
        ),
        # thresholds
        (loaded(14.0), replace(CONFIG, up_threshold=150), (Kind.HOLD, 1), "to 150%"),
        (loaded(16.0), replace(CONFIG, up_threshold=150), (Kind.UP, 2), "16.0 of 10"),
        (loaded(4.0, 4.0), replace(CONFIG, down_threshold=30), (Kind.HOLD, 2), "within 30%"),
        (loaded(2.0, 2.0), replace(CONFIG, down_threshold=30), (Kind.DOWN, 1), "2.0 of 10"),
        (loaded(8.5), replace(CONFIG, up_threshold=80, down_threshold=30), (Kind.UP, 2), "8.5 of 10"),
        # errors
        (loaded(10.0, error_percent=6.0), replace(CONFIG, max_error_percent=5), (Kind.UP, 2), "errors 6.0 %"),
        (loaded(10.0, error_percent=5.0), replace(CONFIG, max_error_percent=5), (Kind.HOLD, 1), "within"),
        # missing: idle when more are wanted, and never fewer
        ([*loaded(18.0), Observation()], CONFIG, (Kind.HOLD, 2), "counted as idle"),
        ([*loaded(50.0), Observation()], CONFIG, (Kind.UP, 5), "counted as idle"),
        ([*loaded(1.0, 1.0), Observation()], CONFIG, (Kind.HOLD, 3), "connections of 1 is missing"),
        ([Observation(), Observation()], CONFIG, (Kind.HOLD, 2), "not known"),
        (
            loaded(1.0, 1.0),
            replace(CONFIG, cpu_percent=50),
            (Kind.HOLD, 2),
            "cpu % is not known",
        ),
        # not ready: idle when more are wanted, left out when fewer are
        ([*loaded(18.0), *loaded(0.0, ready=False)], CONFIG, (Kind.HOLD, 2), "counted as idle"),
        ([*loaded(8.0, 8.0), *loaded(0.0, ready=False)], CONFIG, (Kind.DOWN, 2), "on 2 ready"),
    ],
)
def test_one_step(seen, config, expected, words):
    decision = decide(seen, config)
    assert (decision.kind, decision.to) == expected
    assert words in decision.reason
    assert decision.from_ == len(seen)


def test_fewer_only_after_the_window_more_at_once():
    state, seen = ScalingState(), loaded(20.0, 20.0)
    state, up = step(state, seen, CONFIG, 0.0)
    assert (up.kind, up.to) == (Kind.UP, 4)
    kinds = []
    for now in range(30, 331, 30):
        state, decision = step(state, loaded(1.0, 1.0, 1.0, 1.0), CONFIG, float(now))
        kinds.append(decision.kind)
    assert kinds[:9] == [Kind.HOLD] * 9  # until 270 s
    assert kinds[9] is Kind.DOWN  # at 300 s the advice of the peak is over


def test_without_a_past_what_runs_is_kept_for_a_window():
    assert decide(loaded(1.0, 1.0), state=ScalingState()).kind is Kind.HOLD


def test_cooldown_holds_both_ways_and_says_how_long():
    state, first = step(SETTLED, loaded(20.0), CONFIG, NOW)
    assert first.kind is Kind.UP
    held = decide(loaded(50.0, 50.0), state=state, now=NOW + 50)
    assert (held.kind, "cooldown for 10 s more" in held.reason) == (Kind.HOLD, True)
    assert decide(loaded(50.0, 50.0), state=state, now=NOW + 60).kind is Kind.UP


observations = st.lists(
    st.builds(
        Observation,
        ready=st.booleans(),
        cpu_percent=st.none() | st.floats(0, 1e6),
        connections=st.none() | st.floats(0, 1e6),
        error_percent=st.none() | st.floats(0, 100),
    ),
    min_size=1,
    max_size=12,
)
configs = st.builds(
    lambda low, more, up, down: replace(
        CONFIG,
        limits=ScalingLimits(low, low + more),
        cpu_percent=50,
        max_error_percent=5,
        up_threshold=up,
        down_threshold=down,
        cooldown=0.0,
    ),
    st.integers(1, 6),
    st.integers(0, 8),
    st.sampled_from([0, 100, 150, 80]),
    st.sampled_from([30, 50, 75]),
)


@given(observations, configs)
def test_every_change_ends_within_the_limits_and_fewer_need_every_report(seen, config):
    decision = decide(seen, config)
    if decision.kind is Kind.HOLD:
        assert decision.to == len(seen)
    else:
        assert config.limits.clamp(decision.to) == decision.to
    if any(one.cpu_percent is None or one.connections is None for one in seen):
        assert decision.kind is not Kind.DOWN


@given(st.integers(1, 40), st.floats(0, 2000), configs)
def test_constant_load_converges_and_then_rests(start, total, config):
    """No flapping: under the same load the number moves one way only, and soon not at all."""
    config = replace(config, cpu_percent=0, max_error_percent=0)
    count, state, moves = start, SETTLED, []
    for round_ in range(12):
        state, decision = step(
            state, loaded(*[total / count] * count), config, NOW + 30 * round_, window=30.0
        )
        if decision.kind is not Kind.HOLD:
            moves.append(decision.kind)
        count = decision.to
    inside = moves[1:]  # the first may be forced by the limits
    assert len(set(inside)) <= 1
    assert decision.kind is Kind.HOLD


@given(st.lists(st.floats(9.0, 11.0), min_size=1, max_size=10))
def test_within_tolerance_nothing_moves(values):
    assert decide(loaded(*values)).kind is Kind.HOLD


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=200))
def test_memory_is_bounded_by_the_window(values):
    state = ScalingState()
    for number, value in enumerate(values):
        state, _ = step(state, loaded(value), CONFIG, 30.0 * number)
    assert len(state.recent) <= 10
