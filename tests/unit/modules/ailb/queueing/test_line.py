"""Who is next in a line."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from marchproxy.modules.ailb.queueing.line import Line


@dataclass(frozen=True)
class Somebody:
    number: int
    key: str = ""
    priority: int = 5


def line(*words):
    """Each word is a priority and a key."""
    made = Line()
    for number, word in enumerate(words):
        made.join(Somebody(number, word[1:], int(word[0])))
    return made


def served(line):
    found = []
    while line:
        waiter = line.serve()
        found.append(f"{waiter.priority}{waiter.key}{waiter.number}")
    return " ".join(found)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ""),
        ("5a 5a 5a", "5a0 5a1 5a2"),  # who came first
        ("5a 0a 9a 3a", "0a1 3a3 5a0 9a2"),  # the most important
        ("5a 5a 5a 5b 5c 5b", "5a0 5b3 5c4 5a1 5b5 5a2"),  # each key in turn
        ("5a 5a 1b 5b", "1b2 5a0 5b3 5a1"),  # within its own importance
    ],
)
def test_the_order_of_a_line(words, expected):
    assert served(line(*words.split())) == expected


def test_a_key_that_sends_much_does_not_hold_up_others():
    crowd = line(*["5loud"] * 500, "5quiet")
    crowd.serve()
    assert crowd.serve().key == "quiet"


def test_who_comes_later_takes_its_turn_behind_who_waits():
    made = line("5a", "5b")
    assert made.serve().key == "a"
    made.join(Somebody(9, "a"))
    assert [made.serve().key, made.serve().key] == ["b", "a"]


def test_who_leaves_is_not_served():
    made = line("5a", "5a", "5b")
    assert made.leave(Somebody(1, "a"))
    assert not made.leave(Somebody(1, "a"))
    assert not made.leave(Somebody(7, "z"))
    assert len(made) == 2
    assert served(made) == "5a0 5b2"
    with pytest.raises(IndexError):
        made.first()
    with pytest.raises(IndexError):
        made.serve()


class LineMachine(RuleBasedStateMachine):
    """A line beside a plain list of who waits."""

    def __init__(self):
        super().__init__()
        self.line = Line()
        self.waiting = []
        self.next = 0

    @rule(key=st.sampled_from("abc"), priority=st.integers(0, 9))
    def join(self, key, priority):
        waiter = Somebody(self.next, key, priority)
        self.next += 1
        self.waiting.append(waiter)
        self.line.join(waiter)

    @rule(data=st.data())
    def leave(self, data):
        if self.waiting:
            waiter = data.draw(st.sampled_from(self.waiting))
            self.waiting.remove(waiter)
            assert self.line.leave(waiter)

    @rule()
    def serve(self):
        if not self.waiting:
            return
        first, served = self.line.first(), self.line.serve()
        assert first is served
        assert served.priority == min(waiter.priority for waiter in self.waiting)
        of_key = [w for w in self.waiting if (w.key, w.priority) == (served.key, served.priority)]
        assert of_key[0] is served
        self.waiting.remove(served)

    @rule()
    def serve_all_keys_of_the_first_priority(self):
        """As many as there are keys: one of each."""
        if not self.waiting:
            return
        priority = min(waiter.priority for waiter in self.waiting)
        keys = {waiter.key for waiter in self.waiting if waiter.priority == priority}
        served = [self.line.serve() for _ in keys]
        assert Counter(waiter.key for waiter in served) == Counter(keys)
        for waiter in served:
            self.waiting.remove(waiter)

    @invariant()
    def as_many_wait(self):
        assert len(self.line) == len(self.waiting)


TestLine = LineMachine.TestCase
