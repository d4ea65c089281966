from typing import Any

import pytest

from marchproxy.cli.managed.differences import MOST_SHOWN, counted, differences, summarised


def change(kind: str, before: Any = None, after: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "section": "routes",
        "key": "shop",
        "kind": kind,
        "before": before,
        "after": after,
        "fields": [],
        **more,
    }


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ([], "no differences"),
        (
            [change("added", after={"id": "shop", "path": "/"})],
            "+ routes/shop\n    + id: shop\n    + path: /\n1 added",
        ),
        ([change("removed", before={"id": "shop"})], "- routes/shop\n    - id: shop\n1 removed"),
        (
            [change("changed", {"id": "shop", "path": "/a"}, {"id": "shop", "path": "/b"}, fields=["path"])],
            "~ routes/shop  (path)\n      id: shop\n    - path: /a\n    + path: /b\n1 changed",
        ),
        (
            [change("changed", {"id": "shop", "u": "***"}, {"id": "shop", "u": "***"}, fields=["u"])],
            "~ routes/shop  (u)\n      a secret in it\n1 changed",
        ),
    ],
)
def test_items_are_told_by_the_lines_that_differ(changes: list[dict[str, Any]], text: str) -> None:
    assert differences(changes).plain == text


def test_of_very_many_only_the_first_are_told_in_full() -> None:
    text = differences([change("removed", before={"id": "shop"})] * (MOST_SHOWN + 5)).plain
    assert text.count("- routes/shop") == MOST_SHOWN + 5
    assert text.count("- id: shop") == MOST_SHOWN


def test_counts() -> None:
    assert counted([change("removed"), change("added"), change("added")]) == "2 added, 1 removed"
    assert summarised({"added": 2, "changed": 0, "removed": 1}) == "+2 -1"
    assert summarised({"added": 0, "changed": 0, "removed": 0}) == "-"
