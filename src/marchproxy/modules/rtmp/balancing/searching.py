"""Searching: an origin that serves a client, one after the other until one does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from marchproxy.kit.logs import get_logger
from marchproxy.modules.rtmp.balancing.choice import next_of
from marchproxy.modules.rtmp.balancing.dialling import DialFailed
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.wire.rtmp.answers import Code

if TYPE_CHECKING:
    from marchproxy.modules.rtmp.balancing.course import Course

_log = get_logger(__name__)
T = TypeVar("T")
#: Before all origins are tried once more.
_PAUSE: Final = 0.25
#: For which an origin may say that a stream is busy which has just left it, or not there which is on its way.
_SETTLING: Final = 3.0
_TRANSIENT: Final = frozenset({Code.PUBLISH_BAD_NAME.value, Code.PLAY_NOT_FOUND.value})


class NoOrigin(Exception):
    """No origin serves the client; `last` is why the last one did not."""

    def __init__(self, last: DialFailed | None) -> None:
        super().__init__("no origin takes the stream" + (f": {last}" if last is not None else ""))
        self.last = last

    def code(self, default: Code) -> Code:
        """What the client is told: what the last origin said, if it said anything that clients know."""
        refusal = self.last.refusal if self.last is not None else None
        return next((code for code in Code if refusal is not None and code == refusal.code), default)


@dataclass(frozen=True, slots=True)
class Search:
    """For one client of a stream. `until`: when to give up, in the clock's seconds, once all origins were tried."""

    course: "Course"
    action: Action
    until: float

    async def run(self, reach: Callable[[str], Awaitable[T]]) -> T:
        """What `reach` made of an address; it raises DialFailed. Raises NoOrigin."""
        clock, course = self.course.around.clock, self.course
        tried: list[str] = []
        last: DialFailed | None = None
        settled = clock.monotonic() + _SETTLING
        while True:
            address = next_of(course.order(self.action), tried)
            if address is None:
                if clock.monotonic() >= self.until:
                    raise NoOrigin(last)
                tried.clear()
                await clock.sleep(_PAUSE)
                continue
            try:
                return await reach(address)
            except DialFailed as failure:
                last = failure
            if address == course.home and _is_transient(last) and clock.monotonic() < settled:
                await clock.sleep(_PAUSE)
                continue
            tried.append(address)
            if last.refusal is None:
                course.origins.failed(course.upstream, address, str(last))
            _log.warning(
                "origin does not take a client",
                origin=address,
                stream=course.key.text,
                action=self.action.value,
                reason=str(last),
            )


def _is_transient(failure: DialFailed) -> bool:
    return failure.refusal is not None and failure.refusal.code in _TRANSIENT


async def seated(tasks: Sequence[asyncio.Task[None]], *, within: float) -> None:
    """Wait until all of these are done, so many seconds at most."""
    if tasks:
        await asyncio.wait(tasks, timeout=within)
