"""Workforce: the workers of an RTMP instance, and what they count and see, put together."""

from collections.abc import Sequence

from marchproxy.engines.workers.seat import Seat
from marchproxy.engines.workers.words import Count
from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import HostPort
from marchproxy.model.problem import Problem
from marchproxy.model.state import DesiredState
from marchproxy.modules.reception import workforce
from marchproxy.modules.reception.doors import Doors
from marchproxy.modules.reception.following import Follow
from marchproxy.modules.rtmp.crew import Counted, Seen, worst_of
from marchproxy.modules.rtmp.plan import Files, compile_plan
from marchproxy.modules.rtmp.talk import Answer, Apply, Counts, Drain, Look, Question
from marchproxy.modules.rtmp.talk import Seen as SeenAnswer
from marchproxy.modules.rtmp.totals import Totals


class Workforce(workforce.Workforce[Question, Answer, Apply]):
    """A Crew of processes. Use it inside `running`."""

    finish = "streams of the old ones go on until their publishers come again"

    def __init__(self, seats: Sequence[Seat[Question, Answer]], doors: Doors, *, clock: Clock) -> None:
        super().__init__(seats, doors, clock=clock)
        self._totals = Totals()
        self._last: dict[Seat[Question, Answer], Counts] = {}

    async def count(self) -> Counted:
        """As a Crew's. A worker that does not answer counts as it did last; one that is gone, with what never goes back."""
        for seat, pid, answer in await self.ask_all(Count()):
            if isinstance(answer, Counts):
                self._last[seat] = answer
                self._totals.note(self._seats.index(seat), pid, answer.entries, answer.accepted)
        now = [last for seat, last in self._last.items() if seat.pid is not None]
        return Counted(
            self._totals.tallies(),
            sum(last.clients for last in now),
            self._totals.accepted(),
            sum(last.cpu_percent for last in now),
            sum(last.memory_mb for last in now),
        )

    async def look(self, *, ask: bool = False) -> Seen:
        """As a Crew's."""
        answers = [answer for _, _, answer in await self.ask_all(Look(ask))]
        seen = [answer for answer in answers if isinstance(answer, SeenAnswer)]
        return Seen(
            tuple(stream for answer in seen for stream in answer.streams),
            worst_of([origin for answer in seen for origin in answer.origins]),
        )

    def faults(self, state: DesiredState, files: Files) -> Sequence[Problem]:
        """What is wrong with the files of ways to authenticate."""
        return compile_plan(state, files)[1]

    def message(self, follow: Follow, before: Apply | None) -> Apply:  # noqa: ARG002 - nothing of it goes on
        """The same in the words of this conversation."""
        return Apply(follow.document, follow.contents, follow.serving, follow.instances)

    async def listening(self, seat: Seat[Question, Answer]) -> Sequence[HostPort]:
        """As its counts say."""
        counts = await seat.ask(Count())
        return counts.ports if isinstance(counts, Counts) else ()

    async def let_go(self) -> None:
        """Drain them."""
        await self.ask_all(Drain())

    async def clients(self) -> int:
        """As counted now."""
        return (await self.count()).clients
