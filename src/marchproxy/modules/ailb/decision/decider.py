"""Decider: what becomes of each request. The one owner of keys, ledger, choice and what is under way."""

import math
from collections.abc import Coroutine
from typing import Any

from marchproxy.model.usage import Usage
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.asking import Allowed, Denied, Verdict
from marchproxy.modules.ailb.choice import Chooser, Chosen, NotNow, Prompt, Wanted
from marchproxy.modules.ailb.decision.inquiry import Inquiry, Keys, Turned, identify, understand
from marchproxy.modules.ailb.decision.own import Own, OwnAnswers
from marchproxy.modules.ailb.decision.passing import clusters, told
from marchproxy.modules.ailb.decision.under_way import Now, Passed, UnderWay
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
_REQUEST_ID = asking.REQUEST_ID.encode()
_AFFINITY = asking.AFFINITY.encode()


class Decider:
    """`follow` a plan before the first decision. Who asks keeps the chooser's endpoints as they are."""

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

    def follow(self, plan: AiPlan, keys: Keys, now: Now) -> None:
        """Decide by this from now on; what is under way goes on as it was let pass."""
        self._plan, self._keys = plan, keys
        self._since = self._since or now.wall // _SECOND
        self._ledger.configure(plan.allowances, now.wall)

    def decide(self, request: Request, now: Now) -> Verdict | Coroutine[Any, Any, Verdict]:
        """What Envoy is told. Tries of one request are told the same."""
        request_id = request.field(_REQUEST_ID)
        if request_id and (again := self.under_way.asked_again(request_id)) is not None:
            return again.verdict
        inquiry = Inquiry(request, now)
        try:
            route = identify(inquiry, self._plan, self._keys)
            if inquiry.operation in _LISTS or inquiry.operation in _ENTRIES:
                return self._list(inquiry, route)
            asked, model = understand(inquiry, route, self._keys)
            return self._let_pass(inquiry, route, asked, model)
        except Turned as turned:
            return self._deny(inquiry, turned)

    def _let_pass(self, inquiry: Inquiry, route: RoutePlan, asked: Asked, model: ModelPlan) -> Allowed:
        expected, wall = _expected(asked, route), inquiry.now.wall
        reserved = self._ledger.reserve(wall, inquiry.who, model.name, expected, _dearest(model, expected))
        if isinstance(reserved, Refusal):
            raise _refused(reserved)
        try:
            chosen = self._choose(inquiry, route, asked, model, expected)
        except Turned:
            self._ledger.settle(reserved.number, Usage(), wall)
            raise
        verdict = Allowed(clusters(asked, chosen), told(reserved.number, inquiry, asked, model, chosen))
        passed = Passed(
            reserved.number, inquiry.request.field(_REQUEST_ID), inquiry.now, route.route_id, asked.operation, model.name,
            inquiry.who, asked.stream, expected, chosen, verdict,
        )  # fmt: skip
        self.under_way.add(passed)
        return verdict

    def _choose(
        self, inquiry: Inquiry, route: RoutePlan, asked: Asked, model: ModelPlan, expected: Usage
    ) -> Chosen:
        affinity = inquiry.request.field(_AFFINITY)
        prompt = Prompt(asked.operation, asked.body, model.name)
        wanted = Wanted(model, prompt, route.options.attempts, affinity, expected)
        chosen = self._chooser.choose(wanted, inquiry.now.steady)
        if isinstance(chosen, Chosen):
            return chosen
        if chosen is NotNow.FULL:
            words = f"every endpoint for the model {asked.model!r} is full: try again"
            raise Turned(Failure(Reason.RATE, words, code="overloaded"), retry_after=1)
        words = f"there is no endpoint for the model {asked.model!r}"
        raise Turned(Failure(Reason.OVERLOADED, words), retry_after=1)

    def _list(self, inquiry: Inquiry, route: RoutePlan) -> Allowed:
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
        return self._answer(Own(body), inquiry.now)

    def _may(self, inquiry: Inquiry, route: RoutePlan, name: str) -> bool:
        model = route.model(name)
        if model is None:
            return False
        return inquiry.key is None or self._keys.permits(inquiry.key, model.name)

    def _answer(self, own: Own, now: Now) -> Allowed:
        self._own_number += 1
        name = f"own-{self._own_number}"
        self.own.put(name, own, now.wall)
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
        request_id = inquiry.request.field(_REQUEST_ID)
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
