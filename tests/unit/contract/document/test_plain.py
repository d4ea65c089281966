"""Documents as plain values: what is no text in them is refused, before anybody tries to write it down again."""

import pytest

from marchproxy.contract.document import read_plain
from marchproxy.model.problem import InvalidValue


@pytest.mark.parametrize(
    "text",
    [
        rb'{"a": "\ud800"}',
        rb'{"a": ["\uDFFF x"]}',
        rb'{"\udcff": 1}',
    ],
)
def test_half_a_character_is_refused(text):
    with pytest.raises(InvalidValue, match="half a character"):
        read_plain(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}),
        (rb'{"a": "\\ud800"}', {"a": "\\ud800"}),
        (b"a: x\n", {"a": "x"}),
    ],
)
def test_what_is_text(text, value):
    assert read_plain(text) == value
