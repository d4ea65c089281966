import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import BackendRef
from marchproxy.model.weights import shift_to_version, split, version_shares

VERSIONS = {"a": "v1", "b": "v2", "c": "v1", "d": "v2"}


def refs(**weights):
    return tuple(BackendRef(pool, weight) for pool, weight in weights.items())


@pytest.mark.parametrize(
    ("before", "percent", "after"),
    [
        (refs(a=100, b=0), 5, refs(a=95, b=5)),
        (refs(a=100, b=0), 0, refs(a=100, b=0)),
        (refs(a=100, b=0), 100, refs(a=0, b=100)),
        (refs(b=50, a=50), 10, refs(b=10, a=90)),  # the order stays
        (refs(a=60, b=10, c=30), 40, refs(a=40, b=40, c=20)),  # the others in their proportion
        (refs(a=80, b=15, d=5), 40, refs(a=60, b=30, d=10)),
        (
            refs(a=100, b=0, d=0),
            7,
            refs(a=93, b=4, d=3),
        ),  # no proportion yet: equal, the first gets the odd one
        (refs(a=50, c=50, b=0), 5, refs(a=48, c=47, b=5)),
        (refs(a=0, b=100, c=0), 50, refs(a=25, b=50, c=25)),
        (refs(b=100), 100, refs(b=100)),
        (refs(a=50, unknown=50, b=0), 20, refs(a=40, unknown=40, b=20)),
    ],
)
def test_shift_to_v2(before, percent, after):
    assert shift_to_version(before, VERSIONS, "v2", percent) == after


@pytest.mark.parametrize(
    ("before", "version", "percent", "code", "message"),
    [
        (refs(a=100, b=0), "v2", -1, RefusalCode.INVALID_ARGUMENT, "weight: -1 is not between 0 and 100"),
        (refs(a=100, b=0), "v2", 101, RefusalCode.INVALID_ARGUMENT, "weight: 101 is not between 0 and 100"),
        (refs(a=100, b=0), "v3", 5, RefusalCode.NOT_FOUND, 'no backend has version "v3"; known: v1, v2'),
        ((), "v1", 5, RefusalCode.NOT_FOUND, "known: none"),
        (refs(a=50, c=50), "v1", 99, RefusalCode.INVALID_ARGUMENT, "nothing can take the other 1 %"),
    ],
)
def test_refused_shifts(before, version, percent, code, message):
    with pytest.raises(Refused) as caught:
        shift_to_version(before, VERSIONS, version, percent)
    assert caught.value.code is code
    assert message in caught.value.message


BACKENDS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 100), min_size=1)


@given(weights=BACKENDS, percent=st.integers(0, 100))
def test_a_shift_keeps_the_sum_and_hits_the_target(weights, percent):
    before = refs(**{"a": 1, "b": 0, **weights})
    after = shift_to_version(before, VERSIONS, "v2", percent)
    assert sum(backend.weight for backend in after) == 100
    assert version_shares(after, VERSIONS)["v2"] == percent
    assert [backend.pool for backend in after] == [backend.pool for backend in before]
    assert all(0 <= backend.weight <= 100 for backend in after)


@given(weights=BACKENDS, percents=st.lists(st.integers(1, 99), min_size=1, max_size=5))
def test_shifting_to_where_it_is_changes_nothing(weights, percents):
    before = refs(**{"a": 1, "b": 1, **weights})
    for percent in percents:
        once = shift_to_version(before, VERSIONS, "v2", percent)
        assert shift_to_version(once, VERSIONS, "v2", percent) == once
        before = once


@given(total=st.integers(0, 100), proportions=st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_split_is_whole_and_within_one_of_the_proportion(total, proportions):
    parts = split(total, proportions)
    assert sum(parts) == total
    weights = proportions if any(proportions) else [1] * len(proportions)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / sum(weights)) < 1
        assert weight or not part


def test_split_of_nothing():
    assert split(100, []) == []


def test_version_shares_come_in_the_order_of_the_backends():
    shares = version_shares(refs(b=5, a=60, d=15, x=20), VERSIONS)
    assert list(shares.items()) == [("v2", 20), ("v1", 60), ("", 20)]
