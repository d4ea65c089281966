"""The switch of writes, as a dialogue of events and commands."""

import pytest

from marchproxy.modules.dblb.switching.steps import (
    BehindSeen,
    BusySeen,
    Carried,
    Command,
    Event,
    Failed,
    Marked,
    Refuse,
    Stage,
    Switch,
    begin,
    step,
)

TO_THE_FLIP: list[tuple[float, Event, Command]] = [
    (0, Carried(), Command.PAUSE),
    (0, Carried(), Command.COUNT),
    (1, BusySeen(3), Command.COUNT),
    (2, BusySeen(0), Command.MARK),
    (2, Marked("0/7"), Command.COMPARE),
    (3, BehindSeen("0/6"), Command.COMPARE),
    (9, BehindSeen(""), Command.HOLD),
    (9, Carried(), Command.APPLY),
    (9, Carried(), Command.RESUME),
]


def play(events: list[tuple[float, Event, Command]]) -> Switch:
    switch, commands = begin(100.0, 10.0)
    assert commands == (Command.ASK,)
    for seconds, event, command in events:
        switch, commands = step(switch, event, 100.0 + seconds)
        assert commands == (command,)
    return switch


def test_writes_move_when_all_is_there():
    assert play(TO_THE_FLIP).stage is Stage.DONE
    assert play(TO_THE_FLIP[:5]).mark == "0/7"


@pytest.mark.parametrize("steps", range(len(TO_THE_FLIP)))
def test_what_fails_ends_with_the_old_pool_going_on(steps: int):
    switch, commands = step(play(TO_THE_FLIP[:steps]), Failed("why"), 100.0)
    assert switch.stage is Stage.ABORTED
    assert commands == ((Command.RESUME,) if steps else ()) + (Refuse("why"),)


@pytest.mark.parametrize(
    ("steps", "seconds", "event", "words"),
    [
        (2, 5.1, BusySeen(7), "after 5 s 7 server connections were still in use"),
        (5, 10.1, BehindSeen("at 0/6"), "within 10 s the new pool did not get there: at 0/6"),
        (1, 10.1, Carried(), "it took longer than 10 s until all workers pause"),
        (7, 10.1, Carried(), "it took longer than 10 s until all workers stay paused"),
    ],
)
def test_what_takes_too_long_ends_with_the_old_pool_going_on(
    steps: int, seconds: float, event: Event, words: str
):
    switch, (resume, refuse) = step(play(TO_THE_FLIP[:steps]), event, 100.0 + seconds)
    assert (switch.stage, resume) == (Stage.ABORTED, Command.RESUME)
    assert isinstance(refuse, Refuse)
    assert refuse.reason.startswith(words)


def test_once_all_stay_paused_it_is_never_too_late():
    switch, commands = step(play(TO_THE_FLIP[:8]), Carried(), 1000.0)
    assert (switch.stage, commands) == (Stage.DONE, (Command.RESUME,))


def test_an_answer_to_nothing_is_a_mistake():
    with pytest.raises(ValueError, match="no answer while waiting for"):
        step(begin(0, 1)[0], BusySeen(0), 0)
