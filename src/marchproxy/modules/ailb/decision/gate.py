"""Gate: between what is understood and what is admitted: guardrails, and the cache."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from marchproxy.kit.logs import get_logger
from marchproxy.model.route import RouteId
from marchproxy.modules.ailb import asking
from marchproxy.modules.ailb.asking import Allowed
from marchproxy.modules.ailb.cache import (
    Answers,
    Expectation,
    Expected,
    Kept,
    Question,
    Wish,
    is_sound,
    key_of,
    wish_of,
)
from marchproxy.modules.ailb.decision.admission import Admission, Ready
from marchproxy.modules.ailb.decision.inquiry import Turned
from marchproxy.modules.ailb.decision.own import Own
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.guards import Chain, Checked, Going, Walk
from marchproxy.modules.ailb.plan import AiPlan
from marchproxy.modules.ailb.tally import Tallies, Tally, TallyKey

_log = get_logger(__name__)
_SECOND = 1_000_000_000
#: Bytes of requests whose checks take time.
_MOST_HELD = 256 * 1024 * 1024
_CACHE_CONTROL = b"cache-control"
_BETAS = tuple(name.encode() for name in asking.BETAS)
_REQUEST_ID = asking.REQUEST_ID.encode()


class Gate:
    """`own` answers what is kept; `secret`: see `guards.Chain`."""

    def __init__(
        self,
        admission: Admission,
        walk: Walk,
        tallies: Tallies,
        own: Callable[[str, Own, int], Allowed],
        secret: bytes,
    ) -> None:
        self.answers = Answers()
        self._admission = admission
        self._walk = walk
        self._tallies = tallies
        self._own = own
        self._secret = secret
        self._expected = Expected()
        self._chains: Mapping[RouteId, Chain] = {}
        self._held = 0

    def follow(self, plan: AiPlan) -> None:
        """Check by these guardrails from now on."""
        self._chains = {
            route_id: Chain([plan.guardrails[name] for name in route.options.guardrails], self._secret)
            for route_id, route in plan.routes.items()
            if route.options.guardrails
        }

    def enter(self, ready: Ready) -> Allowed | Coroutine[Any, Any, Allowed]:
        """What Envoy is told, at once where nothing must be waited for. Raises Turned; so may the coroutine."""
        chain = self._chains.get(ready.route.route_id) if self._chains else None
        if chain is not None:
            found = self._walk.begin(chain, ready.asked)
            if isinstance(found, Going):
                return self._go_on(found, ready)
            self._heed(found, ready)
        return self._answer(ready) if ready.route.options.cache else self._admission.admit(ready)

    def keep(self, number: str, content_type: str, data: bytes, now: int) -> bool:
        """A relay brings an answer: whether it is kept. `number`: the reservation, as the relay wrote it."""
        expected = self._expected.take(number)
        if expected is None or not is_sound(content_type, data):
            return False
        self.answers.put(expected.key, Kept(content_type, data, now + expected.keep_for))
        return True

    async def _go_on(self, going: Going, ready: Ready) -> Allowed:
        size = len(ready.inquiry.request.body)
        self._held += size
        try:
            if self._held > _MOST_HELD:
                raise _crowded()
            checked = await going.finish(_about(ready))
        finally:
            self._held -= size
        self._heed(checked, ready)
        found = self._answer(ready) if ready.route.options.cache else self._admission.admit(ready)
        return await found if isinstance(found, Coroutine) else found

    def _heed(self, checked: Checked, ready: Ready) -> None:
        """Go by what guardrails say. Raises Turned."""
        notes = checked.notes
        if notes.names:
            findings = self._tally(ready).findings
            for name in notes.names:
                findings[name] += 1
            _log.info(
                "guardrails found something",
                request_id=ready.inquiry.request.field(_REQUEST_ID),
                **_about(ready),
                refused=isinstance(checked.asked, Failure),
                findings=[finding.words for finding in notes.findings],
            )
        if isinstance(checked.asked, Failure):
            raise Turned(checked.asked, retry_after=1 if checked.asked.reason is Reason.OVERLOADED else None)
        if checked.asked is not ready.asked:
            ready.asked = ready.inquiry.asked = checked.asked
            ready.body = checked.asked.body.text.encode()
            ready.tasks = (*ready.tasks, asking.TASK_BODY)

    def _answer(self, ready: Ready) -> Allowed | Coroutine[Any, Any, Allowed]:
        """From what is kept, or else from who is asked; then that is kept."""
        inquiry = ready.inquiry
        wish = wish_of(inquiry.request.field(_CACHE_CONTROL))
        key = "" if wish is Wish.NOTHING else key_of(_question(ready))
        if not key:
            return self._admission.admit(ready)
        now = inquiry.now.wall
        kept = self.answers.find(key, now) if wish is Wish.ALL else None
        self._tally(ready).cache["miss" if kept is None else "hit"] += 1
        if kept is not None:
            return self._own(f"hit-{key}", Own(kept.body, kept.content_type, ((asking.CACHE, "hit"),)), now)
        keep_for = int(ready.route.options.cache * _SECOND)
        ready.tasks = (*ready.tasks, asking.TASK_KEEP)
        ready.passed = partial(self._expect, Expectation(key, ready.asked.operation, keep_for, now))
        return self._admission.admit(ready)

    def _expect(self, expectation: Expectation, number: int) -> None:
        self._expected.add(number, expectation)

    def _tally(self, ready: Ready) -> Tally:
        who = ready.inquiry.who
        return self._tallies.of(
            TallyKey(ready.route.route_id, ready.asked.operation.value, ready.model.name, "", who.key)
        )


def _crowded() -> Turned:
    words = "too many requests wait for guardrails: try again in 1 s"
    return Turned(Failure(Reason.RATE, words, code="overloaded"), retry_after=1)


def _question(ready: Ready) -> Question:
    targets = [(target.pool.name, target.name) for target in ready.model.targets]
    request = ready.inquiry.request
    beside = (request.target.partition("?")[2], *(request.field(name) for name in _BETAS))
    return Question(ready.route.route_id, ready.inquiry.who, ready.model.name, targets, beside, ready.asked)


def _about(ready: Ready) -> dict[str, str]:
    who = ready.inquiry.who
    return {
        "route": ready.route.route_id,
        "operation": ready.asked.operation.value,
        "model": ready.model.name,
        "key": who.key,
        "user": who.user,
        "team": who.team,
    }
