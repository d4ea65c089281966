"""Answers of our own, until they are fetched."""

from marchproxy.modules.ailb.decision.own import Own, OwnAnswers

SECOND = 1_000_000_000


def test_an_answer_stays_for_a_while():
    own = OwnAnswers(seconds=60)
    own.put("a", Own(b"1"), 0)
    own.put("b", Own(b"2"), 30 * SECOND)
    own.sweep(61 * SECOND)
    assert own.get("a") is None
    assert own.get("b") == Own(b"2")
    assert len(own) == 1


def test_the_oldest_go_when_there_are_too_many_bytes():
    own = OwnAnswers(most_bytes=10)
    for number in range(100):
        own.put(str(number), Own(b"x" * 4), 0)
    assert len(own) == 2
    assert own.get("99") is not None
    own.put("large", Own(b"x" * 100), 0)
    assert len(own) == 1
    assert own.get("large") is not None
