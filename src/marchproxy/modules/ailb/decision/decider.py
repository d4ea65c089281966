"""Decider: what becomes of each request. The one owner of keys, ledger, choice and what is under way."""

from collections.abc import Coroutine, Mapping
from secrets import token_bytes
from typing import Any
from urllib.parse import unquote

from marchproxy.model.route import RouteId
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.asking import Allowed, Denied, Verdict
from marchproxy.modules.ailb.choice import Chosen
from marchproxy.modules.ailb.decision.admission import Admission, Ready, dearest
from marchproxy.modules.ailb.decision.gate import Gate
from marchproxy.modules.ailb.decision.inquiry import Inquiry, Keys, Turned, identify, understand
from marchproxy.modules.ailb.decision.own import Own, OwnAnswers
from marchproxy.modules.ailb.decision.under_way import Now, Passed, UnderWay
from marchproxy.modules.ailb.decision.whose import decode
from marchproxy.modules.ailb.dialects import listing
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.guards import Asking, Walk, unanswered
from marchproxy.modules.ailb.keys import KeyRing
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.plan import AiPlan, RoutePlan
from marchproxy.modules.ailb.tally import Tallies, TallyKey
from marchproxy.wire.http1 import Request

_LISTS = frozenset({Operation.OPENAI_MODELS, Operation.ANTHROPIC_MODELS})
_OWN = _LISTS | {Operation.OPENAI_MODEL, Operation.ANTHROPIC_MODEL}
_OPERATIONS = {operation.value: operation for operation in Operation}
_SECOND = 1_000_000_000
#: For a request whose client has gone: whatever it asks for is not to be taken.
_UNHEARD = Denied(503, b"")
_REQUEST_ID = asking.REQUEST_ID.encode()


class Decider:
    """`follow` a plan before the first decision. Who asks keeps the chooser's endpoints as they are.

    `ask`: of guardrails that ask others.
    """

    def __init__(
        self, admission: Admission, ledger: Ledger, under_way: UnderWay, ask: Asking = unanswered
    ) -> None:
        self.tallies = Tallies()
        self.own = OwnAnswers()
        self.gate = Gate(admission, Walk(ask), self.tallies, self._answer, token_bytes())
        self._ledger = ledger
        self._under_way = under_way
        self._keys: Keys = KeyRing(())
        self._plan = AiPlan()
        self._since = 0
        self._own_number = 0

    def follow(self, plan: AiPlan, keys: Keys, now: Now) -> None:
        """Decide by this from now on; what is under way goes on as it was let pass."""
        self._plan, self._keys = plan, keys
        self._since = self._since or now.wall // _SECOND
        self._ledger.configure(plan.allowances, now.wall)
        self.gate.follow(plan)

    def decide(self, request: Request, now: Now) -> Verdict | Coroutine[Any, Any, Verdict]:
        """What Envoy is told. Tries of one request are told the same."""
        request_id = request.field(_REQUEST_ID)
        if request_id and (again := self._under_way.asked_again(request_id)) is not None:
            return again.verdict
        if self._under_way.has_gone(request_id):
            return _UNHEARD
        inquiry = Inquiry(request, now)
        try:
            route = identify(inquiry, self._plan, self._keys)
            if inquiry.operation in _OWN:
                return self._list(inquiry, route)
            asked, model = understand(inquiry, route, self._keys)
            found = self.gate.enter(Ready(inquiry, route, asked, model))
            return found if isinstance(found, Allowed) else self._later(inquiry, found)
        except Turned as turned:
            return self._deny(inquiry, turned)

    def revive(self, number: int, told: Mapping[str, str], now: Now) -> Passed | None:
        """Take up a reservation of a decider before this one, by what Envoy was told of it; None: what it was for is gone."""
        whose = decode(told.get(asking.WHO, ""))
        route = self._plan.routes.get(RouteId(whose.route)) if whose else None
        model = route.model(unquote(told.get(asking.MODEL, ""))) if route else None
        operation = _OPERATIONS.get(told.get(asking.OPERATION, ""))
        if whose is None or route is None or model is None or not model.targets or operation is None:
            return None
        tariff = dearest(model, whose.expected)
        self._ledger.adopt(number, now.wall, whose.who, model.name, whose.expected, tariff)
        chosen = Chosen((), 0, 0)
        chosen.is_open = False  # which endpoint it was is not known any more
        return Passed(
            number, told.get(asking.REQUEST_ID, ""), now, route.route_id, operation, model, whose.who, told.get(asking.STREAM) == "1", whose.expected,
            chosen, Allowed((), ()),
        )  # fmt: skip

    async def _later(self, inquiry: Inquiry, coming: Coroutine[Any, Any, Allowed]) -> Verdict:
        try:
            return await coming
        except Turned as turned:
            return self._deny(inquiry, turned)

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
        self._own_number += 1
        return self._answer(f"own-{self._own_number}", Own(body), inquiry.now.wall)

    def _may(self, inquiry: Inquiry, route: RoutePlan, name: str) -> bool:
        model = route.model(name)
        if model is None:
            return False
        return inquiry.key is None or self._keys.permits(inquiry.key, model.name)

    def _answer(self, name: str, own: Own, now: int) -> Allowed:
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
        request_id = inquiry.request.field(_REQUEST_ID)
        return Denied(status, failure.body(inquiry.dialect, request_id=request_id), turned.retry_after)
