"""Which of several patterns means a model."""

import pytest

from marchproxy.model.model_names import ModelPatterns, fits

PATTERNS = ModelPatterns(["gpt-4o", "gpt-4*", "gpt-4o-*", "claude[1m]", "*"])


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-*"),
        ("gpt-4", "gpt-4*"),
        ("gpt-41", "gpt-4*"),
        ("claude[1m]", "claude[1m]"),
        ("claude1", "*"),
        ("", "*"),
    ],
)
def test_the_longest_pattern_wins(name, pattern):
    assert PATTERNS.longest(name) == pattern


@pytest.mark.parametrize(
    ("pattern", "name", "means"),
    [("a", "a", True), ("a", "ab", False), ("a*", "ab", True), ("a*", "ab*", True), ("ab*", "a*", False), ("*", "", True)],
)  # fmt: skip
def test_one_pattern(pattern, name, means):
    assert fits(pattern, name) is means


@pytest.mark.parametrize(("patterns", "name"), [([], "a"), (["ab*", "b"], "a"), (["a*c"], "abc")])
def test_a_name_that_no_pattern_means(patterns, name):
    assert name not in ModelPatterns(patterns)
