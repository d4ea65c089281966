"""In which order endpoints are asked: by scores, by requests, in turn, by what keeps to one."""

from collections import Counter
from random import Random

import pytest

from marchproxy.model.ai import Scores
from marchproxy.model.pool import Endpoint
from marchproxy.modules.ailb.choice.member import Member
from marchproxy.modules.ailb.choice.order import by_affinity, by_pending, by_score, imbalanced, in_turn

SCORES = Scores()
BLOCKS = [11, 12, 13, 14]


def members(*, kv=(), seen=(), weights=(1, 1, 1)):
    made = [Member(Endpoint(f"10.0.0.{at}:80", weight)) for at, weight in enumerate(weights)]
    for one, usage in zip(made, kv or [0.0] * len(made), strict=True):
        one.kv_usage = usage
    for one, blocks in zip(made, seen or [0] * len(made), strict=True):
        one.seen.add(BLOCKS[:blocks])
    return made


def numbers(order):
    return [int(one.address.split(":")[0].rsplit(".", 1)[1]) for one in order]


class NeverExplores(Random):
    """Dice that shuffle as others do, and never say to explore."""

    def random(self):
        return 0.5 + super().random() / 2


@pytest.mark.parametrize(
    ("pending", "kv", "seen", "order"),
    [
        ([3, 2, 1], (), (), [2, 1, 0]),  # the shortest queue
        ([1, 1, 1], (0.9, 0.1, 0.5), (), [1, 2, 0]),  # the emptiest cache
        ([1, 1, 1], (), (1, 4, 2), [1, 2, 0]),  # who has seen most of it
        ([9, 5, 1], (), (4, 0, 0), [0, 2, 1]),  # all of a prompt outweighs a queue
        ([9, 5, 1], (), (2, 0, 0), [2, 0, 1]),  # half of it does not
        ([2, 1, 1], (0, 0, 1), (1, 0, 0), [0, 1, 2]),  # one request more is little
        ([41, 5, 1], (), (4, 0, 0), [2, 1, 0]),  # too many: whatever it has seen
        ([30, 5, 1], (), (4, 0, 0), [0, 2, 1]),
    ],
)
def test_scores_add_up(pending, kv, seen, order):
    made = members(kv=kv, seen=seen)
    assert numbers(by_score(made, pending, SCORES, BLOCKS, NeverExplores(1))) == order


@pytest.mark.parametrize(
    ("scores", "first"),
    [(Scores(1, 0, 0), 2), (Scores(0, 1, 0), 1), (Scores(0, 0, 1), 0)],
)
def test_what_has_no_weight_does_not_count(scores, first):
    made = members(kv=(0.5, 0.1, 0.9), seen=(4, 0, 0))
    assert numbers(by_score(made, [9, 9, 1], scores, BLOCKS, NeverExplores(1)))[0] == first


@pytest.mark.parametrize(
    ("taken", "seen", "order"),
    [
        ([30, 10, 20], (), [1, 2, 0]),  # nobody has seen it: who was sent least
        ([900, 100, 100], (4, 0, 0), [0]),  # it is no reason to send it elsewhere
        ([300, 100, 200], (4, 4, 4), [1, 2, 0]),
    ],
)
def test_who_was_sent_least_of_late_is_asked_first_when_nothing_else_speaks_for_anybody(taken, seen, order):
    made = members(seen=seen)
    for one, count in zip(made, taken, strict=True):
        one.taken = count
    found = numbers(by_score(made, [1, 1, 1], SCORES, BLOCKS, NeverExplores(1)))
    assert found[: len(order)] == order


def test_who_are_equal_take_turns_by_chance():
    made, dice = members(), Random(3)
    for pick in (
        lambda: by_score(made, [1, 1, 1], SCORES, (), dice),
        lambda: by_pending(made, [1, 1, 1], dice),
    ):
        firsts = Counter(numbers(pick())[0] for _ in range(3000))
        assert min(firsts.values()) > 850  # of 1000; nine times the deviation would not do it


def test_one_in_a_hundred_goes_elsewhere():
    made, dice = members(seen=(4, 0, 0)), Random(3)
    firsts = Counter(numbers(by_score(made, [2, 1, 2], SCORES, BLOCKS, dice))[0] for _ in range(10_000))
    assert 40 < firsts[1] < 180
    assert firsts[0] == 10_000 - firsts[1]


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 32, False), (0, 33, True), (100, 140, False), (100, 151, True)]
)
def test_too_many_is_many_more_and_many_times_more(low, high, expected):
    assert imbalanced(low, high) is expected


def test_turns_are_taken_evenly_by_weight():
    made = members(weights=(3, 1, 1))
    firsts = [numbers(in_turn(made))[0] for _ in range(10)]
    assert firsts == [0, 1, 0, 2, 0] * 2


def test_who_is_new_takes_turns_at_once():
    made = members()
    for _ in range(7):
        in_turn(made)
    made.append(Member(Endpoint("10.0.0.9:80")))
    assert Counter(numbers(in_turn(made))[0] for _ in range(400)).most_common()[-1][1] >= 99


def test_a_value_keeps_to_its_endpoint_and_when_that_goes_all_others_keep_to_theirs():
    made = members(weights=(1, 1, 1, 1))
    values = [f"session {number}" for number in range(400)]
    before = {value: by_affinity(made, [1, 1, 1, 1], value) for value in values}
    assert all(by_affinity(made, [5, 9, 30, 1], value) == before[value] for value in values)
    assert min(Counter(order[0].address for order in before.values()).values()) > 60
    gone = made.pop(1)
    for value in values:
        kept = [one for one in before[value] if one is not gone]
        assert by_affinity(made, [1, 1, 1], value) == kept


def test_a_value_leaves_who_has_too_many_and_comes_back():
    made = members()
    first, second, _ = by_affinity(made, [1, 1, 1], "me")
    pending = [100 if one is first else 5 for one in made]
    order = by_affinity(made, pending, "me")
    assert order[0] is second
    assert order[-1] is first


def test_affinity_heeds_weights():
    made = members(weights=(8, 1, 1))
    firsts = Counter(numbers(by_affinity(made, [1, 1, 1], str(number)))[0] for number in range(1000))
    assert 700 < firsts[0] < 900


@pytest.mark.parametrize("value", ["", "é", "x" * 10_000, "\0"])
def test_any_value_has_an_endpoint(value):
    assert len(by_affinity(members(), [1, 1, 1], value)) == 3
