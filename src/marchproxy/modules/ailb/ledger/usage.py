"""Usage reports: the entries of a journal added up by whatever tells them apart. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from marchproxy.modules.ailb.ledger.entry import Entry
from marchproxy.modules.ailb.ledger.periods import iso


class By(Enum):
    """What entries are told apart by, or chosen by."""

    KEY = "key"
    USER = "user"
    TEAM = "team"
    MODEL = "model"
    POOL = "pool"
    DAY = "day"
    MONTH = "month"

    def of(self, entry: Entry) -> str:
        """The value of an entry; days and months in UTC."""
        match self:
            case By.KEY | By.USER | By.TEAM:
                return str(getattr(entry.who, self.value))
            case By.MODEL:
                return entry.model
            case By.POOL:
                return entry.pool
            case By.DAY:
                return iso(entry.at)[:10]
            case By.MONTH:
                return iso(entry.at)[:7]


@dataclass(slots=True)
class Sum:
    """Requests, their tokens, and their cost in micro-units. `estimated`: of how many requests nobody has said what they used."""

    requests: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    cost: int = 0
    estimated: int = 0

    def add(self, entry: Entry) -> None:
        """One more."""
        usage = entry.usage
        self.requests += 1
        self.input += usage.input
        self.output += usage.output
        self.cached += usage.cached
        self.cost += entry.cost
        self.estimated += not entry.is_counted


@dataclass(frozen=True, slots=True)
class Report:
    """Sums by their values, in the order of `by`; those with the most cost first, days and months in order."""

    by: tuple[By, ...]
    rows: Mapping[tuple[str, ...], Sum] = field(default_factory=dict)
    total: Sum = field(default_factory=Sum)


def report(entries: Iterable[Entry], by: tuple[By, ...], where: Mapping[By, str]) -> Report:
    """Add up the entries that have all the values of `where`."""
    rows: dict[tuple[str, ...], Sum] = {}
    total = Sum()
    for entry in entries:
        if all(one.of(entry) == value for one, value in where.items()):
            rows.setdefault(tuple([one.of(entry) for one in by]), Sum()).add(entry)
            total.add(entry)
    in_time = [at for at, one in enumerate(by) if one in {By.DAY, By.MONTH}]
    order = sorted(rows, key=lambda row: ([row[at] for at in in_time], -rows[row].cost, row))
    return Report(by, {row: rows[row] for row in order}, total)
