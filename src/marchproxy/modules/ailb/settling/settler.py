"""Settler: takes what relays and Envoys report, and settles each request once. Pure.

Of a request that passed a relay, what the relay says is better (it has counted); so what Envoy says of it waits a little.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from marchproxy.modules.ailb.decision.under_way import Now, Passed, UnderWay
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.reservation import Settled
from marchproxy.modules.ailb.settling.charge import charge
from marchproxy.modules.ailb.settling.report import Ending, Report
from marchproxy.modules.ailb.tally import Tallies, Tally, TallyKey

#: Seconds for which a relay may still say what it has counted.
_PATIENCE = 2.0


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
        noted: Callable[[Passed, Report, Now], None],
        written: Callable[[Outcome, Now], None],
    ) -> None:
        self._under_way = under_way
        self._ledger = ledger
        self._tallies = tallies
        self._noted = noted
        self._written = written
        self._held: OrderedDict[int, tuple[float, Report]] = OrderedDict()

    def relay_says(self, report: Report, now: Now) -> None:
        """An attempt through a relay has ended."""
        passed = self._under_way.get(report.number)
        if passed is None:
            self._ledger.counts.late += 1
            return
        self._noted(passed, report, now)
        if report.is_final or report.number in self._held:
            self._held.pop(report.number, None)
            self._settle(passed, report, now)

    def envoy_says(self, report: Report, now: Now, *, relayed: bool) -> None:
        """A request has ended, whose last attempt went through a relay or did not."""
        passed = self._under_way.get(report.number)
        if passed is None:
            return  # its relay was first, or it was settled at its deadline
        if relayed:
            self._held[report.number] = now.steady, report
            return
        self._noted(passed, report, now)
        self._settle(passed, report, now)

    def sweep(self, now: Now) -> None:
        """Once a second: settle what no relay has reported, and what nobody has."""
        while self._held:
            number, (at, report) = next(iter(self._held.items()))
            if now.steady - at < _PATIENCE:
                break
            del self._held[number]
            passed = self._under_way.get(number)
            if passed is not None:
                self._settle(passed, report, now)
        for settled in self._ledger.expire(now.wall):
            passed = self._under_way.take(settled.reservation.number)
            if passed is not None:
                report = Report(passed.number, Ending.UNREPORTED)
                self._noted(passed, report, now)
                self._count(passed, report, settled)
                self._written(Outcome(passed, report, settled), now)

    def close(self, now: Now) -> None:
        """Settle what waits for a relay's word."""
        self.sweep(now._replace(steady=now.steady + _PATIENCE))

    def _settle(self, passed: Passed, report: Report, now: Now) -> None:
        self._under_way.take(passed.number)
        target = passed.target(report.pool)
        usage = charge(passed, report)
        settled = self._ledger.settle(
            passed.number, usage, now.wall, target.tariff if target and usage else None
        )
        if settled is None:
            return
        if report.duration is None:
            report = replace(report, duration=now.steady - passed.at.steady)
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
