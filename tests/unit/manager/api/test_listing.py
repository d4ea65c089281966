"""Pages and cursors, as data."""

import pytest

from marchproxy.manager.api.listing import Listing, Past, cut, listing, select
from marchproxy.model.problem import InvalidValue
from marchproxy.model.query import Filter, Query

ROWS = ("a", "b", "c", "d", "e")


def page(rows, limit: int, cursor: str = ""):
    return cut(tuple(rows), listing(limit=limit, cursor=cursor), str)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9])
def test_pages_are_the_whole(limit):
    seen, cursor = [], ""
    while True:
        found = page(ROWS, limit, cursor)
        seen += found.items
        assert found.total == len(ROWS)
        if not found.next:
            break
        cursor = found.next
    assert tuple(seen) == ROWS


@pytest.mark.parametrize(
    ("changed", "next_page"),
    [
        (("a", "b", "c", "d", "e"), ("c", "d")),
        (("new", "a", "b", "c", "d", "e"), ("c", "d")),  # nothing is told twice
        (("b", "c", "d", "e"), ("c", "d")),  # nothing is left out
        (("a", "c", "d", "e"), ("d", "e")),  # the last one that was told is gone: where it was
        (("a",), ()),
        ((), ()),
    ],
)
def test_the_rows_may_change_between_two_pages(changed, next_page):
    cursor = page(ROWS, 2).next
    assert page(changed, 2, cursor).items == next_page


def test_what_parameters_say():
    wanted = listing(sort="-id", filter=["id:contains:a:b", "size:ge:3"])
    assert wanted.query == Query((Filter("id", "contains", "a:b"), Filter("size", "ge", "3")), "id", True)
    assert not wanted.is_plain
    assert listing().is_plain


@pytest.mark.parametrize("cursor", ["?", "ü", "YQ", "LTE6YQ", "MTIzNDU2Nzg5MDph"])
def test_cursors_of_others(cursor):
    with pytest.raises(InvalidValue, match="cursor"):
        listing(cursor=cursor)


def test_filters_and_order_come_before_pages():
    wanted = Listing(Query((Filter("self", "ne", "b"),), "self", True), 2)
    assert select(ROWS, wanted, {"self": str}, str).items == ("e", "d")


def test_what_is_only_added():
    past = Past(2, 9)
    assert past.page((8, 7, 6), int) == {"items": (8, 7), "next": "7"}
    assert past.page((8, 7), int) == {"items": (8, 7), "next": ""}
    assert past.page((), int) == {"items": (), "next": ""}
