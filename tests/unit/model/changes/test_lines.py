import pytest

from marchproxy.model.changes import Line, compare_lines


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a b", "a b", ""),
        ("", "a", "+a"),
        ("a", "", "-a"),
        ("a b c d e f", "a b x d e f", " b -c +x  d"),
        ("a b c d e f", "x b c d e y", "-a +x  b  e -f +y"),  # two places, each with what is around it
    ],
)
def test_lines_that_differ_are_told_with_those_around(before: str, after: str, lines: str) -> None:
    found = compare_lines(before.split(), after.split(), around=1)
    assert " ".join(_shown(line) for line in found) == lines


def _shown(line: Line) -> str:
    return {"same": " ", "gone": "-", "new": "+"}[line.kind] + line.text
