"""Bitrates, looked at each second."""

import pytest

from marchproxy.modules.rtmp.policy.ceiling import Ceiling


@pytest.mark.parametrize(
    ("rates", "most", "after"),
    [
        ([5000] * 30, 0, None),
        ([5000] * 30, 5000, None),
        ([5001] * 30, 5000, 10),
        ([5001] * 10, 5000, None),
        ([5001] * 9 + [4000] + [5001] * 10, 5000, None),
        ([4000] * 7 + [9000] * 11, 5000, 17),
    ],
)
def test_too_much_for_too_long(rates: list[float], most: float, after: int | None) -> None:
    ceiling = Ceiling()
    found = [second for second, rate in enumerate(rates) if ceiling.exceeded(second, rate, most)]
    assert (found[0] if found else None) == after
