"""How important a request is."""

import pytest

from marchproxy.modules.ailb.queueing import USUAL, priority_of


@pytest.mark.parametrize(
    ("asked", "own", "expected"),
    [
        ("", 5, 5),
        ("", 0, 0),
        ("", None, USUAL),
        ("0", 5, 5),  # its key's is the best that it may ask for
        ("7", 5, 7),
        (" 7 ", 0, 7),
        ("3", None, 3),
        ("0", None, 0),
        ("10", 2, 2),  # nothing that is known
        ("-1", 2, 2),
        ("high", 2, 2),
        ("٣", 2, 2),
        ("", 99, 9),
    ],
)
def test_a_request_may_be_less_important_than_its_key_and_never_more(asked, own, expected):
    assert priority_of(asked, own) == expected
