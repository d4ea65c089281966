"""Query: filter, sort and paginate rows, as every list of the contract does."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isnan
from typing import Any, Generic, TypeVar

from marchproxy.model.problem import InvalidValue, Problem

T = TypeVar("T")
#: How to read a row: field name to accessor. Only these fields can be filtered and sorted.
Fields = Mapping[str, Callable[[T], Any]]

LARGEST_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; `operator` is eq, ne, gt, lt, ge, le, in (comma-separated values) or contains."""

    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Query:
    """All filters must hold. `page` counts from 1; `page_size` 0 means everything."""

    filters: tuple[Filter, ...] = ()
    sort_by: str = ""
    sort_desc: bool = False
    page: int = 0
    page_size: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The rows of one page, and how many there are in all."""

    rows: tuple[T, ...]
    page: int
    page_size: int
    total_items: int
    total_pages: int


def select_rows(rows: Iterable[T], query: Query, fields: Fields[T]) -> Page[T]:
    """The rows asked for. Raises InvalidValue with every fault of the query."""
    problems = tuple(_faults(query, fields))
    if problems:
        raise InvalidValue(problems)
    kept = [row for row in rows if all(_holds(item, fields[item.field](row)) for item in query.filters)]
    if query.sort_by:
        field = fields[query.sort_by]
        kept.sort(key=lambda row: _sort_key(field(row)), reverse=query.sort_desc)
    return _paginate(kept, query)


def _paginate(rows: Sequence[T], query: Query) -> Page[T]:
    size = query.page_size or max(len(rows), 1)
    page = max(query.page, 1)
    start = (page - 1) * size
    return Page(
        rows=tuple(rows[start : start + size]),
        page=page,
        page_size=query.page_size,
        total_items=len(rows),
        total_pages=max(1, -(-len(rows) // size)),
    )


def _faults(query: Query, fields: Fields[T]) -> Iterable[Problem]:
    known = ", ".join(sorted(fields))
    for index, item in enumerate(query.filters):
        where = f"query.filters[{index}]"
        if item.field not in fields:
            yield Problem(f"{where}.field", f'unknown field "{item.field}"; known: {known}')
        if item.operator not in _OPERATORS:
            yield Problem(
                f"{where}.operator", f'unknown operator "{item.operator}"; known: {", ".join(_OPERATORS)}'
            )
    if query.sort_by and query.sort_by not in fields:
        yield Problem("query.sort_by", f'unknown field "{query.sort_by}"; known: {known}')
    if query.page < 0:
        yield Problem("query.pagination.page", "counts from 1")
    if not 0 <= query.page_size <= LARGEST_PAGE:
        yield Problem("query.pagination.page_size", f"{query.page_size} is not between 0 and {LARGEST_PAGE}")


def _holds(item: Filter, actual: Any) -> bool:
    return _OPERATORS[item.operator](actual, item.value)


def _compare(actual: Any, value: str) -> int:
    """Numbers as numbers when both are, everything else as text."""
    if isinstance(actual, int | float) and not isinstance(actual, bool):
        try:
            number = float(value)
        except ValueError:
            pass
        else:
            if not isnan(number):
                return (actual > number) - (actual < number)
    text = _text(actual)
    return (text > value) - (text < value)


def _sort_key(actual: Any) -> tuple[bool, Any]:
    """Rows without a value come before those with one, which it could not be compared with."""
    return (actual is not None, actual.value if isinstance(actual, Enum) else actual)


def _text(actual: Any) -> str:
    if isinstance(actual, bool):
        return "true" if actual else "false"
    return str(actual.value if isinstance(actual, Enum) else actual)


def _contains(actual: Any, value: str) -> bool:
    if isinstance(actual, tuple | list | set | frozenset):
        return any(_text(item) == value for item in actual)
    return value in _text(actual)


_OPERATORS: Mapping[str, Callable[[Any, str], bool]] = {
    "eq": lambda actual, value: _compare(actual, value) == 0,
    "ne": lambda actual, value: _compare(actual, value) != 0,
    "gt": lambda actual, value: _compare(actual, value) > 0,
    "lt": lambda actual, value: _compare(actual, value) < 0,
    "ge": lambda actual, value: _compare(actual, value) >= 0,
    "le": lambda actual, value: _compare(actual, value) <= 0,
    "in": lambda actual, value: any(_compare(actual, item.strip()) == 0 for item in value.split(",")),
    "contains": _contains,
}
