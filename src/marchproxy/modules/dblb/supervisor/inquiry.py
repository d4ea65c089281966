"""Inquiry: what is asked of all workers at once, and their answers put together."""

from collections.abc import Iterable, Sequence

from marchproxy.contract.document import decode
from marchproxy.engines.workers.seat import Seat, WorkerUnavailable
from marchproxy.engines.workers.words import Count
from marchproxy.kit.clock import Clock
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.crew import Counted
from marchproxy.modules.dblb.service import ServerReport
from marchproxy.modules.dblb.talk import (
    Answer,
    Apply,
    Busy,
    Counts,
    Drain,
    Number,
    Plan,
    Question,
    Seen,
    Servers,
    WhichPlan,
)
from marchproxy.modules.dblb.totals import Totals
from marchproxy.modules.reception import workforce
from marchproxy.modules.reception.doors import Doors


class Inquiry(workforce.Workforce[Question, Answer, Apply]):
    """The questions of a Crew that change no plan; see there."""

    def __init__(self, seats: Sequence[Seat[Question, Answer]], doors: Doors, *, clock: Clock) -> None:
        super().__init__(seats, doors, clock=clock)
        self._totals = Totals()
        self._last: dict[Seat[Question, Answer], Counts] = {}

    async def count(self) -> Counted:
        """A worker that does not answer counts as it did last; one that is gone, with what never goes back."""
        for seat, pid, answer in await self.ask_all(Count()):
            if isinstance(answer, Counts):
                self._last[seat] = answer
                self._totals.note(self._seats.index(seat), pid, answer.entries, answer.accepted)
        now = [last for seat, last in self._last.items() if seat.pid is not None]
        return Counted(
            self._totals.tallies(),
            tuple(gauge for last in now for gauge in last.gauges),
            sum(last.clients for last in now),
            self._totals.accepted(),
            sum(last.cpu_percent for last in now),
            sum(last.memory_mb for last in now),
        )

    async def servers(self) -> Sequence[ServerReport]:
        """As a Crew's."""
        return await self._servers(Servers())

    async def check(self) -> Sequence[ServerReport]:
        """As a Crew's."""
        return await self._servers(Servers(ask=True))

    async def busy(self, route: RouteId) -> int:
        """As a Crew's."""
        answers = [await self._one(seat, Busy(route)) for seat in self.serving_seats()]
        return sum(answer.value for answer in answers if isinstance(answer, Number))

    async def serving(self) -> Sequence[DesiredState]:
        """As a Crew's."""
        if not self.serving_seats():
            return ()
        answers = [answer for _, _, answer in await self.ask_all(WhichPlan())]
        told = {answer.told.document for answer in answers if isinstance(answer, Plan) and answer.told}
        return tuple(decode(document.encode()) for document in sorted(told))

    async def clients(self) -> int:
        """As counted now."""
        return (await self.count()).clients

    async def let_go(self) -> None:
        """Drain them."""
        await self.ask_all(Drain())

    async def _servers(self, question: Servers) -> Sequence[ServerReport]:
        answers = [answer for _, _, answer in await self.ask_all(question)]
        return _once(report for answer in answers if isinstance(answer, Seen) for report in answer.servers)

    async def _one(self, seat: Seat[Question, Answer], question: Question) -> Answer:
        try:
            return await seat.ask(question)
        except WorkerUnavailable as error:
            raise Refused(RefusalCode.UNAVAILABLE, str(error)) from error


def _once(reports: Iterable[ServerReport]) -> Sequence[ServerReport]:
    """Each server as the worst of the workers sees it."""
    found: dict[tuple[str, str], ServerReport] = {}
    for report in reports:
        key = (report.pool, report.address)
        if key not in found or (report.fault and not found[key].fault):
            found[key] = report
    return tuple(found.values())
