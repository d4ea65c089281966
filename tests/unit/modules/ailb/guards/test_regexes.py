"""Expressions of one's own."""

import pytest

from marchproxy.modules.ailb.guards.regexes import RegexLooker
from marchproxy.modules.ailb.guards.span import Span, add, replaced, weigh


@pytest.mark.parametrize(
    ("patterns", "text", "found"),
    [
        (("b",), "abcb", ["b", "b"]),
        (("(?i)blue", "blue ?bird"), "a Blue bird, BLUE", ["Blue", "BLUE"]),
        ((r"\bsk[0-9]{2,4}\b",), "sk12 sk12345 ask12", ["sk12"]),
        (("^a", "c$"), "abc", ["a", "c"]),
        (("x{0,2}",), "axb", ["x"]),
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100])
def test_found(patterns, text, found, step):
    looker, spans = RegexLooker(patterns, "word"), []
    for start in range(0, len(text), step):
        for span in looker.look(text, start, min(start + step, len(text))):
            add(spans, span)
    assert [text[span.start : span.end] for span in spans] == found


def test_spans():
    spans = []
    for span in (Span(5, 8, "a"), Span(7, 9, "b"), Span(0, 2, "c"), Span(8, 9, "d"), Span(1, 6, "e")):
        add(spans, span)
    assert [span.kind for span in spans] == ["c", "a", "d"]
    assert replaced("0123456789", spans) == "[C]234[A][D]9"
    assert weigh([Span(0, 1, "a", 0.6), Span(2, 3, "b", 0.5)])
    assert not weigh([Span(0, 1, "a", 0.6), Span(2, 3, "a", 0.6)])
    assert not weigh([])
