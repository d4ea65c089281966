"""Refusals: which allowance said no, and what a client is told."""

from dataclasses import dataclass
from enum import Enum

from marchproxy.model.ai import Allowance, AllowanceScope
from marchproxy.modules.ailb.ledger.prices import MICRO


class Measure(Enum):
    """What of an allowance is used up."""

    REQUESTS = "requests per minute"
    TOKENS = "tokens per minute"
    CONCURRENT = "requests at once"
    BUDGET_DAY = "budget of the day"
    BUDGET_MONTH = "budget of the month"

    @property
    def is_money(self) -> bool:
        """Whether it is in micro-units of money."""
        return self in {Measure.BUDGET_DAY, Measure.BUDGET_MONTH}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was taken. `name` is whose share is used up; `limit`, `left` and `asked` are of `measure`, money in micro-units.

    `limit` and `left` are those of this instance. `retry_after`: seconds until so much would be granted if nobody else came;
    None: waiting does not help.
    """

    allowance: Allowance
    name: str
    measure: Measure
    limit: int
    left: int
    asked: int
    retry_after: float | None

    @property
    def words(self) -> str:
        """What the client is told; nothing of other clients."""
        shown = _money if self.measure.is_money else str
        whose = "" if self.allowance.scope is AllowanceScope.EVERYTHING else f" of {self._whose()}"
        figures = f"limit {shown(self.limit)}, left {shown(self.left)}, needed {shown(self.asked)}"
        if self.retry_after is None:
            remedy = "this request needs more than there will ever be: ask for fewer tokens (max_tokens)"
        else:
            remedy = f"try again in {self.retry_after:g} s"
        return f"{self.measure.value}{whose} used up ({figures}): {remedy}"

    def _whose(self) -> str:
        scope = self.allowance.scope
        if scope is AllowanceScope.KEY:
            return "this key"
        return f"{scope.value if scope else ''} {self.name}".strip()


def _money(amount: int) -> str:
    return f"{amount / MICRO:.6f}".rstrip("0").rstrip(".")
