"""Decider: what becomes of each request. The one owner of keys, ledger, choice and what is under way."""

import math
from collections.abc import Coroutine
from typing import Any

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.asking import Allowed, Denied, Verdict
from marchproxy.modules.ailb.decision.choosing import Choice, Chooser, Wish
from marchproxy.modules.ailb.decision.inquiry import Inquiry, Keys, Turned, identify, understand
from marchproxy.modules.ailb.decision.own import Own, OwnAnswers
from marchproxy.modules.ailb.decision.passing import clusters, told
from marchproxy.modules.ailb.decision.under_way import Passed, UnderWay
from marchproxy.modules.ailb.dialects import listing
from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.prices import Tariff
from marchproxy.modules.ailb.ledger.refusal import Refusal
from marchproxy.modules.ailb.plan import AiPlan, ModelPlan, RoutePlan
from marchproxy.modules.ailb.tally import Tallies, TallyKey
from marchproxy.wire.http1 import Request

_LISTS = frozenset({Operation.OPENAI_MODELS, Operation.ANTHROPIC_MODELS})
_ENTRIES = frozenset({Operation.OPENAI_MODEL, Operation.ANTHROPIC_MODEL})
_SECOND = 1_000_000_000


class Decider:
    """Times are nanoseconds since the epoch. `follow` a plan before the first decision."""

    def __init__(
        self, ledger: Ledger, chooser: Chooser, keys: Keys, *, under_way: UnderWay | None = None
    ) -> None:
        self.tallies = Tallies()
        self.under_way = under_way or UnderWay()
        self.own = OwnAnswers()
        self._ledger = ledger
        self._chooser = chooser
        self._keys = keys
        self._plan = AiPlan()
        self._since = 0
        self._own_number = 0

    def follow(self, plan: AiPlan, keys: Keys, now: int) -> None:
        """Decide by this from now on; what is under way goes on as it was let pass."""
        self._plan, self._keys = plan, keys
        self._since = self._since or now // _SECOND
        self._ledger.configure(plan.allowances, now)

    def decide(self, request: Request, now: int) -> Verdict | Coroutine[Any, Any, Verdict]:
        """What Envoy is told. Tries of one request are told the same."""
        request_id = request.field(asking.REQUEST_ID.encode())
        if request_id and (again := self.under_way.asked_again(request_id)) is not None:
            return again.verdict
        inquiry = Inquiry(request)
        try:
            route = identify(inquiry, self._plan, self._keys, now)
            if inquiry.operation in _LISTS or inquiry.operation in _ENTRIES:
                return self._list(inquiry, route, now)
            asked, model = understand(inquiry, route, self._keys)
            return self._let_pass(inquiry, route, asked, model, now)
        except Turned as turned:
            return self._deny(inquiry, turned)

    def _let_pass(
        self, inquiry: Inquiry, route: RoutePlan, asked: Asked, model: ModelPlan, now: int
    ) -> Allowed:
        expected = _expected(asked, route)
        reserved = self._ledger.reserve(now, inquiry.who, model.name, expected, _dearest(model, expected))
        if isinstance(reserved, Refusal):
            raise _refused(reserved)
        try:
            choice = self._choose(inquiry, route, asked, model, now)
        except Turned:
            self._ledger.settle(reserved.number, Usage(), now)
            raise
        verdict = Allowed(clusters(asked, choice), told(reserved.number, inquiry, asked, model, choice))
        targets = tuple(dict.fromkeys(choice.targets))
        request_id = inquiry.request.field(asking.REQUEST_ID.encode())
        passed = Passed(
            reserved.number, request_id, now, route.route_id, asked.operation, model.name, inquiry.who, asked.stream,
            expected, targets, choice.order, verdict,
        )  # fmt: skip
        self.under_way.add(passed)
        return verdict

    def _choose(self, inquiry: Inquiry, route: RoutePlan, asked: Asked, model: ModelPlan, now: int) -> Choice:
        affinity = inquiry.request.field(asking.AFFINITY.encode())
        choice = self._chooser.choose(Wish(model, asked, route.options.attempts, affinity), now)
        if choice is None:
            raise Turned(
                Failure(Reason.OVERLOADED, f"no endpoint for the model {asked.model!r} is sound"),
                retry_after=1,
            )
        return choice

    def _list(self, inquiry: Inquiry, route: RoutePlan, now: int) -> Allowed:
        assert inquiry.call is not None
        wanted = inquiry.call.model
        names = [name for name in route.models if self._may(inquiry, route, name)]
        if inquiry.operation in _LISTS:
            body = listing.models(inquiry.dialect, names, created=self._since)
        elif (found := route.model(wanted)) is not None and self._may(inquiry, route, wanted):
            body = listing.model(
                inquiry.dialect, wanted if wanted in names else found.name, created=self._since
            )
        else:
            raise Turned(Failure(Reason.NO_SUCH_MODEL, f"the model {wanted!r} does not exist", "model"))
        return self._answer(Own(body), now)

    def _may(self, inquiry: Inquiry, route: RoutePlan, name: str) -> bool:
        model = route.model(name)
        if model is None:
            return False
        return inquiry.key is None or self._keys.permits(inquiry.key, model.name)

    def _answer(self, own: Own, now: int) -> Allowed:
        self._own_number += 1
        name = f"own-{self._own_number}"
        self.own.put(name, own, now)
        return Allowed((asking.OWN_CLUSTER,), ((asking.PATH, f"{asking.OWN_KEPT}/{name}"),))

    def _deny(self, inquiry: Inquiry, turned: Turned) -> Denied:
        failure, operation = turned.failure, inquiry.operation
        key = TallyKey(
            inquiry.route.route_id if inquiry.route else "",
            operation.value if operation else "",
            inquiry.model.name if inquiry.model else "",
            "",
            inquiry.who.key,
        )
        self.tallies.of(key).refusals[failure.reason.name.lower()] += 1
        status = turned.status or failure.status(inquiry.dialect)
        request_id = inquiry.request.field(asking.REQUEST_ID.encode())
        return Denied(status, failure.body(inquiry.dialect, request_id=request_id), turned.retry_after)


def _expected(asked: Asked, route: RoutePlan) -> Usage:
    """What it may need at most, as far as one can know."""
    if asked.operation is Operation.COUNT_TOKENS:
        return Usage()
    if not asked.operation.generates:
        return Usage(asked.estimate())
    output = route.options.default_output if asked.max_output is None else asked.max_output
    return Usage(asked.estimate(), output * asked.choices)


def _dearest(model: ModelPlan, expected: Usage) -> Tariff:
    """Whoever answers in the end, it was reserved."""
    targets = model.targets
    if len(targets) == 1:
        return targets[0].tariff
    return max((target.tariff for target in targets), key=lambda tariff: tariff.cost(expected))


def _refused(refusal: Refusal) -> Turned:
    reason = Reason.BUDGET if refusal.measure.is_money else Reason.RATE
    after = None if refusal.retry_after is None else max(1, math.ceil(refusal.retry_after))
    return Turned(Failure(reason, refusal.words), retry_after=after)
