"""Workforce: the worker processes of a DBLB, whose servers can be paused."""

from collections.abc import Sequence
from dataclasses import replace

from marchproxy.engines.workers.seat import Seat
from marchproxy.engines.workers.words import Count
from marchproxy.kit.settings import HostPort
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.route import RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.plan import Files, compile_plan
from marchproxy.modules.dblb.supervisor.inquiry import Inquiry
from marchproxy.modules.dblb.talk import Answer, Apply, Counts, Question
from marchproxy.modules.reception.following import Follow


class Workforce(Inquiry):
    """A Crew of processes. Use it inside `running`."""

    finish = "sessions of the old ones end between transactions"

    async def pause(self, routes: Sequence[RouteId], seconds: float) -> None:
        """As a Crew's."""
        async with self._turn:
            if self.told is None:
                raise Refused(RefusalCode.UNAVAILABLE, "the workers were told nothing yet")
            await self.tell_again(replace(self.told, paused=dict.fromkeys(routes, seconds)))

    async def resume(self) -> None:
        """As a Crew's."""
        async with self._turn:
            if self._told is None:
                return
            self._told = replace(self._told, message=replace(self._told.message, paused={}))
            await self.take_back(self._told.message)

    def faults(self, state: DesiredState, files: Files) -> Sequence[Problem]:
        """What is wrong with userlists."""
        return compile_plan(state, files)[1]

    def message(self, follow: Follow, before: Apply | None) -> Apply:
        """The same in the words of this conversation; what is paused stays so."""
        paused = {} if before is None else before.paused
        return Apply(follow.document, follow.contents, follow.serving, follow.instances, paused)

    async def listening(self, seat: Seat[Question, Answer]) -> Sequence[HostPort]:
        """As its counts say."""
        counts = await seat.ask(Count())
        return counts.ports if isinstance(counts, Counts) else ()
