"""Operations: what people do to a running system. Who may, and that it is written down, is the caller's business."""

from typing import TYPE_CHECKING

from marchproxy.contract.fleet.changing import Pace, set_draining
from marchproxy.contract.fleet.client import CallFailed
from marchproxy.contract.fleet.explaining import Explanation, Question, find_out
from marchproxy.contract.fleet.takers import Offer, Reload, Taker
from marchproxy.kit.clock import Clock
from marchproxy.manager.operating import fleet
from marchproxy.manager.operating.asking import ask_all
from marchproxy.manager.operating.rollouts import Rollouts
from marchproxy.manager.operating.targets import Done, NotDone, Target
from marchproxy.manager.operating.weights import SECTIONS, reweighed
from marchproxy.manager.watching import Observer, PartView
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.record import Event
from marchproxy.model.revision import Author

if TYPE_CHECKING:
    from marchproxy.manager.revising import Revisions
    from marchproxy.store import Store

_LOOK_SECONDS = 1.0


class Operations:
    """Every operation raises NotDone where things do not allow it, Refused (UNAVAILABLE where nobody answers), and what
    Revisions raises where it makes a revision."""

    def __init__(self, live: Observer, revisions: "Revisions", store: "Store", *, clock: Clock) -> None:
        self._live, self._revisions, self._clock = live, revisions, clock
        self._rollouts = Rollouts(live, revisions, store, clock=clock)

    async def run(self) -> None:
        """Follow the rollouts that were started here to their ends, until cancelled."""
        await self._rollouts.run()

    async def set_weight(self, target: Target, version: str, percent: int, *, by: Author) -> Done:
        """Give a version its share for good: a revision. Refused while a rollout is under way there."""
        self._rollouts.refuse_while_under_way(target)
        return await self._reweigh(target, version, percent, by, f"{version} has {percent} % of {target}")

    async def promote(self, target: Target, version: str, pace: Pace, *, by: Author) -> Done:
        """Give a version everything: at once (a revision), or in watched steps, at the end of which there is a revision."""
        if not pace.at_once:
            return await self._rollouts.start(target, version, pace, by=by)
        done = await self._reweigh(target, version, 100, by, f"{version} promoted on {target}")
        await self._rollouts.forget(target)
        return done

    async def rollback(self, target: Target, *, by: Author, version: str = "") -> Done:
        """End a rollout and go back to what is desired; with `version`: and give that one everything, as a revision."""
        ended = await self._rollouts.end(target, by=by, needed=not version)
        if not version:
            return ended
        return await self._reweigh(target, version, 100, by, f"{target} rolled back to {version}")

    async def drain(self, instance: str, *, by: Author, timeout: float = 0.0, last: bool = False) -> Done:
        """Send an instance nothing new until it is undrained, and wait `timeout` seconds at most for what it has.

        The only one of its kind that takes traffic is not drained, but with `last`.
        """
        part = self._part(instance)
        if not last and not self._others(part):
            raise NotDone(
                f"{instance} is the only {part.kind.value} that takes traffic: nobody would; start another one first"
            )
        words = await self._tell(part, draining=True)
        self._note("instance.drain", instance, f"drained by {by.name}")
        left = await self._emptied(instance, timeout)
        connections = "no connections are left" if not left else f"{left} connections are still open"
        return Done(f"{words}; {connections}", by=((instance, words),))

    async def undrain(self, instance: str, *, by: Author) -> Done:
        """Send a drained instance traffic again, once it runs what is in force."""
        part = self._part(instance)
        await self._bring(part)
        words = await self._tell(part, draining=False)
        self._note("instance.undrain", instance, f"undrained by {by.name}")
        return Done(words, by=((instance, words),))

    async def scale(self, module_type: str, count: int, *, by: Author) -> Done:
        """Ask for so many instances of a module type ("alb", "dblb"), within its bounds."""
        name, words = await fleet.scale(self._live.clients, module_type, count)
        self._note("scaling.asked", module_type, f"{count} asked for by {by.name}: {words}")
        return Done(words, by=((name, words),))

    async def rebalance(self, *, by: Author, force: bool = False) -> Done:
        """Have new connections favour the less loaded instances for a while; `force`: and close what others have too many."""
        answers = await fleet.rebalance(self._live.clients, force=force)
        for name, words in answers:
            self._note("nlb.rebalanced", name, f"by {by.name}: {words}")
        return Done("; ".join(dict.fromkeys(words for _, words in answers)), by=answers)

    async def explain(self, question: Question) -> Explanation:
        """Where a request or a connection would go, and why; the first NLB that answers is asked."""
        failures: list[str] = []
        for client in self._live.clients:
            try:
                return await find_out(client, question)
            except CallFailed as error:
                failures.append(str(error))
        raise Refused(RefusalCode.UNAVAILABLE, "; ".join(failures) or "no NLB is managed here")

    async def _reweigh(self, target: Target, version: str, percent: int, by: Author, reason: str) -> Done:
        state = self._revisions.current.state
        item = reweighed(state, self._live.view, target, version, percent)
        outcome = await self._revisions.put(
            SECTIONS[target.on], target.name, dict(item), by=by, reason=reason
        )
        return Done(reason, outcome.revision if outcome.applied else None)

    def _part(self, instance: str) -> PartView:
        part = self._live.view.part(instance)
        if part is None:
            raise NotDone(f'no NLB knows an instance "{instance}"', found=False)
        return part

    def _others(self, part: PartView) -> bool:
        """Whether another instance could take what this one does."""
        return any(
            other.id != part.id
            and other.kind is part.kind
            and other.health is not None
            and other.health.takes_traffic
            for other in self._live.view.parts
        )

    async def _tell(self, part: PartView, *, draining: bool) -> str:
        done, refusing = await ask_all([self._rollouts.party(part)], set_draining(on=draining))
        if refusing:
            raise Refused(RefusalCode.UNAVAILABLE, f"{part.id}: {refusing[0].words}")
        return done[part.id]

    async def _bring(self, part: PartView) -> None:
        """Who drains takes no part in an apply, so it may run what was in force when it began."""
        current = self._revisions.current
        if part.checksum == current.head.checksum:
            return
        taker = Taker(part.id, part.address, is_nlb=False, kind=part.kind.value, checksum=part.checksum)
        offer = Offer(current.data, current.head.checksum)
        for refusal in await Reload(self._live.clients[0], [taker]).put_back(offer, [taker]):
            reasons = "; ".join(refusal.reasons)
            raise NotDone(f"{part.id} does not take revision {current.head.number}: {reasons}")

    async def _emptied(self, instance: str, timeout: float) -> int:
        """Wait for its connections to end; how many are open then, as far as is known."""
        deadline = self._clock.monotonic() + timeout
        while (part := self._live.view.part(instance)) is not None:
            left = deadline - self._clock.monotonic()
            if left <= 0 or (part.draining and not part.connections):
                return part.connections
            await self._clock.sleep(min(_LOOK_SECONDS, left))
        return 0

    def _note(self, kind: str, subject: str, message: str) -> None:
        self._live.note([Event(self._clock.now(), kind, subject, message)])
