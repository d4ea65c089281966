"""Walk: carries checks out, beside all else that a process does: at once where that is quick, in pieces where it is not."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from marchproxy.modules.ailb.dialects.asked import Asked
from marchproxy.modules.ailb.guards.chain import Chain, Checked
from marchproxy.modules.ailb.guards.checking import Ask, Checking, Said

#: Asks whoever a guardrail names; the mapping says who sends what. None: there is no answer.
Asking: TypeAlias = Callable[[Ask, Mapping[str, str]], Awaitable[Said | None]]

#: Seconds of checks after which other requests go first, and after which there are no more for this one.
_AT_ONCE, _MOST = 0.002, 2.0


async def unanswered(ask: Ask, about: Mapping[str, str]) -> None:
    """Nobody can be asked."""
    del ask, about


class Walk:
    """`ask`: is called for guardrails that ask somebody; `now`: seconds."""

    def __init__(self, ask: Asking, now: Callable[[], float] = time.perf_counter) -> None:
        self._ask = ask
        self._now = now

    def begin(self, chain: Chain, asked: Asked) -> "Checked | Going":
        """What comes out, or a check that goes on."""
        checking, start = chain.check(asked), self._now()
        try:
            while (wanted := next(checking)) is None and self._now() - start < _AT_ONCE:
                pass
        except StopIteration as done:
            checked: Checked = done.value
            return checked
        return Going(self._now, self._ask, chain, asked, checking, wanted, self._now() - start)


@dataclass(slots=True)
class Going:
    """A check that is not done yet. `wanted`: what it waits for; `spent`: seconds of work."""

    now: Callable[[], float]
    ask: Asking
    chain: Chain
    asked: Asked
    checking: Checking[Checked]
    wanted: Ask | None
    spent: float

    async def finish(self, about: Mapping[str, str]) -> Checked:
        """What comes out. `about`: the request, for those who are asked."""
        while self.spent < _MOST:
            said = None
            if self.wanted is None:
                await asyncio.sleep(0)
            else:
                said = await self.ask(self.wanted, about)
            start = self.now()
            try:
                self.wanted = self.checking.send(said)
            except StopIteration as done:
                checked: Checked = done.value
                return checked
            self.spent += self.now() - start
        self.checking.close()
        return self.chain.give_up(self.asked)
