"""Settler: takes what relays and Envoys report, and settles each request once. Pure; times in nanoseconds.

Of a request that passed a relay, what the relay says is better (it has counted); so what Envoy says of it waits a little.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from marchproxy.modules.ailb.decision.under_way import Passed, UnderWay
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.reservation import Settled
from marchproxy.modules.ailb.settling.charge import charge
from marchproxy.modules.ailb.settling.report import Ending, Report
from marchproxy.modules.ailb.tally import Tallies, Tally, TallyKey

_PATIENCE = 2_000_000_000
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, and what that cost."""

    passed: Passed
    report: Report
    settled: Settled


class Settler:
    """`noted`: is told how each attempt went; `written`: what each request cost. Neither may block."""

    def __init__(
        self,
        under_way: UnderWay,
        ledger: Ledger,
        tallies: Tallies,
        *,
        noted: Callable[[Passed, Report, int], None],
        written: Callable[[Outcome, int], None],
    ) -> None:
        self._under_way = under_way
        self._ledger = ledger
        self._tallies = tallies
        self._noted = noted
        self._written = written
        self._held: OrderedDict[int, tuple[int, Report]] = OrderedDict()

    def relay_says(self, report: Report, now: int) -> None:
        """An attempt through a relay has ended."""
        passed = self._under_way.get(report.number)
        if passed is None:
            self._ledger.counts.late += 1
            return
        self._noted(passed, report, now)
        if report.is_final or report.number in self._held:
            self._held.pop(report.number, None)
            self._settle(passed, report, now)

    def envoy_says(self, report: Report, now: int, *, relayed: bool) -> None:
        """A request has ended, whose last attempt went through a relay or did not."""
        passed = self._under_way.get(report.number)
        if passed is None:
            return  # its relay was first, or it was settled at its deadline
        if relayed:
            self._held[report.number] = now, report
            return
        self._noted(passed, report, now)
        self._settle(passed, report, now)

    def sweep(self, now: int) -> None:
        """Once a second: settle what no relay has reported, and what nobody has."""
        while self._held:
            number, (at, report) = next(iter(self._held.items()))
            if 0 <= now - at < _PATIENCE:
                break
            del self._held[number]
            passed = self._under_way.get(number)
            if passed is not None:
                self._settle(passed, report, now)
        for settled in self._ledger.expire(now):
            passed = self._under_way.take(settled.reservation.number)
            if passed is not None:
                report = Report(passed.number, Ending.UNREPORTED)
                self._noted(passed, report, now)
                self._count(passed, report, settled)
                self._written(Outcome(passed, report, settled), now)

    def close(self, now: int) -> None:
        """Settle what waits for a relay's word."""
        self.sweep(now + _PATIENCE)

    def _settle(self, passed: Passed, report: Report, now: int) -> None:
        self._under_way.take(passed.number)
        target = passed.target(report.pool)
        usage = charge(passed, report)
        settled = self._ledger.settle(passed.number, usage, now, target.tariff if target and usage else None)
        if settled is None:
            return
        if report.duration is None:
            report = replace(report, duration=max(0, now - passed.at) / _SECOND)
        self._count(passed, report, settled)
        self._written(Outcome(passed, report, settled), now)

    def _count(self, passed: Passed, report: Report, settled: Settled) -> None:
        tally = self._tallies.of(
            TallyKey(passed.route, passed.operation.value, passed.model, report.pool, passed.who.key)
        )
        tally.endings[report.ending.value] += 1
        tally.use(settled.usage, settled.cost)
        if not settled.is_counted:
            tally.uncounted += 1
        _time(tally, passed, report)


def _time(tally: Tally, passed: Passed, report: Report) -> None:
    if passed.waited:
        tally.queue_time.add(passed.waited)
    if report.duration is not None:
        tally.duration.add(report.duration)
    if report.first_token is not None:
        tally.first_token.add(report.first_token)
    if report.per_token is not None:
        tally.per_token.add(report.per_token)
