import pytest

from marchproxy.engines.envoy.restart import (
    AdminAnswered,
    DrainStarted,
    EnvoyState,
    Exited,
    HandedOver,
    LastExit,
    RestartAfter,
    RestartPolicy,
    Spawned,
    StopRequested,
    Supervision,
    is_crash_looping,
    step,
)
from marchproxy.kit.backoff import Backoff

POLICY = RestartPolicy(backoff=Backoff(initial=1.0, maximum=8.0, jitter=0.0), settle_seconds=30.0)
KILLED = LastExit(signal=9)


def play(*timed: tuple[float, object]) -> tuple[Supervision, list[float]]:
    known, delays = Supervision(), []
    for now, event in timed:
        known, commands = step(known, event, now, POLICY)
        delays += [command.seconds for command in commands]
    return known, delays


def test_start_and_stop():
    known, delays = play(
        (0, Spawned()), (1, AdminAnswered()), (50, StopRequested()), (51, Exited(LastExit(code=0)))
    )
    assert known == Supervision(state=EnvoyState.STOPPED, since=50, last_exit=LastExit(code=0))
    assert delays == []


@pytest.mark.parametrize(
    ("deaths", "delays"),
    [
        ([100], [0]),  # after a long run: back at once
        ([5], [0]),  # the first quick death too
        ([5, 6, 7, 8, 9, 10, 11], [0, 1, 2, 4, 8, 8, 8]),  # quick ones: longer and longer, up to the maximum
        ([5, 6, 7, 100, 101, 102], [0, 1, 2, 0, 0, 1]),  # a run that settled starts the count again
    ],
)
def test_backoff(deaths, delays):
    timed = [(0.0, Spawned()), (0.0, AdminAnswered())]
    for moment in deaths:
        timed += [(moment, Exited(KILLED)), (moment, Spawned()), (moment, AdminAnswered())]
    known, seen = play(*timed)
    assert seen == delays
    assert known.restarts == len(deaths)
    assert known.state is EnvoyState.RUNNING
    assert known.last_exit == KILLED


def test_starts_that_fail_count_as_quick_deaths():
    timed = [(0.0, Spawned())]
    for moment in (1.0, 2.0, 3.0):
        timed += [(moment, Exited(LastExit(code=1))), (moment, Spawned())]
    known, delays = play(*timed)
    assert delays == [0, 1, 2]
    assert known.state is EnvoyState.STARTING


@pytest.mark.parametrize(
    ("state", "event", "after"),
    [
        (EnvoyState.STOPPED, Spawned(), EnvoyState.STARTING),
        (EnvoyState.STOPPED, Spawned(adopted=True), EnvoyState.RUNNING),
        (EnvoyState.STOPPED, AdminAnswered(), EnvoyState.STOPPED),
        (EnvoyState.STOPPED, DrainStarted(), EnvoyState.STOPPED),
        (EnvoyState.STARTING, AdminAnswered(), EnvoyState.RUNNING),
        (EnvoyState.STARTING, Exited(KILLED), EnvoyState.BACKOFF),
        (EnvoyState.RUNNING, DrainStarted(), EnvoyState.DRAINING),
        (EnvoyState.RUNNING, AdminAnswered(), EnvoyState.RUNNING),
        (EnvoyState.DRAINING, AdminAnswered(), EnvoyState.DRAINING),
        (EnvoyState.DRAINING, Exited(KILLED), EnvoyState.STOPPED),  # it was to go anyway
        (EnvoyState.BACKOFF, Spawned(), EnvoyState.STARTING),
        (
            EnvoyState.BACKOFF,
            DrainStarted(),
            EnvoyState.STOPPED,
        ),  # nothing to drain, and nothing to start again
        (EnvoyState.BACKOFF, StopRequested(), EnvoyState.STOPPED),
        (EnvoyState.RUNNING, HandedOver(), EnvoyState.RUNNING),
        (
            EnvoyState.BACKOFF,
            HandedOver(),
            EnvoyState.RUNNING,
        ),  # the old one died while its successor came up
        (EnvoyState.DRAINING, HandedOver(), EnvoyState.DRAINING),
    ],
)
def test_transitions(state, event, after):
    known, commands = step(Supervision(state=state), event, 7.0, POLICY)
    assert known.state is after
    assert known.since == (7.0 if after is not state else 0.0)
    assert commands == ((RestartAfter(0.0),) if after is EnvoyState.BACKOFF else ())


def test_a_hand_over_is_no_restart():
    known, delays = play((0, Spawned()), (1, AdminAnswered()), (50, HandedOver()), (60, HandedOver()))
    assert (known.restarts, known.hand_overs, known.started_at, delays) == (0, 2, 60, [])
    known, _ = step(known, Exited(KILLED), 61, POLICY)
    assert known.quick_deaths == 1  # soon after it took over


@pytest.mark.parametrize(
    ("deaths", "now", "looping"),
    [
        ([1, 2], 3, False),
        ([1, 2, 3], 4, True),
        ([1, 2, 3], 32, True),
        ([1, 2, 3], 33, False),  # it has run for long enough
        ([1, 2, 3, 60], 61, False),
        ([1, 2, 3, 60, 61, 62], 63, False),  # the one at 60 was no quick death
        ([1, 2, 3, 60, 61, 62, 63], 64, True),
    ],
)
def test_when_it_is_a_crash_loop(deaths, now, looping):
    timed = [(0.0, Spawned()), (0.0, AdminAnswered())]
    for moment in deaths:
        timed += [(moment, Exited(KILLED)), (moment, Spawned()), (moment, AdminAnswered())]
    known, _ = play(*timed)
    assert is_crash_looping(known, now, POLICY) is looping
    stopped, _ = step(known, StopRequested(), now, POLICY)
    assert not is_crash_looping(stopped, now, POLICY)


@pytest.mark.parametrize(
    ("exit_", "text"),
    [(LastExit(code=1), "exit code 1"), (LastExit(signal=9), "signal 9"), (LastExit(), "unknown")],
)
def test_exits_read_well(exit_, text):
    assert str(exit_) == text
