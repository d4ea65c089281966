"""Account: everything that one allowance grants one name, and what that name has used of it. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from marchproxy.model.ai import Allowance
from marchproxy.modules.ailb.ledger.bucket import MINUTE, NEVER, Bucket, Wait
from marchproxy.modules.ailb.ledger.periods import SECOND, Today
from marchproxy.modules.ailb.ledger.prices import micro
from marchproxy.modules.ailb.ledger.purse import Purse, Seats
from marchproxy.modules.ailb.ledger.refusal import Measure, Refusal
from marchproxy.modules.ailb.ledger.tokens import TokenBucket
from marchproxy.modules.ailb.ledger.totals import Spent

#: Seconds after which a client may look whether one of its requests has ended.
_SEAT_MAY_BE_FREE = 1.0


@dataclass(frozen=True, slots=True)
class Need:
    """What a request asks of every account: tokens, and money in micro-units."""

    tokens: int
    cost: int


class Account:
    """The meters of one allowance for one name; None where the allowance does not limit that."""

    __slots__ = ("_spent", "allowance", "day", "month", "name", "requests", "seats", "tokens")

    def __init__(self, allowance: Allowance, name: str, spent: Spent) -> None:
        self.allowance = allowance
        self.name = name
        self._spent = spent
        self.requests: Bucket | None = None
        self.tokens: TokenBucket | None = None
        self.seats: Seats | None = None
        self.day: Purse | None = None
        self.month: Purse | None = None

    def resize(self, allowance: Allowance, instances: int, now: int) -> None:
        """Grant this instance's share of what the allowance says now. What was used stays used."""
        self.allowance = allowance
        day, month = self.day, self.month
        self.requests = (self.requests or Bucket()) if allowance.requests_per_minute else None
        if self.requests is not None:
            self.requests.resize(allowance.requests_per_minute, instances, now)
        self.tokens = (self.tokens or TokenBucket()) if allowance.tokens_per_minute else None
        if self.tokens is not None:
            self.tokens.resize(allowance.tokens_per_minute, instances, now)
        self.seats = (self.seats or Seats()) if allowance.concurrent else None
        if self.seats is not None:
            self.seats.resize(allowance.concurrent, instances)
        self.day = self.month = None
        if allowance.budget_day:
            self.day = day or Purse(self._spent, monthly=False)
            self.day.budget = micro(allowance.budget_day) // instances
        if allowance.budget_month:
            self.month = month or Purse(self._spent, monthly=True)
            self.month.budget = micro(allowance.budget_month) // instances

    def refusals(self, need: Need, now: int, when: Today) -> Iterator[Refusal]:
        """Every measure that has not enough, and when it will."""
        if (bucket := self.requests) is not None and (wait := bucket.wait(MINUTE, now)):
            yield self._refusal(Measure.REQUESTS, (bucket.per_minute, bucket.left(now), 1), _seconds(wait))
        if (bucket := self.tokens) is not None and (wait := bucket.wait(need.tokens * MINUTE, now)):
            yield self._refusal(
                Measure.TOKENS, (bucket.per_minute, bucket.left(now), need.tokens), _seconds(wait)
            )
        if (seats := self.seats) is not None and seats.held >= seats.most:
            yield self._refusal(Measure.CONCURRENT, (seats.most, 0, 1), _SEAT_MAY_BE_FREE)
        yield from self._poverty(need, now, when)

    def is_idle(self, now: int) -> bool:
        """Whether a new account would grant the same; then it may be forgotten."""
        return (
            (self.requests is None or self.requests.is_idle(now))
            and (self.tokens is None or self.tokens.is_idle(now))
            and (self.seats is None or not self.seats.held)
            and (self.day is None or self.day.is_idle)
            and (self.month is None or self.month.is_idle)
        )

    def _poverty(self, need: Need, now: int, when: Today) -> Iterator[Refusal]:
        for measure, purse, ends in (
            (Measure.BUDGET_DAY, self.day, when.ends),
            (Measure.BUDGET_MONTH, self.month, when.month_ends),
        ):
            if purse is not None and purse.is_short(need.cost, when):
                wait = _seconds(ends - now) if need.cost <= purse.budget else None
                yield self._refusal(measure, (purse.budget, purse.left(when), need.cost), wait)

    def _refusal(self, measure: Measure, figures: tuple[int, int, int], retry_after: float | None) -> Refusal:
        limit, left, asked = figures
        return Refusal(self.allowance, self.name, measure, limit, left, asked, retry_after)


def _seconds(wait: Wait) -> float | None:
    return None if wait is NEVER else math.ceil(wait / SECOND * 1000) / 1000
