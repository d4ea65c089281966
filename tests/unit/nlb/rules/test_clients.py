"""Who may connect, and what counts them."""

import pytest

from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.nlb.rules.clients import counting, covers, turned_away

WEB = Listener("web", "0.0.0.0", 80, allow=("10.0.0.0/8", "2001:db8::/32"), deny=("10.9.0.0/16",))


@pytest.mark.parametrize(
    ("networks", "source", "covered"),
    [
        ((), "10.0.0.1", True),
        ((), "", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.0/8",), "2001:db8::1", False),
        (("::/0", "10.0.0.0/8"), "10.1.2.3", True),
        (("10.0.0.0/8",), "", False),
        (("10.0.0.0/8",), "client.example", False),
    ],
)
def test_covers(networks, source, covered):
    assert covers(networks, source) is covered


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("10.1.2.3", ""),
        ("2001:db8::7", ""),
        ("", ""),  # not known
        ("somebody", ""),
        ("10.9.1.1", 'listener "web" denies 10.9.1.1: it is in 10.9.0.0/16'),
        ("192.0.2.1", 'listener "web" does not allow 192.0.2.1; allowed: 10.0.0.0/8, 2001:db8::/32'),
    ],
)
def test_turned_away(source, reason):
    assert turned_away(WEB, source) == reason


LIMITS = [
    RateLimit(LimitId(target), target, per_second=1)
    for target in (
        "*", "shop", "listener:web", "listener:other", "module:alb", "module:dblb", "source:10.0.0.0/8",
        "client:192.0.2.0/24",
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "counted"),
    [
        ("10.1.2.3", ["listener:web", "module:alb", "source:10.0.0.0/8"]),
        ("192.0.2.9", ["listener:web", "module:alb", "client:192.0.2.0/24"]),
        ("", ["listener:web", "module:alb", "source:10.0.0.0/8", "client:192.0.2.0/24"]),
    ],
)
def test_counting(source, counted):
    assert [limit.limit_id for limit in counting(LIMITS, WEB, source)] == counted
