"""Purses and seats: what one name may spend in a day or a month, and how many requests at once. Pure."""

from marchproxy.modules.ailb.ledger.periods import Today
from marchproxy.modules.ailb.ledger.totals import Spent


class Purse:
    """A budget: what the totals say was spent, and what requests under way have reserved, on whatever day that was."""

    __slots__ = ("_held", "_monthly", "_spent", "budget")

    def __init__(self, spent: Spent, *, monthly: bool) -> None:
        self.budget = 0
        self._held = 0
        self._spent = spent
        self._monthly = monthly

    def is_short(self, cost: int, when: Today) -> bool:
        """Whether so many micro-units are not there. What costs nothing is never refused."""
        if not cost:
            return False
        spent = self._spent.in_month(when) if self._monthly else self._spent.in_day(when)
        return self._held + spent + cost > self.budget

    def reserve(self, cost: int) -> None:
        """Hold so much until it is let go of."""
        self._held += cost

    def let_go(self, cost: int) -> None:
        """Hold it no more; the totals say what was spent of it."""
        self._held -= cost

    def left(self, when: Today) -> int:
        """What may be spent yet."""
        spent = self._spent.in_month(when) if self._monthly else self._spent.in_day(when)
        return max(0, self.budget - self._held - spent)

    @property
    def is_idle(self) -> bool:
        """Whether it says nothing that the totals do not."""
        return not self._held


class Seats:
    """Requests at once."""

    __slots__ = ("held", "most")

    def __init__(self) -> None:
        self.held = 0
        self.most = 1

    def resize(self, most: int, instances: int) -> None:
        """Be this instance's share of so many, of one at least; who sits stays."""
        self.most = max(1, most // instances)
