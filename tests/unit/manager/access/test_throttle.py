import pytest

from marchproxy.manager.access.throttle import NAME, PAIR, Throttle, network_of


def tried(throttle: Throttle, times: int, *, name="ann", address="192.0.2.1", now=0.0) -> list[float]:
    return [throttle.attempt(name, address, now) for _ in range(times)]


def test_some_attempts_are_free_and_each_further_one_waits_twice_as_long():
    throttle, now, waits = Throttle(), 0.0, []
    assert tried(throttle, PAIR.free) == [0.0] * PAIR.free
    for _ in range(12):
        waits.append(throttle.attempt("ann", "192.0.2.1", now))
        now += waits[-1]
        assert throttle.attempt("ann", "192.0.2.1", now) == 0.0
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 900.0, 900.0]


def test_an_attempt_that_must_wait_is_not_charged():
    throttle = Throttle()
    tried(throttle, PAIR.free)
    assert tried(throttle, 50) == [1.0] * 50
    assert throttle.attempt("ann", "192.0.2.1", 1.0) == 0.0


def test_many_at_once_are_no_way_around_it():
    assert sum(wait == 0.0 for wait in tried(Throttle(), 100)) == PAIR.free


def test_a_success_pays_back_what_was_charged():
    throttle = Throttle()
    tried(throttle, PAIR.free)
    throttle.succeeded("ann", "192.0.2.1")
    assert tried(throttle, PAIR.free) == [0.0] * PAIR.free


def test_what_nobody_could_look_at_is_paid_back():
    throttle = Throttle()
    for _ in range(50):
        assert tried(throttle, 1) == [0.0]
        throttle.pay_back("ann", "192.0.2.1")
    tried(throttle, PAIR.free - 1)
    throttle.pay_back("ann", "192.0.2.1")
    assert tried(throttle, 2) == [0.0, 0.0]
    assert tried(throttle, 1) == [1.0]


def test_a_success_of_ones_own_does_not_clear_the_address():
    """Else who has a password of his own could go on guessing those of others."""
    throttle, now = Throttle(), 0.0
    for number in range(20):
        assert throttle.attempt(f"victim-{number}", "192.0.2.1", now) == 0.0
    assert throttle.attempt("victim-20", "192.0.2.1", now) > 0
    throttle.succeeded("mallory", "192.0.2.1")
    assert throttle.attempt("victim-20", "192.0.2.1", now) == 0.0  # one is paid back, and used again
    assert throttle.attempt("victim-21", "192.0.2.1", now) > 0


def test_nobody_is_locked_out_by_attempts_from_elsewhere():
    throttle = Throttle()
    for number in range(NAME.free * 3):
        throttle.attempt("ann", f"192.0.2.{number}", 0.0)
    assert 0 < throttle.attempt("ann", "198.51.100.1", 0.0) <= NAME.longest


def test_failures_are_forgotten_after_an_hour():
    throttle = Throttle()
    tried(throttle, PAIR.free)
    assert tried(throttle, PAIR.free, now=3601.0) == [0.0] * PAIR.free


def test_it_keeps_no_more_than_so_many():
    throttle = Throttle(most=100)
    for number in range(1000):
        throttle.attempt(f"name-{number}", f"10.0.{number // 250}.{number % 250}", float(number))
    assert len(throttle) == 100


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("somebody", "somebody"),
    ],
)
def test_what_counts_as_one_address(address, network):
    assert network_of(address) == network
