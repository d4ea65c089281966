"""Questions: what instances are to be asked in the world as it is, and their answers as far as they still count."""

from collections.abc import Callable

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.model.plan import Verdict
from marchproxy.nlb.service.asker import Asker, Modules
from marchproxy.nlb.state.verdicts import LISTENER, Answers, Asking, RouteVerdicts, same_questions, to_ask
from marchproxy.nlb.state.world import World

_log = get_logger(__name__)


class Questions:
    """Follows the world with an `Asker`. `answers` is what it knows."""

    def __init__(
        self,
        modules: Modules,
        world: Callable[[], World],
        answers: Answers,
        *,
        heard: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`heard` is called for every answer about a listener: who gets its connections may be another now."""
        self.answers = answers
        self._world = world
        self._heard = heard
        self._asker = Asker(modules, self._to_ask, self._answered, clock=clock)

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._asker.run()

    def review(self, before: World, now: World) -> bool:
        """Follow a change of the world; False when nothing can be left to ask or to forget because of it."""
        if not self._asker.busy and same_questions(before, now):
            return False
        self.answers.forget_gone(now)
        self._asker.wake()
        return True

    def route_verdicts(self) -> RouteVerdicts:
        """What instances say to routes, by instance and route id."""
        return RouteVerdicts(self.answers, self._world().registry.members)

    def _to_ask(self) -> list[Asking]:
        return list(to_ask(self._world(), self.answers))

    def _answered(self, asking: Asking, verdict: Verdict) -> None:
        wanted = self.answers.record(asking, verdict, self._world())
        if wanted and asking.subject.kind == LISTENER:
            self._heard()
            _log.info(
                "instance answered CanHandle",
                instance=asking.instance_id,
                listener=asking.subject.name,
                can_handle=verdict.can_handle,
                reason=verdict.reason,
            )
