"""What is kept, for how long, and what goes first."""

import pytest

from marchproxy.modules.ailb.cache import Answers, Expectation, Expected, Kept, is_sound
from marchproxy.modules.ailb.dialects.operations import Operation

JSON, SSE = "application/json", "text/event-stream; charset=utf-8"


def kept(size=100, until=10):
    return Kept(JSON, b"x" * size, until)


def test_an_answer_is_kept_for_its_time():
    answers = Answers()
    answers.put("a", kept(until=10))
    assert answers.find("a", 9) == kept(until=10)
    assert answers.find("b", 9) is None
    assert answers.find("a", 10) is None
    assert (len(answers), answers.size) == (0, 0)


def test_those_that_nobody_wants_go_first():
    answers = Answers(3 * 500)
    for name in "abc":
        answers.put(name, kept())
    answers.find("a", 0)
    answers.put("d", kept())
    assert [name for name in "abcd" if answers.find(name, 0)] == ["a", "c", "d"]
    assert answers.size == 1500
    answers.put("d", kept(1100))
    assert [name for name in "abcd" if answers.find(name, 0)] == ["d"]
    answers.put("e", kept(2000))
    assert answers.find("d", 0) is not None
    assert answers.find("e", 0) is None
    answers.put("d", kept(2000))
    assert (len(answers), answers.size) == (0, 0)


def test_answers_that_are_expected():
    expected = Expected(2)
    one = Expectation("key", Operation.CHAT, 5, 0)
    for number in (1, 2, 3):
        expected.add(number, one)
    assert [expected.take(number) for number in ("1", "2", "2", "-3", "3", "", "9" * 30)] == [
        None, one, None, None, one, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content_type", "data", "sound"),
    [
        (JSON, b'{"choices": []}', True),
        (JSON, b'{"object": "response", "status": "completed", "error": null}', True),
        (JSON, b'{"object": "response", "status": "queued"}', False),
        (JSON, b'{"error": {"message": "no"}}', False),
        (JSON, b"[]", False),
        (JSON, b"<html>", False),
        (JSON, b"", False),
        ("", b'{"choices": []}', True),
        (SSE, b'data: {"choices": []}\n\ndata: [DONE]\n\n', True),
        (SSE, b'data: {"choices": [{"delta": {"content": "an \\"error\\""}}]}\n\ndata: [DONE]\n\n', True),
        (SSE, b'data: {"error": {"message": "no"}}\n\ndata: [DONE]\n\n', False),
        (SSE, b'event: error\ndata: {"type": "error", "error": {"type": "x"}}\n\n', False),
        (SSE, b'event: response.completed\ndata: {"response": {"error": null}}\n\n', True),
        (SSE, b'event: response.failed\ndata: {"response": {}}\n\n', False),
        (SSE, b'event: response.incomplete\ndata: {"response": {}}\n\n', False),
        (SSE, b": wait\n\ndata: x\n\n", True),
        (SSE, b"\x1f\x8b\x08\0", False),
        (SSE, b"", False),
    ],
)
def test_soundness(content_type, data, sound):
    assert is_sound(content_type, data) is sound
