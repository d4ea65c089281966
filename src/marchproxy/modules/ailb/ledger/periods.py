"""Periods: the days and months of budgets, in UTC, as numbers. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Today:
    """A day, counted from the epoch, and its month, counted from the year 0, with the nanoseconds where they begin and end."""

    day: int
    month: int
    begins: int
    ends: int
    month_begins: int
    month_ends: int


def today(now: int) -> Today:
    """The day of a time in nanoseconds since the epoch."""
    day = now // DAY
    found = _EPOCH + timedelta(days=day)
    first = found.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    months = ((first - _EPOCH).days * DAY, (following - _EPOCH).days * DAY)
    return Today(day, found.year * 12 + found.month - 1, day * DAY, (day + 1) * DAY, *months)


def iso(now: int) -> str:
    """A time as people and programs read it, to the millisecond."""
    when = datetime.fromtimestamp(now // SECOND, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{now % SECOND // 1_000_000:03d}Z"


def nanoseconds(text: str) -> int:
    """The time of an ISO 8601 text; UTC when it does not say. Raises ValueError."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
