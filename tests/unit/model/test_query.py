from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.module import HealthStatus
from marchproxy.model.problem import InvalidValue
from marchproxy.model.query import LARGEST_PAGE, Filter, Query, select_rows


@dataclass(frozen=True)
class Row:
    name: str
    count: int = 0
    load: float = 0.0
    ready: bool = False
    health: HealthStatus = HealthStatus.HEALTHY
    tags: tuple[str, ...] = ()
    seen: datetime | None = None


FIELDS = {name: lambda row, name=name: getattr(row, name) for name in Row.__dataclass_fields__}
ROWS = [
    Row("alpha", 9, 0.5, ready=True, tags=("x", "yz"), seen=datetime(2030, 1, 2, tzinfo=UTC)),
    Row("beta", 10, 1.5, health=HealthStatus.DEGRADED, tags=("y",)),
    Row("gamma", 100, -2.0, ready=True, seen=datetime(2030, 1, 1, tzinfo=UTC)),
]


def names(query):
    return [row.name for row in select_rows(ROWS, query, FIELDS).rows]


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("name", "eq", "beta", ["beta"]),
        ("name", "eq", "Beta", []),
        ("name", "ne", "beta", ["alpha", "gamma"]),
        ("name", "gt", "beta", ["gamma"]),
        ("name", "ge", "beta", ["beta", "gamma"]),
        ("name", "lt", "beta", ["alpha"]),
        ("name", "le", "beta", ["alpha", "beta"]),
        ("name", "in", "gamma, alpha", ["alpha", "gamma"]),
        ("name", "in", "", []),
        ("name", "contains", "eta", ["beta"]),
        ("count", "eq", "10", ["beta"]),
        ("count", "eq", "10.0", ["beta"]),
        ("count", "ne", "10", ["alpha", "gamma"]),
        ("count", "gt", "9", ["beta", "gamma"]),  # as numbers: "10" is less than "9" as text
        ("count", "ge", "10", ["beta", "gamma"]),
        ("count", "lt", "10", ["alpha"]),
        ("count", "le", "10", ["alpha", "beta"]),
        ("count", "in", "9,100", ["alpha", "gamma"]),
        ("count", "contains", "0", ["beta", "gamma"]),
        ("count", "eq", "nan", []),  # no number equals it
        ("count", "eq", "ten", []),
        ("load", "lt", "0", ["gamma"]),
        ("ready", "eq", "true", ["alpha", "gamma"]),
        ("ready", "ne", "true", ["beta"]),
        ("health", "eq", "degraded", ["beta"]),
        ("health", "in", "healthy,degraded", ["alpha", "beta", "gamma"]),
        ("tags", "contains", "y", ["beta"]),  # a whole item
        ("seen", "eq", "None", ["beta"]),
    ],
)
def test_operators(field, operator, value, expected):
    assert names(Query((Filter(field, operator, value),))) == expected


def test_all_filters_must_hold():
    assert names(Query((Filter("ready", "eq", "true"), Filter("count", "gt", "9")))) == ["gamma"]


@pytest.mark.parametrize(
    ("field", "ascending"),
    [
        ("count", ["alpha", "beta", "gamma"]),
        ("load", ["gamma", "alpha", "beta"]),
        ("seen", ["beta", "gamma", "alpha"]),  # without a value first
        ("health", ["beta", "alpha", "gamma"]),  # by its word; equal ones stay in order
    ],
)
def test_sorting(field, ascending):
    assert names(Query(sort_by=field)) == ascending
    descending = {"health": ["alpha", "gamma", "beta"]}.get(field, ascending[::-1])
    assert names(Query(sort_by=field, sort_desc=True)) == descending


@pytest.mark.parametrize(
    ("page", "size", "expected", "pages"),
    [
        (0, 0, ["alpha", "beta", "gamma"], 1),
        (1, 2, ["alpha", "beta"], 2),
        (2, 2, ["gamma"], 2),
        (3, 2, [], 2),
        (2, 0, [], 1),
        (0, 3, ["alpha", "beta", "gamma"], 1),
    ],
)
def test_pages(page, size, expected, pages):
    found = select_rows(ROWS, Query(page=page, page_size=size), FIELDS)
    assert [row.name for row in found.rows] == expected
    assert (found.page, found.page_size, found.total_items, found.total_pages) == (
        max(page, 1),
        size,
        3,
        pages,
    )


def test_no_rows():
    found = select_rows([], Query(page_size=5), FIELDS)
    assert (found.rows, found.total_items, found.total_pages) == ((), 0, 1)


@given(count=st.integers(0, 30), size=st.integers(1, 10))
def test_the_pages_together_are_the_rows(count, size):
    rows = [Row(str(number)) for number in range(count)]
    first = select_rows(rows, Query(page=1, page_size=size), FIELDS)
    pages = [
        select_rows(rows, Query(page=n, page_size=size), FIELDS) for n in range(1, first.total_pages + 1)
    ]
    assert [row for page in pages for row in page.rows] == rows
    assert all(len(page.rows) <= size for page in pages)


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        (
            Query((Filter("nam", "eq", ""),)),
            ['query.filters[0].field: unknown field "nam"; known: count, health,'],
        ),
        (
            Query((Filter("name", "like", ""),)),
            ['query.filters[0].operator: unknown operator "like"; known: eq, ne,'],
        ),
        (Query(sort_by="age"), ['query.sort_by: unknown field "age"']),
        (Query(page=-1), ["query.pagination.page: counts from 1"]),
        (Query(page_size=-1), ["query.pagination.page_size: -1 is not between"]),
        (Query(page_size=LARGEST_PAGE + 1), ["query.pagination.page_size: 10001 is not between 0 and 10000"]),
        (
            Query((Filter("name", "eq", ""), Filter("a", "b", "")), sort_by="c", page=-1),
            ["query.filters[1].field", "query.filters[1].operator", "query.sort_by", "query.pagination.page"],
        ),
    ],
)
def test_every_fault_is_told(query, problems):
    with pytest.raises(InvalidValue) as caught:
        select_rows(ROWS, query, FIELDS)
    assert len(caught.value.problems) == len(problems)
    for problem, start in zip(caught.value.problems, problems, strict=True):
        assert str(problem).startswith(start)
