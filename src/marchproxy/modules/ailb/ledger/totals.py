"""Totals: what everybody has spent in the current day and month, in micro-units. Budgets are held against them.

They are kept on disk, so they are there after a restart, for names and allowances that are new as well.
"""

from dataclasses import dataclass
from typing import TypeAlias

from marchproxy.model.ai import AllowanceScope
from marchproxy.modules.ailb.ledger.periods import Today
from marchproxy.modules.ailb.ledger.who import OTHERS, Who

#: A name that has spent something: scope, name, and the fields of `Spent`.
Row: TypeAlias = tuple[str, str, int, int, int, int]
_MOST_FOUND = 8192


@dataclass(slots=True)
class Spent:
    """Of one name: the last day and month in which it spent something, and how much.

    A day that has begun stays: where the clock is set back to the one before, what is spent counts for the later one. A clock
    that goes back further was wrong before.
    """

    day: int
    today: int
    month: int
    this_month: int

    def in_day(self, when: Today) -> int:
        """What was spent on the day."""
        return self.today if 0 <= self.day - when.day <= 1 else 0

    def in_month(self, when: Today) -> int:
        """What was spent in the month."""
        return self.this_month if 0 <= self.month - when.month <= 1 else 0

    def add(self, cost: int, when: Today) -> None:
        """So much more."""
        if not 0 <= self.day - when.day <= 1:
            self.day, self.today = when.day, 0
        if not 0 <= self.month - when.month <= 1:
            self.month, self.this_month = when.month, 0
        self.today += cost
        self.this_month += cost


class Totals:
    """By scope and name. `most` names; what those beyond spend is the share of one that stands for all others.

    None is forgotten while the process lives, for purses hold on to them.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._spent: dict[tuple[AllowanceScope, str], Spent] = {}
        self._found: dict[tuple[Who, str], tuple[Spent, ...]] = {}

    def add(self, who: Who, model: str, cost: int, when: Today) -> None:
        """So much was spent."""
        if cost:
            for spent in self._found.get((who, model)) or self._find(who, model):
                spent.add(cost, when)

    def of(self, scope: AllowanceScope, name: str) -> Spent:
        """What a name has spent; it goes on counting."""
        if (scope, name) not in self._spent and len(self._spent) >= self._most:
            name = OTHERS
        return self._spent.setdefault((scope, name), Spent(0, 0, 0, 0))

    def rows(self) -> tuple[Row, ...]:
        """All who have spent something, as it is now. 1 ms for 2,000 of them."""
        return tuple(
            [
                (scope.value, name, spent.day, spent.today, spent.month, spent.this_month)
                for (scope, name), spent in self._spent.items()
                if spent.this_month
            ]
        )

    def _find(self, who: Who, model: str) -> tuple[Spent, ...]:
        if len(self._found) >= _MOST_FOUND:
            self._found.clear()
        names = ((scope, who.name(scope, model)) for scope in AllowanceScope)
        found = self._found[who, model] = tuple(
            self.of(scope, name) for scope, name in names if name or scope is AllowanceScope.EVERYTHING
        )
        return found
