"""Lag: between what the primary had written when, and what a replica believes."""

import pytest

from marchproxy.modules.dblb.postgres.routing.lag import History


def history(*looks: tuple[float, int], timeline: int = 1) -> History:
    seen = History()
    for time, position in looks:
        seen = seen.seen(timeline, time, position)
    return seen


WRITING = history((0.0, 100), (1.0, 200), (2.0, 300))
IDLE = history((0.0, 100), (1.0, 200), (2.0, 200), (9.0, 200))


@pytest.mark.parametrize(
    ("seen", "position", "asked", "own", "lag"),
    [
        (WRITING, 300, 2.5, 0.1, 0.1),  # it has all: what it believes itself
        (WRITING, 300, 2.5, 7.0, 0.5),  # its clock is wrong: it had all half a second ago
        (WRITING, 250, 2.5, 0.0, 0.5),  # nothing arrives any more, and it believes to be in time
        (WRITING, 100, 12.0, 0.0, 11.0),
        (WRITING, 50, 2.0, 0.0, 2.0),  # older than all that is known
        (WRITING, 50, 2.0, None, None),
        (WRITING, 200, 2.0, None, 1.0),
        (
            IDLE,
            200,
            9.5,
            60.0,
            0.5,
        ),  # the primary writes nothing: the age of the last transaction says nothing
        (IDLE, 150, 20.0, 0.0, 19.0),  # it lacks what has been there since second 1
        (History(), 10, 5.0, 3.0, 3.0),
        (History(), 10, 5.0, None, None),
    ],
)
def test_the_lag_of_a_replica(seen, position, asked, own, lag):
    assert seen.lag(position, asked, own) == lag


def test_another_timeline_begins_anew():
    assert WRITING.seen(2, 3.0, 250) == history((3.0, 250), timeline=2)


def test_many_looks_are_thinned_out_and_still_bound_the_lag():
    many = history(*((float(second), second * 10) for second in range(10_000)))
    assert len(many.marks) <= 128
    assert many.marks[-1].last == 9999.0
    lag = many.lag(99_500, 9999.0, None)
    assert lag is not None
    assert 49.0 <= lag <= 60.0
