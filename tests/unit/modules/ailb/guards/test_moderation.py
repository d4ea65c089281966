"""What those who are asked may answer."""

import json

import pytest

from marchproxy.modules.ailb.guards.checking import Said
from marchproxy.modules.ailb.guards.moderation import understand


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"results": [{"flagged": False}]}, Said(flagged=False)),
        ({"id": "x", "results": [{"flagged": True}]}, Said(flagged=True)),
        (
            {
                "results": [
                    {"flagged": False, "categories": {"hate": True}},
                    {"flagged": True, "categories": {"violence": True, "spam": False, "self-harm": True}},
                    {"flagged": True, "categories": {"violence": True, "bad\nname": True}},
                ]
            },
            Said(flagged=True, words="violence, self-harm"),
        ),
        ({"results": [{"flagged": True, "categories": 5}]}, Said(flagged=True)),
        ({"results": []}, None),
        ({"results": [{"flagged": "no"}]}, None),
        ({"results": [{"flagged": False}, 5]}, None),
        ({"results": {"flagged": True}}, None),
        ({}, None),
        ([], None),
    ],
)
def test_answers(answer, said):
    assert understand(json.dumps(answer).encode()) == said


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"null", b"[" * 100_000])
def test_what_is_none(data):
    assert understand(data) is None


def test_words_are_bounded():
    categories = {str(number) * 100: True for number in range(10)}
    said = understand(json.dumps({"results": [{"flagged": True, "categories": categories}]}).encode())
    assert len(said.words) == 8 * 64 + 7 * 2
