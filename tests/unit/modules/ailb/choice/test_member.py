"""What is known of an endpoint: what its engine said, and what was sent there since."""

import pytest

from marchproxy.model.pool import Endpoint
from marchproxy.modules.ailb.choice.member import Member
from marchproxy.modules.ailb.load import EngineLoad


def member():
    return Member(Endpoint("10.0.0.1:80"))


def hears(one, waiting, running, kv=0.1, tokens=0, now=1.0):
    one.asked()
    one.heard(EngineLoad(waiting, running, kv, tokens), now)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("[::1]:80", "[::1]:80"),
        ("api.openai.com:443", ""),
        ("localhost:80", ""),
    ],
)
def test_envoy_is_told_of_addresses_and_finds_names_by_itself(address, host):
    assert Member(Endpoint(address)).host == host


def test_what_was_sent_since_the_engine_was_asked_is_added():
    one = member()
    one.in_flight = 3
    assert one.demand == 3
    one.asked()
    one.in_flight = 5  # while the answer was on its way
    one.heard(EngineLoad(1, 10, 0.2), 1.0)
    assert one.demand == 13
    one.in_flight = 0
    assert one.demand == 8  # three of the eleven were ours
    one.base = -3.0
    assert one.demand == 0


@pytest.mark.parametrize(
    ("heard", "sent", "waiting"),
    [
        ([(0, 0)], 32, 0),  # of a new engine nobody knows how much it takes
        ([(0, 0)], 40, 8),
        ([(0, 100)], 90, 0),  # it has taken much, so it is given as much again
        ([(3, 10)], 5, 0),  # it may just not have begun these three
        ([(3, 10), (3, 14)], 5, 0),  # it begins more of them
        ([(3, 10), (3, 10)], 0, 3),  # it does not: ten is what it takes
        ([(3, 10), (3, 10)], 5, 8),
        ([(3, 10), (3, 10), (0, 6)], 4, 0),  # it took ten when it was full
        ([(3, 10), (3, 10), (0, 6)], 6, 2),
        ([(3, 10), (3, 10), (0, 12)], 1, 1),  # it takes more than was thought
    ],
)
def test_who_must_wait_is_told_by_what_an_engine_took_before(heard, sent, waiting):
    one = member()
    for each in heard:
        hears(one, *each)
    one.in_flight += sent
    assert one.waiting == waiting


def test_of_a_silent_engine_only_our_own_is_known():
    one = member()
    one.in_flight = 2
    hears(one, 50, 50, 0.2)
    assert one.waiting >= 0
    assert one.knows
    one.silent()
    assert not one.knows
    assert (one.demand, one.waiting, one.kv_usage) == (2, 0, 1.0)


@pytest.mark.parametrize(("tokens", "kept"), [(0, 31_250), (1600, 100), (10**9, 125_000)])
def test_an_engine_says_how_much_it_keeps(tokens, kept):
    one = member()
    hears(one, 0, 0, tokens=tokens)
    for start in range(0, 3 * kept, 200):
        one.seen.add(range(start, start + 200))
    assert kept // 2 < len(one.seen) <= 2 * kept
