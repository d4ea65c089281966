"""Two edits of one document made into one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.changes import Conflict, diff, items_by_key, merge

A, B, C = {"id": "a", "x": 1}, {"id": "b"}, {"id": "c"}


def changed(item: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**item, **fields}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ([A], [changed(A, x=2)], [A], [changed(A, x=2)]),
        ([A], [A], [changed(A, x=2)], [changed(A, x=2)]),
        ([A], [changed(A, x=2)], [changed(A, y=3)], [changed(A, x=2, y=3)]),
        ([A], [{"id": "a"}], [changed(A, y=3)], [{"id": "a", "y": 3}]),  # a field that is left out again
        ([A], [changed(A, x=2)], [changed(A, x=2)], [changed(A, x=2)]),
        ([A, B], [B], [A, B], [B]),
        ([A, B], [A], [B], []),
        ([A], [A, B], [A, C], [A, C, B]),
        ([], [B], [B], [B]),
        ([A, B, C], [C, B, A], [A, B, C], [C, B, A]),  # another order is an edit, too
        ([A, B], [B, A], [A, B, C], [B, A, C]),
        ([A, B], [B, A], [A], [A]),
    ],
)
def test_edits_that_agree(base, ours, theirs, merged):
    found = merge({"routes": base}, {"routes": ours}, {"routes": theirs})
    assert found.conflicts == ()
    assert found.document == ({"routes": merged} if merged else {})


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "conflict"),
    [
        ([A], [changed(A, x=2)], [changed(A, x=3)], Conflict("routes/a.x", 2, 3)),
        ([A], [{"id": "a"}], [changed(A, x=3)], Conflict("routes/a.x", None, 3)),
        ([A], [], [changed(A, x=3)], Conflict("routes/a", None, changed(A, x=3))),
        ([A], [changed(A, x=3)], [], Conflict("routes/a", changed(A, x=3), None)),
        ([], [changed(B, x=1)], [changed(B, x=2)], Conflict("routes/b.x", 1, 2)),
    ],
)
def test_edits_of_the_same(base, ours, theirs, conflict):
    found = merge({"routes": base}, {"routes": ours}, {"routes": theirs})
    assert found.conflicts == (conflict,)
    assert found.document == ({"routes": theirs} if theirs else {})


fields = st.fixed_dictionaries({}, optional={"x": st.integers(0, 2), "y": st.integers(0, 2)})
documents = st.dictionaries(st.sampled_from("abcd"), fields).map(
    lambda items: {"routes": [{"id": key, **rest} for key, rest in items.items()]}
)


@given(documents, documents)
def test_what_only_one_has_edited_is_as_it_left_it(base, edited):
    for found in (merge(base, edited, base), merge(base, base, edited), merge(base, edited, edited)):
        assert found.conflicts == ()
        assert diff(found.document, edited) == ()


@given(documents, documents, documents)
def test_edits_of_different_items_are_as_one_after_the_other(base, ours, theirs):
    touched = {change.key for change in diff(base, theirs)}
    ours_alone = [change for change in diff(base, ours) if change.key not in touched]
    expected = items_by_key(theirs, "routes")
    mine = items_by_key(base, "routes")
    for change in ours_alone:
        for items in (expected, mine):
            if change.after is None:
                del items[change.key]
            else:
                items[change.key] = change.after
    found = merge(base, {"routes": list(mine.values())}, theirs)
    assert found.conflicts == ()
    assert items_by_key(found.document, "routes") == expected


@given(documents, documents, documents)
def test_a_conflict_is_told_from_both_sides(base, ours, theirs):
    one, other = merge(base, ours, theirs), merge(base, theirs, ours)
    turned = {(c.path, repr(c.theirs), repr(c.ours)) for c in other.conflicts}
    assert {(c.path, repr(c.ours), repr(c.theirs)) for c in one.conflicts} == turned
    if not one.conflicts:
        assert diff(one.document, other.document) == ()
