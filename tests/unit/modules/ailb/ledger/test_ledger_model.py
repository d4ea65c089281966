"""The ledger against a model that shares nothing with it: it keeps the whole history, and works everything out anew each time.

Of tokens the model knows what each request turned out to need, and has it take that when it began: no grant may go beyond what
that leaves. Nor may a refusal be wrong where nothing was ever given back.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from marchproxy.model.ai import Allowance
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb.ledger import Ledger, LedgerLimits, Measure, Refusal, Tariff, Totals, Who

SECOND = 10**9
START = 1_900_000_000 * SECOND
PATIENCE = 900
KINDS = ("key:*", "user:ann", "team:*", "model:m1", "*")
PRICE = Tariff(input=1_500_000, output=7_000_001)
WHO = [Who("k1", "ann", "red"), Who("k2", "ann", "red"), Who("k3", "bob", "blue"), Who("k4")]


def named(target: str, who: Who, model: str) -> str | None:
    word, _, subject = target.partition(":")
    name = {"key": who.key, "user": who.user, "team": who.team, "model": model, "*": "everything"}[word]
    return name if name and subject in {"", "*", name} else None


def cost_of(tokens_in: int, tokens_out: int) -> int:
    exact = tokens_in * Fraction(3, 2) + tokens_out * Fraction(7_000_001, 1_000_000)
    return -int(-exact // 1)


@dataclass
class Request:
    at: Fraction
    names: frozenset[tuple[str, str]]
    tokens: int
    cost: int
    applied: frozenset[tuple[str, str]]
    started: int
    needed: int | None = None
    ended: Fraction | None = None
    day: int = 0
    month: int = 0
    order: int = 0


@dataclass
class History:
    """Of one allowance's name: arrivals of tokens by time, and how its rate changed."""

    requests: list[Request] = field(default_factory=list)

    def level(self, now: Fraction, rates: list[tuple[Fraction, int]], *, given_back: bool) -> Fraction:
        arrivals: list[tuple[Fraction, int]] = []
        for request in self.requests:
            needed = request.tokens if request.needed is None else request.needed
            arrivals.append((request.at, min(needed, request.tokens) if given_back else request.tokens))
            if needed > request.tokens:
                arrivals.append((request.ended, needed - request.tokens))
        return sunk(arrivals, rates, now)

    def count(self, now: Fraction, rates: list[tuple[Fraction, int]]) -> Fraction:
        return sunk([(request.at, 1) for request in self.requests], rates, now)


def sunk(arrivals: list[tuple[Fraction, int]], rates: list[tuple[Fraction, int]], now: Fraction) -> Fraction:
    level, last, rate = Fraction(0), Fraction(0), 1
    events = (
        [(at, 0, new) for at, new in rates] + [(at, 1, tokens) for at, tokens in arrivals] + [(now, 2, 0)]
    )
    for at, kind, value in sorted(events, key=lambda event: event[:2]):
        level = max(Fraction(0), level - (at - last) * rate / 60)
        last = at
        if kind == 0:
            rate = value
        else:
            level += value
    return level


class LedgerAgainstHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.passed = Fraction(0)  # seconds, without what the clock went back
        self.exact = True
        self.ends = 0
        self.totals = Totals()
        self.ledger = Ledger(1, self.totals, LedgerLimits(names=100, under_way=6, report_within=PATIENCE))
        self.instances = 1
        self.allowances = {target: Allowance(target, target, 5, 1000, 3, 0.02, 0.05) for target in KINDS}
        self.histories: dict[tuple[str, str], History] = defaultdict(History)
        self.rates: dict[str, list[tuple[Fraction, int, int]]] = defaultdict(list)
        self.open: dict[int, Request] = {}
        self.all: list[Request] = []
        self.follow()

    def follow(self) -> None:
        self.ledger.configure(self.allowances.values(), self.now)
        for target in self.allowances:
            self.rates[target].append((self.passed, *self.shares(target)))

    def shares(self, target: str) -> tuple[int, int]:
        allowance = self.allowances[target]
        return (
            max(1, allowance.requests_per_minute // self.instances),
            max(1, allowance.tokens_per_minute // self.instances),
        )

    @rule(seconds=st.sampled_from([0, 0.001, 1, 7.5, 30, 61, 700, 40_000, 90_000, 2_700_000]))
    def time_passes(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.passed += Fraction(int(seconds * SECOND), SECOND)

    @rule(seconds=st.integers(1, 600))
    def the_clock_is_set_back(self, seconds: int) -> None:
        self.now -= seconds * SECOND
        self.exact = False

    @rule(
        who=st.sampled_from(WHO),
        model=st.sampled_from(["m1", "m2"]),
        tokens=st.tuples(st.integers(0, 400), st.integers(0, 900)),
    )
    def a_request_comes(self, who: Who, model: str, tokens: tuple[int, int]) -> None:
        found = self.ledger.reserve(self.now, who, model, Usage(*tokens), PRICE)
        every = {target: named(target, who, model) for target in self.allowances}
        names = frozenset((target, name) for target, name in every.items() if name)
        applied = frozenset(at for at in names if self.allowances[at[0]].enabled)
        request = Request(self.passed, names, sum(tokens), cost_of(*tokens), applied, self.now)
        if isinstance(found, Refusal):
            self.is_right(found, request)
            return
        for at in applied:
            self.is_within(at, request)
        assert found.cost == request.cost
        for at in applied:
            self.histories[at].requests.append(request)
        self.open[found.number] = request
        self.all.append(request)
        while len(self.open) > 6:
            self.lose(next(iter(self.open)))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.sampled_from([0, 0.1, 0.5, 1, 1.2, None]))
    def a_request_ends(self, data: st.DataObject, share: float | None) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        request = self.open.pop(number)
        used = request.tokens if share is None else int(request.tokens * share)
        settled = self.ledger.settle(
            number, None if share is None else Usage(used), self.now, PRICE if share is not None else None
        )
        assert settled is not None
        assert settled.is_counted is (share is not None)
        self.end(request, used, settled.cost)
        if share is not None:
            assert settled.cost == cost_of(used, 0)
        assert self.ledger.settle(number, Usage(10**6), self.now) is None

    @rule()
    def what_is_overdue_is_settled(self) -> None:
        lost = self.ledger.expire(self.now)
        for settled in lost:
            if settled.reservation.number in self.open:
                assert self.now - settled.reservation.at >= PATIENCE * SECOND
                self.lose(settled.reservation.number)
        if self.open:
            assert self.now - next(iter(self.open.values())).started < PATIENCE * SECOND

    @rule()
    def idle_accounts_are_forgotten(self) -> None:
        self.ledger.sweep(self.now)

    @rule(
        whose=st.sampled_from(KINDS),
        factor=st.sampled_from([1, 2, 3]),
        enabled=st.sampled_from([True, True, False]),
    )
    def an_allowance_changes(self, whose: str, factor: int, enabled: bool) -> None:
        self.allowances[whose] = Allowance(
            whose, whose, 2 * factor, 600 * factor, factor + 1, 0.01 * factor, 0.02 * factor, enabled
        )
        self.follow()

    @rule(instances=st.integers(1, 3))
    def instances_come_and_go(self, instances: int) -> None:
        self.instances = instances
        self.ledger.divide(instances, self.now)
        for target in self.allowances:
            self.rates[target].append((self.passed, *self.shares(target)))

    @invariant()
    def no_more_is_under_way_than_is_known(self) -> None:
        assert self.ledger.under_way == len(self.open)

    def today(self) -> tuple[int, int]:
        when = datetime.fromtimestamp(self.now // SECOND, UTC)
        return when.toordinal(), when.year * 100 + when.month

    def lose(self, number: int) -> None:
        request = self.open.pop(number)
        self.end(request, request.tokens, request.cost)

    def end(self, request: Request, used: int, cost: int) -> None:
        request.needed, request.cost, request.ended = used, cost, self.passed
        request.day, request.month = self.today()
        self.ends += 1
        request.order = self.ends

    def spent(self, at: tuple[str, str]) -> tuple[int, int]:
        """Of this day and month, or later ones from which the clock went back, and what is reserved."""
        day, month = self.today()
        ended = [one for one in self.all if at in one.names and one.needed is not None]
        reserved = sum(one.cost for one in self.open.values() if at in one.applied)
        return (
            reserved + sum(one.cost for one in ended if self.counted(one, ended)[0] >= day),
            reserved + sum(one.cost for one in ended if self.counted(one, ended)[1] >= month),
        )

    def counted(self, one: Request, ended: list[Request]) -> tuple[int, int]:
        before = [other for other in ended if other.order <= one.order and (other.cost or other is one)]
        return max(other.day for other in before), max(other.month for other in before)

    def held(self, at: tuple[str, str]) -> int:
        return sum(at in one.applied for one in self.open.values())

    def figures(self, at: tuple[str, str]):
        requests = [(when, count) for when, count, _ in self.rates[at[0]]]
        tokens = [(when, count) for when, _, count in self.rates[at[0]]]
        return self.allowances[at[0]], requests, tokens, self.histories[at]

    def is_within(self, at: tuple[str, str], request: Request) -> None:
        """What was granted was there."""
        allowance, requests, tokens, history = self.figures(at)
        per_minute, tokens_per_minute = self.shares(at[0])
        assert history.count(self.passed, requests) + 1 <= per_minute
        level = history.level(self.passed, tokens, given_back=True)
        if request.tokens <= tokens_per_minute:
            assert level + request.tokens <= tokens_per_minute
        else:
            assert (level, request.tokens <= allowance.tokens_per_minute) == (0, True)
        assert self.held(at) < max(1, allowance.concurrent // self.instances)
        if request.cost:
            day, month = self.spent(at)
            assert day + request.cost <= round(allowance.budget_day * 10**6) // self.instances
            assert month + request.cost <= round(allowance.budget_month * 10**6) // self.instances

    def is_right(self, refusal: Refusal, request: Request) -> None:
        """What was refused was not there."""
        target = refusal.allowance.target
        at = (target, refusal.name or "everything")
        assert at in request.applied
        allowance, requests, tokens, history = self.figures(at)
        per_minute, tokens_per_minute = self.shares(target)
        day, month = self.spent(at)
        match refusal.measure:
            case Measure.REQUESTS if self.exact:
                assert history.count(self.passed, requests) + 1 > per_minute
            case Measure.TOKENS if self.exact:
                level = history.level(self.passed, tokens, given_back=False)
                assert level + request.tokens > tokens_per_minute
            case Measure.CONCURRENT:
                assert self.held(at) >= max(1, allowance.concurrent // self.instances)
            case Measure.BUDGET_DAY:
                assert day + request.cost > round(allowance.budget_day * 10**6) // self.instances
            case Measure.BUDGET_MONTH:
                assert month + request.cost > round(allowance.budget_month * 10**6) // self.instances


TestLedgerAgainstHistory = LedgerAgainstHistory.TestCase
TestLedgerAgainstHistory.settings = settings(max_examples=150, stateful_step_count=40)
