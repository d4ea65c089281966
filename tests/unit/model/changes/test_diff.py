"""What differs between documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.changes import SECTIONS, Change, diff, items_by_key, path_of, summary
from marchproxy.model.revision import Summary
from marchproxy.model.state import DesiredState

A, B = {"id": "a", "timeout": 1.0}, {"id": "b"}


def test_sections_are_those_of_the_desired_state():
    assert set(SECTIONS) == set(DesiredState.__dataclass_fields__)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({}, {}, []),
        ({"routes": [A, B]}, {"routes": [B, A]}, []),  # order is no change of an item
        ({}, {"routes": [A]}, [Change("routes", "a", "added", None, A)]),
        ({"routes": [A]}, {"routes": []}, [Change("routes", "a", "removed", A, None)]),
        (
            {"routes": [A]},
            {"routes": [{"id": "a", "priority": 1}]},
            [Change("routes", "a", "changed", A, {"id": "a", "priority": 1}, ("priority", "timeout"))],
        ),
        (
            {"scaling": [{"module": "alb"}]},
            {"scaling": [{"module": "dblb"}]},
            [
                Change("scaling", "dblb", "added", None, {"module": "dblb"}),
                Change("scaling", "alb", "removed", {"module": "alb"}, None),
            ],
        ),
    ],
)
def test_changes(before, after, changes):
    found = diff(before, after)
    assert list(found) == changes
    kinds = [change.kind for change in changes]
    assert summary(found) == Summary(kinds.count("added"), kinds.count("changed"), kinds.count("removed"))


def test_paths_are_by_name():
    assert path_of("routes", "shop", "rtmp", "push") == "routes/shop.rtmp.push"


items = st.lists(
    st.fixed_dictionaries({"id": st.sampled_from("abcd")}, optional={"x": st.integers(0, 2), "y": st.none()}),
    max_size=4,
    unique_by=lambda item: item["id"],
)
documents = st.fixed_dictionaries({}, optional={"routes": items, "rate_limits": items})


@given(documents, documents)
def test_the_changes_made_to_one_give_the_other(before, after):
    made = {section: items_by_key(before, section) for section in SECTIONS}
    for change in diff(before, after):
        assert made[change.section].get(change.key) == change.before
        if change.after is None:
            del made[change.section][change.key]
        else:
            made[change.section][change.key] = change.after
    assert made == {section: items_by_key(after, section) for section in SECTIONS}
