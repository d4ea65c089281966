"""Lists: which rows are asked for, in the words of `model.query`, and where the next page begins. Pure but for FastAPI's parameters."""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query as Parameter

from marchproxy.model.problem import InvalidValue, Problem
from marchproxy.model.query import LARGEST_PAGE, Fields, Filter, Query, select_rows

T = TypeVar("T")
_FILTER_PARTS = 3
_LONGEST_CURSOR = 2048


@dataclass(frozen=True, slots=True)
class Listing:
    """What is asked for: `query` has conditions and order, `after` the key that the page before ended with."""

    query: Query
    limit: int
    after: str = ""
    offset: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether every row is wanted, in the order that it has."""
        return not self.query.filters and not self.query.sort_by


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """The rows of a page, how many there are in all, and the cursor of the next page, empty after the last."""

    items: tuple[T, ...]
    total: int
    next: str = ""


def listing(
    limit: Annotated[int, Parameter(ge=1, le=LARGEST_PAGE, description="rows of a page")] = 100,
    cursor: Annotated[
        str, Parameter(max_length=_LONGEST_CURSOR, description="`next` of the page before")
    ] = "",
    sort: Annotated[str, Parameter(max_length=64, description="a field; `-field` for descending")] = "",
    filter: Annotated[  # noqa: A002 - the name that callers write
        list[str] | None,
        Parameter(
            max_length=16,
            description="`field:operator:value`; operators: eq, ne, gt, lt, ge, le, in (values with commas), contains",
        ),
    ] = None,
) -> Listing:
    """What the parameters of a list say. Raises InvalidValue."""
    filters = tuple(_filter(index, text) for index, text in enumerate(filter or ()))
    query = Query(filters, sort.removeprefix("-"), sort.startswith("-"))
    offset, after = _read(cursor) if cursor else (0, "")
    return Listing(query, limit, after, offset)


@dataclass(frozen=True, slots=True)
class Past:
    """What is asked for of things that are only added: those whose number is below `before`, the newest first."""

    limit: int
    before: int | None = None

    def page(self, found: Sequence[T], number: Callable[[T], int]) -> dict[str, Any]:
        """The answer, of one row more than is asked for, where there is one."""
        rows = found[: self.limit]
        return {"items": rows, "next": str(number(rows[-1])) if len(found) > self.limit else ""}


def past(
    limit: Annotated[int, Parameter(ge=1, le=1000, description="rows of a page")] = 100,
    cursor: Annotated[str, Parameter(pattern="^[0-9]{0,15}$", description="`next` of the page before")] = "",
) -> Past:
    """What the parameters say."""
    return Past(limit, int(cursor) if cursor else None)


def select(rows: Iterable[T], wanted: Listing, fields: Fields[T], key: Callable[[T], str]) -> Slice[T]:
    """The page of rows. Raises InvalidValue with every fault of filters and order."""
    return cut(select_rows(rows, wanted.query, fields).rows, wanted, key)


def cut(rows: tuple[T, ...], wanted: Listing, key: Callable[[T], str]) -> Slice[T]:
    """The page of rows that are chosen and ordered already."""
    start = _start(rows, wanted, key)
    end = start + wanted.limit
    more = end < len(rows)
    return Slice(rows[start:end], len(rows), write_cursor(end, key(rows[end - 1])) if more else "")


def _start(rows: tuple[T, ...], wanted: Listing, key: Callable[[T], str]) -> int:
    """After the row that the page before ended with; where it was, when it is gone."""
    if not wanted.offset:
        return 0
    near = wanted.offset - 1
    if near < len(rows) and key(rows[near]) == wanted.after:
        return wanted.offset
    return next((index + 1 for index, row in enumerate(rows) if key(row) == wanted.after), wanted.offset)


def write_cursor(offset: int, after: str) -> str:
    """Where a page ended: how many rows were before, and the key of the last of them."""
    return base64.urlsafe_b64encode(f"{offset}:{after}".encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[int, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        offset, separator, after = text.partition(":")
        if not separator or not offset.isascii() or not offset.isdigit() or not 0 < len(offset) <= 9:
            raise ValueError(text)
        return int(offset), after
    except (binascii.Error, ValueError) as error:
        raise InvalidValue([Problem("cursor", "is not one that a list answered as `next`")]) from error


def _filter(index: int, text: str) -> Filter:
    parts = text.split(":", _FILTER_PARTS - 1)
    if len(parts) != _FILTER_PARTS:
        raise InvalidValue([Problem(f"filter[{index}]", 'must be "field:operator:value"')])
    return Filter(*parts)
