"""Ledger: who may send a request, and what it used in the end. The one owner of everything that is counted.

Pure: `now` is nanoseconds since the epoch, UTC. A request is reserved at what it may need at most and settled once, at what it
needed ([ADR 31](../../../../docs/adr/0031-reserve-then-settle.md)). Nothing is taken when one of several allowances refuses.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from marchproxy.model.ai import Allowance
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger.account import Account, Need
from marchproxy.modules.ailb.ledger.accounts import Accounts
from marchproxy.modules.ailb.ledger.bucket import MINUTE
from marchproxy.modules.ailb.ledger.periods import SECOND, Today, today
from marchproxy.modules.ailb.ledger.plan import Plan
from marchproxy.modules.ailb.ledger.prices import FREE, Tariff
from marchproxy.modules.ailb.ledger.refusal import Refusal
from marchproxy.modules.ailb.ledger.reservation import Reservation, Settled
from marchproxy.modules.ailb.ledger.totals import Totals
from marchproxy.modules.ailb.ledger.who import Who

_MOST_PLANS = 8192
_SWEPT_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """Bounds. `names` of one allowance that have accounts of their own; `under_way`: requests; `report_within`: seconds after
    which a request that nobody has spoken of is settled at its reservation (Envoy speaks of each once a minute)."""

    names: int = 50_000
    under_way: int = 100_000
    report_within: float = 300.0


@dataclass(slots=True)
class Counts:
    """What became of requests. `lost`: nobody reported them in time. `late`: reports of requests that were settled already,
    or that nobody knows."""

    granted: int = 0
    refused: int = 0
    settled: int = 0
    lost: int = 0
    late: int = 0


class Ledger:
    """The allowances, and what was used of them. `first` is the number of its first reservation: larger than any before a
    restart, so that a late report of that time settles nothing else. The time will do."""

    def __init__(self, first: int, totals: Totals, limits: LedgerLimits = LedgerLimits()) -> None:
        self.counts = Counts()
        self._numbers = count(first)
        self._totals = totals
        self._limits = limits
        self._patience = int(limits.report_within * SECOND)
        self._instances = 1
        self._allowances: dict[str, Accounts] = {}
        self._plans: dict[tuple[Who, str], Plan] = {}
        self._under_way: dict[int, Reservation] = {}
        self._waiting: dict[int, Reservation] = {}
        self._lost: deque[Settled] = deque()
        self._today = today(0)

    @property
    def under_way(self) -> int:
        """How many requests are not settled."""
        return len(self._under_way) + len(self._waiting)

    @property
    def accounts(self) -> int:
        """How many accounts there are."""
        return sum(map(len, self._allowances.values()))

    def configure(self, allowances: Iterable[Allowance], now: int) -> None:
        """Follow these allowances. One that is known by its id keeps what was used of it, also while it is not enabled."""
        self._plans.clear()
        before, self._allowances = self._allowances, {}
        for allowance in allowances:
            scope = allowance.scope
            if scope is None:
                continue  # the document's checks refuse it
            known = before.get(allowance.allowance_id)
            if known is None or known.scope is not scope:
                known = Accounts(scope, self._totals, self._plans.clear, most=self._limits.names)
            known.resize(allowance, self._instances, now)
            self._allowances[allowance.allowance_id] = known

    def divide(self, instances: int, now: int) -> None:
        """Grant one of so many equal shares; what was used here stays used here."""
        if instances == self._instances:
            return
        self._instances = max(1, instances)
        self.configure([accounts.allowance for accounts in self._allowances.values()], now)

    def reserve(
        self, now: int, who: Who, model: str, expected: Usage, tariff: Tariff = FREE
    ) -> Reservation | Refusal:
        """Take what a request may need at most, or say which allowance has not enough; then nothing was taken."""
        when = self._today
        if not when.begins <= now < when.ends:
            when = self._turn(now)
        plan = self._plans.get((who, model)) or self._plan(who, model, now)
        cost = tariff.cost(expected)
        units = (expected.input + expected.output) * MINUTE
        if plan.is_short(units, cost, now, when):
            self.counts.refused += 1
            return plan.refusal(Need(expected.input + expected.output, cost), now, when)
        portions = plan.reserve(units, cost)
        number = next(self._numbers)
        reservation = Reservation(number, now, who, model, expected, tariff, cost, plan, portions)
        if len(self._under_way) >= self._limits.under_way:
            self._lose(next(iter(self._under_way.values())), now)
        self._under_way[number] = reservation
        self.counts.granted += 1
        return reservation

    def adopt(
        self, number: int, now: int, who: Who, model: str, expected: Usage, tariff: Tariff = FREE
    ) -> None:
        """Take up what a ledger before this one has granted, with its number: whether there is enough is not asked."""
        plan = self._plans.get((who, model)) or self._plan(who, model, now)
        cost = tariff.cost(expected)
        units = (expected.input + expected.output) * MINUTE
        plan.is_short(units, cost, now, self._turn(now))  # brings the buckets up to now
        portions = plan.reserve(units, cost)
        self._under_way[number] = Reservation(number, now, who, model, expected, tariff, cost, plan, portions)

    def hold(self, number: int) -> None:
        """A request waits here: nobody else knows of it, until `touch` says that it was sent."""
        reservation = self._under_way.pop(number, None)
        if reservation is not None:
            self._waiting[number] = reservation

    def touch(self, number: int, now: int) -> None:
        """A request is under way: it has as long again to be settled in."""
        reservation = self._waiting.pop(number, None) or self._under_way.pop(number, None)
        if reservation is not None:
            reservation.at = now
            self._under_way[number] = reservation

    def leave(self, number: int) -> None:
        """A request is over, and somebody will say later what it has used: another one may be sent instead."""
        reservation = self._under_way.get(number)
        if reservation is not None and reservation.is_seated:
            reservation.is_seated = False
            reservation.plan.leave()

    def settle(
        self,
        number: int,
        usage: Usage | None,
        now: int,
        tariff: Tariff | None = None,
        *,
        is_counted: bool = True,
    ) -> Settled | None:
        """Have a request use what it used; None: nobody can say, so it is what was reserved.

        `tariff` is that of who answered, where it is another than was reserved for. Not `is_counted`: the usage is a guess.
        Returns None when the request is settled already, or unknown.
        """
        reservation = self._under_way.pop(number, None) or self._waiting.pop(number, None)
        if reservation is None:
            self.counts.late += 1
            return None
        self.counts.settled += 1
        settled = self._settle(reservation, usage, now, tariff)
        settled.is_counted = settled.is_counted and is_counted
        return settled

    def expire(self, now: int) -> list[Settled]:
        """Settle what nobody has spoken of for long, at what was reserved; everything that was lost since the last call."""
        while self._under_way:
            oldest = next(iter(self._under_way.values()))
            # one that began in the future began before the clock was set back: it is no older than what is behind it
            if now - oldest.at < self._patience:
                break
            self._lose(oldest, now)
        lost = list(self._lost)
        self._lost.clear()
        return lost

    def sweep(self, now: int) -> None:
        """Forget accounts that say nothing any more: some of each allowance at a time. Called about once a second."""
        for accounts in self._allowances.values():
            accounts.sweep(now, _SWEPT_AT_ONCE)

    def _settle(
        self, reservation: Reservation, usage: Usage | None, now: int, tariff: Tariff | None = None
    ) -> Settled:
        expected, reserved = reservation.expected, reservation.cost
        used = expected if usage is None else usage
        cost = reserved if usage is None and tariff is None else (tariff or reservation.tariff).cost(used)
        plan = reservation.plan
        if plan.tokens:
            before = (expected.input + expected.output) * MINUTE
            plan.settle_tokens(reservation.portions, before, (used.input + used.output) * MINUTE, now)
        if reservation.is_seated:
            plan.leave()
        plan.let_go(reserved)
        self._totals.add(reservation.who, reservation.model, cost, self._turn(now))
        return Settled(reservation, used, cost, now, is_counted=usage is not None)

    def _lose(self, reservation: Reservation, now: int) -> None:
        del self._under_way[reservation.number]
        self.counts.lost += 1
        self._lost.append(self._settle(reservation, None, now))

    def _plan(self, who: Who, model: str, now: int) -> Plan:
        accounts: list[Account] = []
        for each in self._allowances.values():
            name = each.name(who, model)
            if name is not None:
                accounts.append(each.account(name, now))
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        plan = self._plans[who, model] = Plan(accounts)
        return plan

    def _turn(self, now: int) -> Today:
        """Be at the day of `now`."""
        if not self._today.begins <= now < self._today.ends:
            self._today = today(now)
        return self._today
