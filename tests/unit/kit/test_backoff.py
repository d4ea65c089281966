import pytest

from marchproxy.kit.backoff import Backoff


@pytest.mark.parametrize(
    ("attempt", "roll", "seconds"),
    [
        (0, 0.5, 0.1),
        (1, 0.5, 0.2),
        (3, 0.5, 0.8),
        (0, 0.0, 0.08),
        (0, 1.0, 0.12),
        (10, 0.5, 10.0),
        (10, 1.0, 10.0),
        (10, 0.0, 8.0),
        (10**6, 0.5, 10.0),
    ],
)
def test_delay(attempt, roll, seconds):
    assert Backoff().delay(attempt, roll) == pytest.approx(seconds)


def test_no_jitter_means_no_dice():
    assert Backoff(jitter=0).delay(2, 0.0) == Backoff(jitter=0).delay(2, 0.99)
