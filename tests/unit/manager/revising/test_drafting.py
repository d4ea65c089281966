"""What an edit becomes before anybody is asked."""

import pytest

from marchproxy.manager.revising.drafting import restated
from marchproxy.model.changes import Change, diff


def changes(section: str, before: dict, after: dict) -> tuple[Change, ...]:
    return diff({section: [before]}, {section: [after]})


@pytest.mark.parametrize(
    ("section", "before", "after", "names"),
    [
        ("routes", {"id": "a", "backends": ["x"]}, {"id": "a", "backends": ["y"]}, ("a",)),
        ("routes", {"id": "a"}, {"id": "a", "ai": {}}, ("a",)),
        ("routes", {"id": "a"}, {"id": "a", "timeout": 1}, ()),
        ("listeners", {"name": "w"}, {"name": "w", "version_weights": {"1": 100}}, ("w",)),
        ("listeners", {"name": "w"}, {"name": "w", "idle_timeout": 1}, ()),
        ("pools", {"name": "p"}, {"name": "p", "version": "2"}, ()),
        (
            "routes",
            {"id": "a", "backends": ["x"]},
            {"id": "b", "backends": ["x"]},
            (),
        ),  # another one altogether
    ],
)
def test_what_a_document_says_anew_of_weights(section, before, after, names):
    assert restated(changes(section, before, after)) == names
