"""Watch: one server, looked at every so often, and sooner when somebody waits for what comes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from marchproxy.kit.clock import Clock
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import comes
from marchproxy.modules.dblb.postgres.inquiry import FAULTS, Inquiry, QueryRefused
from marchproxy.modules.dblb.postgres.login import GOING, LoginRefused
from marchproxy.modules.dblb.postgres.routing.sight import QUERY, NotRead, Sight, read_sight

#: Opens the monitor's session on a server. Raises inquiry.FAULTS.
Open = Callable[[HostPort], Awaitable[Inquiry]]
_UNSEEN: tuple[type[Exception], ...] = (*FAULTS, NotRead)


class Watcher(Protocol):
    """Who wants to know what was seen."""

    def saw(self, address: HostPort, sight: Sight) -> None:
        """The server answered."""
        ...

    def missed(self, address: HostPort, fault: str, *, answered: bool) -> None:
        """It did not; `answered`: it is there, and refuses the monitor."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from one look to the next, and for how long an answer is waited for."""

    interval: float = 1.0
    deadline: float = 1.0


class Watch:
    """Looks at one server, over a session that is kept."""

    def __init__(self, address: HostPort, connect: Open, watcher: Watcher, pace: Pace, clock: Clock) -> None:
        self.address = address
        self._connect = connect
        self._watcher = watcher
        self._pace = pace
        self._clock = clock
        self._inquiry: Inquiry | None = None
        self._wanted = asyncio.Event()

    def hurry(self) -> None:
        """Look again now, or as soon as the look that is under way has ended."""
        self._wanted.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                self._wanted.clear()
                await self._look()
                await comes(self._wanted, within=self._pace.interval)
        finally:
            if self._inquiry is not None:
                self._inquiry.end()

    async def _look(self) -> None:
        asked = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._pace.deadline):
                rows = await self._ask()
            sight = read_sight(rows, asked=asked, latency=self._clock.monotonic() - asked)
        except TimeoutError:
            self._inquiry = None
            self._watcher.missed(self.address, f"no answer within {self._pace.deadline:g} s", answered=False)
        except _UNSEEN as fault:
            self._inquiry = None
            self._watcher.missed(self.address, str(fault), answered=_is_there(fault))
        else:
            self._watcher.saw(self.address, sight)

    async def _ask(self) -> list[tuple[str | None, ...]]:
        if self._inquiry is not None and self._inquiry.open:
            with suppress(*FAULTS):  # that one has ended says little of the server: another one is opened
                return await self._inquiry.ask(QUERY)
            self._inquiry.end()
        self._inquiry = await self._connect(self.address)
        return await self._inquiry.ask(QUERY)


def _is_there(fault: Exception) -> bool:
    if isinstance(fault, LoginRefused | QueryRefused) and fault.fields is not None:
        return not fault.fields.code.startswith(GOING)
    return isinstance(fault, NotRead)
