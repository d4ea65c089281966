"""Remembering: what services have said of viewers, who ask for a file every few seconds and are the same all the time."""

import asyncio
from typing import Final, TypeAlias

from marchproxy.kit.clock import Clock
from marchproxy.model.http import Authentication
from marchproxy.modules.rtmp.plan import Way
from marchproxy.modules.rtmp.policy.checking import Ask
from marchproxy.modules.rtmp.policy.claim import Claim, Refusal

#: For how long an answer holds.
GRANTED_SECONDS: Final = 30.0
REFUSED_SECONDS: Final = 3.0
MOST_REMEMBERED: Final = 20_000

_What: TypeAlias = tuple[Authentication, Claim]


class Remembering:
    """Asks once for all who want to know the same at the same time, and then not for a while."""

    def __init__(self, ask: Ask, *, group: asyncio.TaskGroup, clock: Clock) -> None:
        self._ask = ask
        self._group = group
        self._clock = clock
        self._known: dict[_What, tuple[float, Refusal | None]] = {}
        self._asking: dict[_What, asyncio.Task[Refusal | None]] = {}

    def __len__(self) -> int:
        return len(self._known)

    async def ask(self, way: Way, claim: Claim) -> Refusal | None:
        """As whoever is asked."""
        what = (way.authentication, claim)
        until, said = self._known.get(what, (0.0, None))
        if self._clock.monotonic() < until:
            return said
        task = self._asking.get(what)
        if task is None:
            task = self._asking[what] = self._group.create_task(self._learn(what, way))
        return await asyncio.shield(task)  # a viewer that goes is not the only one who wants to know

    async def _learn(self, what: _What, way: Way) -> Refusal | None:
        try:
            said = await self._ask(way, what[1])
        finally:
            del self._asking[what]
        self._known.pop(what, None)
        while len(self._known) >= MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        holds = GRANTED_SECONDS if said is None else REFUSED_SECONDS
        self._known[what] = (self._clock.monotonic() + holds, said)
        return said
