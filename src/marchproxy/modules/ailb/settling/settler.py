"""Settler: takes what relays and Envoys report, and settles each request once. Pure.

Of a request that passed a relay, what the relay says is better (it has counted); so what Envoy says of it waits a little, and
what the relay says of an attempt waits for Envoy, where there may be another. What a request held is given back at the first of
the two that knows that it is over.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.decision.under_way import Now, Passed, UnderWay
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.reservation import Settled
from marchproxy.modules.ailb.settling.entries import Told
from marchproxy.modules.ailb.settling.guessing import Guesses
from marchproxy.modules.ailb.settling.report import Ending, Report
from marchproxy.modules.ailb.tally import Tallies, Tally, TallyKey

#: Seconds for which a relay may still say what it has counted.
_PATIENCE = 5.0
#: Seconds for which Envoy may still say that there was no other attempt; it speaks of each request that goes on once a minute.
_UNSEEN = 75.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, and what that cost."""

    passed: Passed
    report: Report
    settled: Settled


class Followers(Protocol):
    """Who is told of the ends of requests. None of these may block."""

    def noted(self, passed: Passed, report: Report, now: Now) -> None:
        """A request has ended so: for who chooses."""

    def refused(self, report: Report, now: Now) -> None:
        """A provider has refused our credential: for the log."""

    def written(self, outcome: Outcome, now: Now) -> None:
        """It has cost so much: for the journal."""

    def revived(self, told: Told, now: Now) -> Passed | None:
        """Make a request anew, with its reservation, that a decider before this one has let pass; None: it cannot be."""


