import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.template import (
    check_template,
    template_names,
    template_pattern,
    template_rank,
    templates_meet,
)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/users/{id}", "/users/7", {"id": "7"}),
        ("/users/{id}", "/users/", None),  # a segment is not empty
        ("/users/{id}", "/users/7/", None),
        ("/users/{id}", "/users/7/x", None),
        ("/users/*/files", "/users/7/files", {}),
        ("/a/{x}/{y=**}", "/a/b/c/d", {"x": "b", "y": "c/d"}),
        ("/a/{y=**}", "/a/", {"y": ""}),
        ("/a/{y=**}", "/a", None),
        ("/a/**", "/a/b/c", {}),
        ("/v1.0/*", "/v1x0/a", None),  # plain text is no expression
        ("/{a}", "/x", {"a": "x"}),
        ("/", "/", {}),
    ],
)
def test_what_a_template_matches(template, path, expected):
    found = re.fullmatch(template_pattern(template), path)
    assert (found and found.groupdict()) == expected


def test_names():
    assert template_names("/{a}/*/{b_2}/{rest=**}") == ("a", "b_2", "rest")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/users/admin", "/users/{id}"),
        ("/users/{a}/files", "/users/{a}/{b}"),
        ("/a/*", "/a/**"),
        ("/a/*/c", "/a/b/**"),  # as much plain text
    ],
)
def test_the_more_specific_goes_first(first, second):
    assert template_rank(first) < template_rank(second)


@pytest.mark.parametrize("template", ["", "x", "**"])
def test_what_is_no_template_has_a_rank_too(template):
    """Routes are compared before all that is wrong with them is told."""
    assert template_rank(template) == (0, 0)


def test_what_a_variable_is_called_says_nothing():
    assert (
        template_rank("/users/{id}/x")
        == template_rank("/users/{identifier}/x")
        == template_rank("/users/*/x")
    )


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("/a/{x}", "/{y}/b", True),
        ("/a/{x}", "/b/{x}", False),
        ("/a/{x}", "/a/{x}/c", False),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/a", False),
        ("/a/", "/a/*", False),
        ("/a/", "/a/**", True),
        ("/**", "/b/{x}", True),
    ],
)
def test_which_meet(first, second, expected):
    assert templates_meet(first, second) is expected
    assert templates_meet(second, first) is expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("users/{id}", "does not begin with /"),
        ("/users/{id}.json", '"{id}.json" is not a segment'),
        ("/users/{7}", '"{7}" is not a segment'),
        ("/users/{id", '"{id" is not a segment'),
        ("/users/***", '"***" is not a segment'),
        ("/users/{id=*}", '"{id=*}" is not a segment'),
        ("/users/{rest=**}/x", '"{rest=**}" takes all that is left, so it comes last'),
        ("/{id}/{id}", 'the name "id" stands there twice'),
    ],
)
def test_faults(template, message):
    (problem,) = check_template(template, "here")
    assert problem.path == "here"
    assert message in problem.message


WORDS = st.sampled_from(["a", "b", "ü", "a.b", "a+", "%7B", ""])
SEGMENTS = st.lists(WORDS | st.sampled_from(["*", "{x}"]), min_size=1, max_size=3).filter(
    lambda segments: segments.count("{x}") < 2
)
TEMPLATES = st.builds(
    lambda segments, rest: "/" + "/".join(segments + rest),
    SEGMENTS,
    st.sampled_from([[], ["**"], ["{r=**}"]]),
)


@given(template=TEMPLATES, values=st.lists(WORDS, min_size=4, max_size=4), data=st.data())
def test_a_path_made_from_a_template_is_matched_and_read_back(template, values, data):
    assert list(check_template(template, "")) == []
    parts, expected = [], {}
    for segment, value in zip(template.split("/")[1:], values, strict=False):
        variable = re.fullmatch(r"\{(\w)(=\*\*)?\}|\*\*?", segment)
        if variable is None:
            parts.append(segment)
            continue
        rest = segment.endswith(("**", "**}"))
        filled = "/".join(data.draw(st.lists(WORDS, max_size=3))) if rest else value or "z"
        parts.append(filled)
        if variable[1]:
            expected[variable[1]] = filled
    found = re.fullmatch(template_pattern(template), "/" + "/".join(parts))
    assert found is not None
    assert found.groupdict() == expected


PATHS = st.lists(WORDS, min_size=1, max_size=4).map(lambda segments: "/" + "/".join(segments))


@given(first=TEMPLATES, second=TEMPLATES, path=PATHS)
def test_templates_that_match_one_path_meet(first, second, path):
    if all(re.fullmatch(template_pattern(template), path) for template in (first, second)):
        assert templates_meet(first, second)
