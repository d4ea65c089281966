import pytest

from marchproxy.model.network import is_among, networks_meet, read_network


@pytest.mark.parametrize(
    ("networks", "client", "expected"),
    [
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("192.0.2.0/24", "10.0.0.0/8"), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.9.9.9/8",), "10.1.2.3", True),  # bits beyond the prefix
        (("192.0.2.7",), "192.0.2.7", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("::/0",), "10.1.2.3", False),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("10.0.0.0/8",), "", False),
        (("10.0.0.0/8",), "somebody", False),
        (("nonsense",), "10.1.2.3", False),
        ((), "10.1.2.3", False),
    ],
)
def test_who_is_in_a_network(networks, client, expected):
    assert is_among(networks, client) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((), (), True),
        (("10.0.0.0/8",), (), True),
        (("10.0.0.0/8",), ("10.1.0.0/16",), True),
        (("10.0.0.0/8",), ("11.0.0.0/8", "192.0.2.1"), False),
        (("10.0.0.0/8",), ("::/0",), False),
        (("::/0",), ("2001:db8::1",), True),
        (("nonsense",), ("10.0.0.0/8",), True),
    ],
)
def test_which_meet(first, second, expected):
    assert networks_meet(first, second) is expected
    assert networks_meet(second, first) is expected


def test_what_is_no_network():
    assert read_network("10.0.0.0/33") is None
