"""Admission: one client's pass through the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.model.module import Protocol
from marchproxy.model.route import RouteId
from marchproxy.model.sql import SqlMode
from marchproxy.modules.dblb.gate import Refusal, RefusalKind
from marchproxy.modules.dblb.limits.court import Court, Courts
from marchproxy.modules.dblb.limits.journal import Journal
from marchproxy.modules.dblb.plan import RoutePlan, Who
from marchproxy.modules.dblb.sql import SqlSession, Syntax
from marchproxy.modules.dblb.tally import Tally
from marchproxy.modules.reception.limits.bucket import Bucket, Exceeded, Nanoseconds
from marchproxy.modules.reception.limits.rate import Ration, ration
from marchproxy.modules.reception.limits.table import LimitTable


@dataclass(slots=True)
class Office:
    """What all passes of a worker are made and asked with."""

    table: LimitTable
    now: Nanoseconds
    journal: Journal
    courts: Courts = field(default_factory=Courts)
    instances: int = 1
    """Among which shared limits are divided."""
    passes: set["LimitedPass"] = field(default_factory=set)
    """Of those who are in."""


class LimitedPass:
    """What one client may do."""

    __slots__ = ("_court", "_office", "_requests", "_route", "_seats", "_syntax", "_tally", "_who", "looks")

    def __init__(self, office: Office, route: RoutePlan, who: Who, tally: Tally) -> None:
        self._office = office
        self._route = route
        self._who = who
        self._tally = tally
        self._syntax: Syntax | None = None
        self._court = self._summon()
        self._requests: tuple[Bucket, ...] = ()
        self._seats: tuple[Bucket, ...] = ()
        self.looks = self._court is not None

    @property
    def place(self) -> tuple[Protocol, RouteId]:
        """Which route it is on."""
        return self._route.route.protocol, self._route.route_id

    def come(self) -> Refusal | None:
        """Be counted as a connection, or be told why not."""
        buckets = self._buckets()
        arrivals = [one for one in buckets if one.ration.rates and not one.ration.counts_requests]
        refusal = _take_all(arrivals)
        if refusal is None:
            refusal = self._sit(buckets)
            if refusal is not None:
                for taken in arrivals:
                    taken.give_back()
        return refusal

    def renew(self, route: RoutePlan, *, again: bool) -> None:
        """Go on by another plan's route, or (`again`) by the same with other shares."""
        known, self._route = self._route, route
        if not again and known.limits == route.limits and known.options.firewall == route.options.firewall:
            return
        self._court = self._summon()
        self._stand_up()
        self._sit(self._buckets(), checked=False)

    def refuses(self, statement: bytes) -> Refusal | None:
        """Why a request is not carried out; None: it is, and is counted. What the firewall blocks is not counted."""
        if self._court is not None:
            refusal = self.forbids(statement)
            if refusal is not None:
                return refusal
        return self.limits() if self._requests else None

    def forbids(self, statement: bytes) -> Refusal | None:
        """What the firewall says; nothing is counted against a limit."""
        court = self._court
        if court is None:
            return None
        ruling = court.rule(statement)
        verdict = ruling.verdict
        if ruling.syntax is not None and not verdict.blocked:
            self.reads(ruling.syntax)
        if verdict.mode is SqlMode.ALLOW:
            return None
        self._office.journal.write(verdict, statement, self._who)
        if verdict.mode is SqlMode.WARN:
            self._tally.warned += 1
        if not verdict.blocked:
            return None
        self._tally.blocked += 1
        return Refusal(verdict.words, RefusalKind.BLOCKED)

    def limits(self) -> Refusal | None:
        """Count one request; why it is not carried out, or None."""
        refusal = _take_all(self._requests)
        if refusal is not None:
            self._tally.limited += 1
        return refusal

    def reads(self, syntax: Syntax) -> None:
        """From now on the session's server reads text so."""
        self._syntax = syntax
        if self._court is not None:
            self._court = self._office.courts.by(self._court.rules, syntax)

    def leave(self) -> None:
        """The client is gone."""
        self.looks, self._requests = False, ()
        self._stand_up()
        self._office.passes.discard(self)

    def _summon(self) -> Court | None:
        who, route = self._who, self._route
        session = SqlSession(who.user, who.database, who.application)
        court = self._office.courts.of(route.options.firewall, route.route.protocol, session)
        if court is not None and self._syntax is not None:
            return self._office.courts.by(court.rules, self._syntax)
        return court

    def _buckets(self) -> list[Bucket]:
        office = self._office
        rations = (ration(limit, office.instances) for limit in self._route.limits)
        return [
            Bucket(one, _whose(one, self._who), office.table, self._tally, now=office.now)
            for one in rations
            if one.rates or one.most
        ]

    def _sit(self, buckets: Sequence[Bucket], *, checked: bool = True) -> Refusal | None:
        seats: list[Bucket] = []
        for one in buckets:
            if one.ration.most and not one.sit(checked=checked):
                for other in seats:
                    other.leave()
                return _refusal(one.too_many())
            seats.append(one)
        self._seats = tuple(seats)
        self._requests = tuple(one for one in buckets if one.ration.counts_requests and one.ration.rates)
        self.looks = self._court is not None or bool(self._requests)
        return None

    def _stand_up(self) -> None:
        seats, self._seats = self._seats, ()
        for one in seats:
            one.leave()


def _take_all(buckets: Sequence[Bucket]) -> Refusal | None:
    """Take one of each; of none when one of them has none left. Says which."""
    for number, bucket in enumerate(buckets):
        wait = bucket.take()
        if wait:
            for taken in buckets[:number]:
                taken.give_back()
            return _refusal(bucket.too_fast(wait))
    return None


def _refusal(exceeded: Exceeded) -> Refusal:
    return Refusal(exceeded.words, RefusalKind.LIMITED, exceeded.retry_after)


def _whose(ration: Ration, who: Who) -> str:
    """The value that has buckets of its own; empty where all share them."""
    values: Mapping[str, str] = {
        "client": who.address,
        "user": who.user,
        "database": who.database,
        "application": who.application,
    }
    return values.get(ration.limit.per.lower(), "")
