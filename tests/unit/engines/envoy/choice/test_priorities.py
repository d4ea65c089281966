"""Which share each priority takes: the table of Envoy's own documentation."""

import pytest

from marchproxy.engines.envoy.choice.priorities import level_of, levels


@pytest.mark.parametrize(
    ("counts", "loads", "panics"),
    [
        ([(100, 100), (100, 100)], [100, 0], [False, False]),
        ([(72, 100), (72, 100)], [100, 0], [False, False]),
        ([(71, 100), (71, 100)], [99, 1], [False, False]),
        ([(50, 100), (60, 100)], [70, 30], [False, False]),
        ([(25, 100), (100, 100)], [35, 65], [False, False]),
        ([(0, 100), (100, 100)], [0, 100], [False, False]),
        ([(25, 100), (25, 100)], [50, 50], [False, False]),
        ([(5, 100), (0, 100), (65, 100)], [8, 0, 92], [False, True, False]),
        ([(0, 1)], [100], [True]),
        ([(0, 3), (0, 1)], [75, 25], [True, True]),
        ([(1, 200)], [100], [True]),  # less than a percent
        ([(1, 2)], [100], [False]),
    ],
)
def test_loads(counts, loads, panics) -> None:
    found = levels(counts)
    assert [level.load for level in found] == loads
    assert [level.panic for level in found] == panics


def test_a_hash_falls_into_a_level_by_its_last_two_digits() -> None:
    found = levels([(25, 100), (100, 100)])
    assert [level_of(found, value) for value in (0, 34, 35, 99, 134, 135)] == [0, 0, 1, 1, 0, 1]
