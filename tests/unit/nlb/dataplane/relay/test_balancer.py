from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.module import InstanceId, Protocol, TrafficEndpoint, Version
from marchproxy.model.plan import Target, VersionTargets
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.relay.balancer import Balancer, Rotation

LEAST, TURNS, RANDOM, HASH = (
    BalancePolicy.LEAST_CONNECTIONS,
    BalancePolicy.ROUND_ROBIN,
    BalancePolicy.RANDOM,
    BalancePolicy.SOURCE_HASH,
)


def target(name, weight=100, version="v1"):
    endpoint = TrafficEndpoint("traffic", Protocol.TCP, "192.0.2.1:80")
    return Target(InstanceId(name), Version(version), endpoint, weight)


def versions(*shares):
    """Pairs of a version's weight and its targets; or targets of one version."""
    if shares and isinstance(shares[0], Target):
        shares = ((100, *shares),)
    return [VersionTargets(Version(f"v{n}"), weight, tuple(ts)) for n, (weight, *ts) in enumerate(shares)]


def balancer(policy, *shares, parked=()):
    made = Balancer(Random(1))
    made.update(policy, versions(*shares), parked)
    return made


def take(balancer, count=1, *, source="192.0.2.9", tried=(), now=0.0):
    """Open so many connections; the names of who took them."""
    names = []
    for _ in range(count):
        seat = balancer.pick(source, tried, now)
        if seat is None:
            names.append(None)
            continue
        seat.load(1)
        balancer.reached(seat)
        names.append(seat.target.instance_id)
    return names


def fail(balancer, name, now):
    seat = next(seat for seat in balancer.seats if seat.target.instance_id == name)
    balancer.failed(seat, now)


@pytest.mark.parametrize("policy", [LEAST, TURNS])
@pytest.mark.parametrize(
    ("shares", "count", "taken"),
    [
        ((target("a"), target("b")), 10, {"a": 5, "b": 5}),
        ((target("a", 50), target("b")), 30, {"a": 10, "b": 20}),
        (((75, target("a"), target("b")), (25, target("c"))), 80, {"a": 30, "b": 30, "c": 20}),
        (((99, target("a")), (1, target("b"))), 100, {"a": 99, "b": 1}),
        ((target("a"),), 3, {"a": 3}),
        ((), 3, {None: 3}),
    ],
)
def test_shares_are_exact(policy, shares, count, taken):
    assert Counter(take(balancer(policy, *shares), count)) == taken


def test_random_keeps_to_the_weights_of_the_less_busy():
    found = Counter(take(balancer(RANDOM, target("a", 25), target("b")), 1000))
    assert 150 < found["a"] < 260


def test_turns_come_without_bursts():
    assert "".join(take(balancer(TURNS, target("a", 200), target("b", 100)), 6)) == "abaaba"


def test_a_source_keeps_its_instance_whatever_the_version():
    before, after = (
        balancer(HASH, *shares)
        for shares in (
            ((50, target("a"), target("b")), (50, target("c"))),
            ((25, target("b")), (50, target("c"))),
        )
    )
    for number in range(50):
        source = f"192.0.2.{number}"
        (name,) = take(before, source=source)
        assert take(before, 3, source=source) == [name] * 3
        if name != "a":
            assert take(after, source=source) == [name]


def test_who_failed_is_left_out_for_a_moment_that_grows():
    both = balancer(LEAST, target("a"), target("b"))
    now = 0.0
    for seconds in (0.5, 1.0, 2.0, 4.0, 5.0, 5.0):
        fail(both, "a", now)
        fail(both, "a", now)  # at the same time: counts once
        assert set(take(both, 3, now=now + seconds - 0.01)) == {"b"}
        now += seconds
        assert "a" in take(both, 9, now=now) if seconds == 5.0 else True
        if seconds == 5.0:
            break
    fail(both, "a", now + 1)  # it was reached in between, so the moment is short again
    assert "a" in take(both, 9, now=now + 1.51)


def test_the_last_one_is_never_left_out():
    both = balancer(TURNS, target("a"), target("b"))
    fail(both, "a", 0.0)
    fail(both, "b", 0.0)
    assert {both.pick("", (), 0.1).target.instance_id for _ in range(2)} == {"a", "b"}
    assert take(both, tried=("a", "b")) == [None]
    assert take(both, 2, tried=("a",)) == ["b", "b"]


def test_a_version_without_instances_loses_its_share():
    both = balancer(LEAST, (90, target("a")), (10, target("b")))
    fail(both, "a", 0.0)
    assert take(both, 3, now=0.1) == ["b"] * 3


def test_who_is_parked_gets_nothing_and_is_counted():
    made = balancer(LEAST, target("a"), target("b"))
    take(made, 4)
    made.update(LEAST, versions(target("a")), [target("b", 0)])
    assert take(made, 4) == ["a"] * 4
    assert {s.target.instance_id: s.tally.active for s in made.seats} == {"a": 6, "b": 2}


def test_who_is_gone_is_forgotten_with_its_last_connection():
    made = balancer(LEAST, target("a"), target("b"))
    take(made, 2)
    made.update(LEAST, versions(target("a")), ())
    made.forget_idle()
    (gone,) = [seat for seat in made.seats if seat.target.instance_id == "b"]
    gone.load(-1)
    made.forget_idle()
    assert [seat.target.instance_id for seat in made.seats] == ["a"]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.integers(1, 4))
def test_rotation_gives_each_its_weight_in_every_round(weights, rounds):
    rotation = Rotation()
    pairs = list(enumerate(weights))
    found = Counter(rotation.next(pairs) for _ in range(rounds * sum(weights)))
    assert [found[n] for n in range(len(weights))] == [rounds * weight for weight in weights]
