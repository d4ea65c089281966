"""Admission: a request that may be sent gets its reservation, and an endpoint, for which it may have to wait."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from marchproxy.kit.clock import Clock
from marchproxy.model.usage import Usage
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.asking import Allowed
from marchproxy.modules.ailb.choice import FULL, Chooser, Chosen, NotNow, Prompt, Wanted
from marchproxy.modules.ailb.decision.inquiry import Inquiry, Turned
from marchproxy.modules.ailb.decision.passing import clusters, told
from marchproxy.modules.ailb.decision.under_way import Passed, UnderWay
from marchproxy.modules.ailb.decision.whose import encode
from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.ledger.ledger import Ledger
from marchproxy.modules.ailb.ledger.prices import Tariff
from marchproxy.modules.ailb.ledger.refusal import Refusal
from marchproxy.modules.ailb.ledger.reservation import Reservation
from marchproxy.modules.ailb.plan import ModelPlan, RoutePlan
from marchproxy.modules.ailb.queueing import Entrant, Queueing, Shed, Waiting, Why, priority_of

_REQUEST_ID = asking.REQUEST_ID.encode()
_AFFINITY = asking.AFFINITY.encode()
_PRIORITY = asking.PRIORITY.encode()
_NOTHING = Usage()
_SECOND = 1_000_000_000
_SHED = {
    Why.NO_QUEUE: "and none waits here",
    Why.CROWDED: "and too many wait already",
    Why.LATE: "and none was free in time",
}


@dataclass(slots=True, eq=False)  # one is made for every request
class Ready:
    """A request that may be sent. `tasks`: what a relay is to do; `body`: in place of the client's.

    `passed`: is told the reservation when it is sent.
    """

    inquiry: Inquiry
    route: RoutePlan
    asked: Asked
    model: ModelPlan
    tasks: tuple[str, ...] = ()
    body: bytes | None = None
    passed: Callable[[int], None] | None = None


class Admission:
    """Where limits and endpoints are taken. What is taken here and not sent is given back at once."""

    def __init__(
        self, ledger: Ledger, chooser: Chooser, queueing: Queueing, under_way: UnderWay, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._chooser = chooser
        self._queueing = queueing
        self._under_way = under_way
        self._clock = clock

    def admit(self, ready: Ready) -> Allowed | Coroutine[Any, Any, Allowed]:
        """What Envoy is told, at once where nothing must be waited for. Raises Turned; so may the coroutine."""
        inquiry, model = ready.inquiry, ready.model
        expected = expected_of(ready.asked, ready.route)
        reserved = self._ledger.reserve(
            inquiry.now.wall, inquiry.who, model.name, expected, dearest(model, expected)
        )
        if isinstance(reserved, Refusal):
            raise _refused(reserved)
        wanted = self._wanted(ready, expected)
        # nearly always nobody waits, and there is room
        found: Chosen | NotNow | Shed | Waiting = FULL if self._queueing.is_busy else self._choose(wanted)
        if found is FULL:
            found = self._queueing.enter(self._entrant(ready), partial(self._choose, wanted))
        if isinstance(found, Waiting):
            return self._wait(ready, reserved, found)
        return self._pass(ready, reserved, found)

    async def _wait(self, ready: Ready, reserved: Reservation, waiting: Waiting) -> Allowed:
        self._ledger.hold(reserved.number)
        try:
            found = await self._queueing.result(waiting)
        except asyncio.CancelledError:
            self._give_back(ready, reserved)
            raise
        waited = self._clock.monotonic() - waiting.since
        self._ledger.touch(reserved.number, ready.inquiry.now.wall + int(waited * _SECOND))
        return self._pass(ready, reserved, found, waited)

    def _pass(
        self, ready: Ready, reserved: Reservation, found: Chosen | NotNow | Shed, waited: float = 0.0
    ) -> Allowed:
        if not isinstance(found, Chosen):
            self._give_back(ready, reserved)
            raise _nobody(found, ready.asked)
        inquiry, asked, tasks = ready.inquiry, ready.asked, ready.tasks
        verdict = Allowed(
            clusters(asked, found, tasks),
            (
                *told(reserved.number, inquiry, asked, ready.model, found, tasks),
                (asking.WHO, encode(ready.route.route_id, inquiry.who, reserved.expected)),
            ),
        )
        passed = Passed(
            reserved.number, inquiry.request.field(_REQUEST_ID), inquiry.now, ready.route.route_id, asked.operation,
            ready.model, inquiry.who, asked.stream, reserved.expected, found, verdict, waited, ready.body,
        )  # fmt: skip
        self._under_way.add(passed)
        if ready.passed is not None:
            ready.passed(reserved.number)
        return verdict

    def _give_back(self, ready: Ready, reserved: Reservation) -> None:
        self._ledger.settle(reserved.number, _NOTHING, ready.inquiry.now.wall)

    def _choose(self, wanted: Wanted) -> Chosen | NotNow:
        return self._chooser.choose(wanted, self._clock.monotonic())

    @staticmethod
    def _wanted(ready: Ready, expected: Usage) -> Wanted:
        asked, model = ready.asked, ready.model
        prompt = Prompt(asked.operation, asked.body, model.name)
        affinity = ready.inquiry.request.field(_AFFINITY)
        return Wanted(model, prompt, ready.route.options.attempts, affinity, expected)

    @staticmethod
    def _entrant(ready: Ready) -> Entrant:
        inquiry, options = ready.inquiry, ready.route.options.queue
        priority = priority_of(
            inquiry.request.field(_PRIORITY), inquiry.key.priority if inquiry.key else None
        )
        size = len(inquiry.request.body)
        return Entrant(ready.route.route_id, options, ready.model.pools, inquiry.who.key, priority, size)


def expected_of(asked: Asked, route: RoutePlan) -> Usage:
    """What a request may need at most, as far as one can know."""
    if asked.operation is Operation.COUNT_TOKENS:
        return _NOTHING
    if not asked.operation.generates:
        return Usage(asked.estimate())
    output = route.options.default_output if asked.max_output is None else asked.max_output
    return Usage(asked.estimate(), output * asked.choices)


def dearest(model: ModelPlan, expected: Usage) -> Tariff:
    """The tariff to reserve by: whoever answers in the end, it is enough."""
    targets = model.targets
    if len(targets) == 1:
        return targets[0].tariff
    return max((target.tariff for target in targets), key=lambda tariff: tariff.cost(expected))


def _refused(refusal: Refusal) -> Turned:
    reason = Reason.BUDGET if refusal.measure.is_money else Reason.RATE
    after = None if refusal.retry_after is None else max(1, math.ceil(refusal.retry_after))
    return Turned(Failure(reason, refusal.words), retry_after=after)


def _nobody(found: NotNow | Shed, asked: Asked) -> Turned:
    if isinstance(found, Shed):
        words = f"every endpoint for the model {asked.model!r} is full, {_SHED[found.why]}: try again in {found.retry_after} s"
        return Turned(Failure(Reason.RATE, words, code="overloaded"), retry_after=found.retry_after)
    words = f"there is no endpoint for the model {asked.model!r}: try again in 1 s"
    return Turned(Failure(Reason.OVERLOADED, words), retry_after=1)