class Settler:
    """`first`: the number of the first reservation of this decider; `settled`: those before it that are known to be settled."""

    def __init__(
        self,
        under_way: UnderWay,
        ledger: Ledger,
        tallies: Tallies,
        followers: Followers,
        *,
        first: int = 0,
        settled: Iterable[int] = (),
    ) -> None:
        self._under_way = under_way
        self._ledger = ledger
        self._tallies = tallies
        self._followers = followers
        self._first = first
        self._settled = set(settled)
        self._guesses = Guesses()
        self._held: OrderedDict[int, tuple[float, Report]] = OrderedDict()
        self._unseen: OrderedDict[int, tuple[float, Report]] = OrderedDict()

    def relay_says(self, report: Report, now: Now) -> bool:
        """An attempt through a relay has ended, or goes on; whether that was of any use."""
        number = report.number
        passed = self._under_way.get(number)
        if passed is None:
            passed = self._revive(Told(report, relayed=True, fields=report.fields), now)
        if passed is None:
            self._ledger.counts.late += 1
            return False
        if report.ending is Ending.GOING:
            self._ledger.touch(number, now.wall)
            return True
        self._heed_refusal(passed, report, now)
        if report.is_final or self._is_last(passed, report):
            self._settle(passed, report, now)
        else:
            self._unseen.pop(number, None)
            self._unseen[number] = now.steady, report
        return True

    def envoy_says(self, told: Told, now: Now) -> None:
        """A request has ended."""
        number = told.report.number
        passed = self._under_way.get(number) or self._revive(told, now)
        if passed is None:
            return  # its relay was first, or it was settled at its deadline
        if not told.is_over:
            self._goes_on(told.report, now)
            return
        if not told.relayed:
            self._heed_refusal(passed, told.report, now)
            self._settle(passed, told.report, now)
            return
        if number not in self._held:
            self._ledger.leave(number)
            self._followers.noted(passed, told.report, now)
        self._held[number] = now.steady, told.report
        if (known := self._unseen.get(number)) is not None:
            self.relay_says(known[1], now)

    def nobody_waits(self, request_id: str, now: Now) -> None:
        """Envoy has ended a request before it was told what becomes of it."""
        passed = self._under_way.asked_again(request_id)
        if passed is not None:
            self._settle(passed, Report(passed.number, Ending.CLIENT_GONE), now)
        else:
            self._under_way.note_gone(request_id, now.steady)

    def _is_last(self, passed: Passed, report: Report) -> bool:
        """Whether there is no other attempt behind this one: Envoy says so, or was told of none."""
        held = self._held.get(report.number)
        if held is not None:
            return report.attempts >= held[1].attempts
        return 0 < len(passed.verdict.clusters) <= report.attempts

    def _goes_on(self, report: Report, now: Now) -> None:
        self._ledger.touch(report.number, now.wall)
        unseen = self._unseen.pop(report.number, None)
        if unseen is not None and unseen[1].attempts >= report.attempts:  # else somebody else was asked
            self._unseen[report.number] = now.steady, unseen[1]

    def _revive(self, told: Told, now: Now) -> Passed | None:
        number = told.report.number
        if number >= self._first or number in self._settled:
            return None
        passed = self._followers.revived(told, now)
        if passed is not None:
            self._settled.add(number)
            self._under_way.add(passed)
        return passed

    def sweep(self, now: Now) -> None:
        """Once a second: settle what no relay has reported, and what nobody has."""
        for waiting, patience in ((self._held, _PATIENCE), (self._unseen, _UNSEEN)):
            while waiting:
                number, (at, report) = next(iter(waiting.items()))
                if now.steady - at < patience:
                    break
                passed = self._under_way.get(number)
                if passed is not None:
                    self._settle(passed, report, now)
                waiting.pop(number, None)
        for settled in self._ledger.expire(now.wall):
            passed = self._under_way.take(settled.reservation.number)
            if passed is not None:
                report = Report(passed.number, Ending.UNREPORTED)
                self._followers.noted(passed, report, now)
                self._count(passed, report, settled)
                self._followers.written(Outcome(passed, report, settled), now)

    def close(self, now: Now) -> None:
        """Settle what waits for a relay's word; what waits for Envoy's may go on, and a decider after this one will hear of it."""
        self.sweep(now._replace(steady=now.steady + _PATIENCE))

    def _settle(self, passed: Passed, report: Report, now: Now) -> None:
        number = passed.number
        self._under_way.take(number)
        was_noted = self._held.pop(number, None) is not None
        self._unseen.pop(number, None)
        target = passed.target(report.pool)
        usage, is_counted = self._guesses.charge(passed, report)
        self._guesses.learn(passed, report)
        tariff = target.tariff if target and usage else None
        settled = self._ledger.settle(number, usage, now.wall, tariff, is_counted=is_counted)
        if settled is None:
            return
        if not was_noted:
            self._followers.noted(passed, report, now)
        if report.duration is None:
            report = replace(report, duration=now.steady - passed.at.steady)
        self._count(passed, report, settled)
        self._followers.written(Outcome(passed, report, settled), now)

    def _heed_refusal(self, passed: Passed, report: Report, now: Now) -> None:
        """Where a provider has refused our credential, somebody should know, although another may answer."""
        if report.status in asking.REFUSED:
            self._tally(passed, report).credential[str(report.status)] += 1
            self._followers.refused(report, now)

    def _tally(self, passed: Passed, report: Report) -> Tally:
        return self._tallies.of(
            TallyKey(passed.route, passed.operation.value, passed.model.name, report.pool, passed.who.key)
        )

    def _count(self, passed: Passed, report: Report, settled: Settled) -> None:
        tally = self._tally(passed, report)
        tally.endings[report.ending.value] += 1
        used = settled.usage
        tally.use(used, settled.cost)
        if not settled.cost and used.input + used.output and not _is_priced(passed, report):
            tally.unpriced_tokens += used.input + used.output
        if not settled.is_counted:
            tally.uncounted += 1
        elif used.input:
            tally.note_counted(used)
        _time(tally, passed, report)


def _is_priced(passed: Passed, report: Report) -> bool:
    target = passed.target(report.pool)
    return target.is_priced if target else any(each.is_priced for each in passed.model.targets)


def _time(tally: Tally, passed: Passed, report: Report) -> None:
    if passed.waited:
        tally.queue_time.add(passed.waited)
    if report.duration is not None:
        tally.duration.add(report.duration)
    if report.first_token is not None:
        tally.first_token.add(report.first_token)
    if report.per_token is not None:
        tally.per_token.add(report.per_token)
