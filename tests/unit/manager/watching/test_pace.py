"""How often something may be done."""

import pytest

from marchproxy.manager.watching.pace import Pace


def test_what_costs_nothing_is_done_as_often_as_it_may() -> None:
    assert Pace(2.0, 0.02).pause(100) == 2.0


def test_many_that_cost_much_are_asked_less_often() -> None:
    pace = Pace(2.0, 0.02)
    for _ in range(100):
        pace.took(0.002)
    assert pace.pause(10) == 2.0
    assert pace.pause(100) == pytest.approx(10.0)


def test_one_that_took_long_is_soon_forgotten() -> None:
    pace = Pace(2.0, 0.02)
    pace.took(1.0)
    for _ in range(50):
        pace.took(0.0001)
    assert pace.pause(100) == 2.0
