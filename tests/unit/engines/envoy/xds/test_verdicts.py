import pytest

from marchproxy.engines.envoy.xds.verdicts import Verdicts
from tests.unit.engines.envoy.xds.envoy_model import CLUSTER, ROUTE, checked, of, pool

A, B = pool("a")[0], pool("b")[0]


@pytest.mark.parametrize(
    ("message", "blamed"),
    [
        ("Error adding/updating cluster(s) a: bad value", ("a",)),
        ("a: no; b: neither", ("a", "b")),
        ("Invalid duration", ("a", "b")),  # Envoy did not say
        ("cluster a-1 or sub.a", ("a", "b")),  # other names that contain it
        ("", ("a", "b")),
    ],
)
def test_blame(message, blamed):
    assert Verdicts().reject(CLUSTER, (A, B), message).names == blamed


def test_what_was_accepted_before_is_not_withheld():
    verdicts = Verdicts()
    verdicts.accept([A])
    assert verdicts.reject(CLUSTER, (A, B), "no").names == ("b",)
    assert verdicts.blocked(checked(*pool("a"), *pool("b"))) == {(CLUSTER, "b")}
    assert verdicts.reject(CLUSTER, (A,), "no").names == ("a",)
    assert (CLUSTER, "a") not in verdicts.blocked(checked(*pool("a"), *pool("b")))


def test_those_named_are_withheld_one_by_one():
    verdicts = Verdicts()
    verdicts.reject(CLUSTER, (A, B), "a: no; b: neither")
    assert verdicts.blocked(checked(*pool("a"), *pool("b", version=2))) == {(CLUSTER, "a")}


def test_a_group_is_withheld_until_one_of_it_changes():
    verdicts = Verdicts()
    verdicts.reject(CLUSTER, (A, B), "one of them")
    both = checked(*pool("a"), *pool("b"), *pool("c"))
    assert verdicts.blocked(both) == {(CLUSTER, "a"), (CLUSTER, "b")}
    assert verdicts.rejection_of(both).message == "one of them"
    assert verdicts.blocked(checked(*pool("a"), *pool("b", version=2))) == frozenset()
    assert verdicts.blocked(checked(*pool("a"))) == frozenset()


def test_pardon_lets_a_snapshot_be_tried_again():
    verdicts = Verdicts()
    verdicts.reject(CLUSTER, (A,), "address in use")
    verdicts.reject(CLUSTER, (B,), "other")
    verdicts.pardon(checked(*pool("a")))
    assert verdicts.rejection_of(checked(*pool("a"))) is None
    assert verdicts.rejection_of(checked(*pool("b"))) is not None


def test_memory_is_bounded():
    verdicts = Verdicts()
    for number in range(2000):
        resource = of(ROUTE, f"r{number}", 1)
        verdicts.accept([resource])
        verdicts.reject(CLUSTER, (pool(f"c{number}")[0],), "")
    verdicts.trim(checked(of(ROUTE, "r5", 1)))
    assert verdicts.accepted(ROUTE, "r5") is not None
    assert verdicts.accepted(ROUTE, "r6") is None
    assert verdicts.rejection_of(checked(*pool("c0"))) is None
    assert verdicts.rejection_of(checked(*pool("c1999"))) is not None
