"""The search for culprits, against judges of every kind."""

from collections.abc import Callable, Iterable
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.engines.envoy.validation import Search, search_among

Judge = Callable[[frozenset[int]], bool]


def found(
    suspects: Iterable[int], is_sound: Judge, *, hint: Iterable[int] = (), known_bad: bool = False
) -> tuple[Search[int], int]:
    """The search at its end, and how many questions it asked."""
    search, asked = search_among(suspects, hint, known_bad=known_bad), 0
    while search.question:
        asked += 1
        sound = is_sound(frozenset((*search.good, *search.question)))
        search = search.answered(sound=sound, likely=hint)
    return search, asked


def without(*bad: int) -> Judge:
    return lambda asked: not asked & set(bad)


def not_together(*group: int) -> Judge:
    return lambda asked: not set(group) <= asked


@pytest.mark.parametrize(
    ("suspects", "judge", "culprits"),
    [
        (range(0), without(), set()),
        (range(1), without(), set()),
        (range(1), without(0), {0}),
        (range(100), without(), set()),
        (range(100), without(37), {37}),
        (range(100), without(0, 99), {0, 99}),
        (range(100), without(*range(40, 60)), set(range(40, 60))),
        (range(9), without(*range(9)), set(range(9))),
        (range(100), not_together(3, 80), {80}),  # either would do; the rest is good without it
        (range(9), not_together(1, 2, 3), {3}),
    ],
)
def test_every_culprit_is_found(suspects: range, judge: Judge, culprits: set[int]) -> None:
    search, _ = found(suspects, judge)
    assert set(search.culprits) == culprits
    assert set(search.good) == set(suspects) - culprits


@pytest.mark.parametrize("bad", [0, 1, 499, 500, 998, 999])
def test_one_of_a_thousand_takes_few_questions(bad: int) -> None:
    search, asked = found(range(1000), without(bad), known_bad=True)
    assert search.culprits == (bad,)
    assert asked <= 2 * ceil(log2(1000))


@pytest.mark.parametrize(
    ("hint", "questions"),
    [
        ([500], 1),  # all others are asked about at once, and then it can only be this one
        ([500, 501, 502, 503], 6),
        ([7], 30),  # a wrong hint costs little
        (range(1000), 20),
    ],
)
def test_a_hint_saves_questions(hint: Iterable[int], questions: int) -> None:
    search, asked = found(range(1000), without(500), hint=hint, known_bad=True)
    assert search.culprits == (500,)
    assert asked <= questions


@given(
    st.integers(2, 40).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.sets(st.integers(0, n - 1)),
            st.lists(st.sets(st.integers(0, n - 1), min_size=2, max_size=4), max_size=3),
            st.sets(st.integers(0, 50)),
        )
    )
)
def test_the_good_are_sound_and_no_culprit_can_be_added(
    case: tuple[int, set[int], list[set[int]], set[int]],
) -> None:
    count, bad, groups, hint = case
    questions: list[frozenset[int]] = []

    def is_sound(asked: frozenset[int]) -> bool:
        questions.append(asked)
        return not asked & bad and not any(group <= asked for group in groups)

    search, asked = found(range(count), is_sound, hint=hint)
    good = frozenset(search.good)
    assert good | set(search.culprits) == set(range(count))
    assert not good & set(search.culprits)
    assert is_sound(good)
    assert not any(is_sound(good | {culprit}) for culprit in search.culprits)
    assert asked <= 2 * max(1, len(search.culprits)) * (ceil(log2(max(2, count))) + 2) + 2


@given(st.integers(1, 30), st.data())
def test_what_was_good_is_never_left_out_of_a_question(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1)))
    search, held = search_among(range(count)), frozenset[int]()
    while search.question:
        asked = frozenset((*search.good, *search.question))
        assert held <= asked
        sound = not asked & bad
        held = asked if sound else held
        search = search.answered(sound=sound)
