"""Words: what is said in every conversation with workers, and telling one what to do while a port may be taken still."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from marchproxy.kit.clock import Clock

A = TypeVar("A")
#: For another worker that ends to let go of a port.
PORT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Count:
    """A question: what it has counted, in the words of its kind."""

    kind: Literal["count"] = "count"


@dataclass(frozen=True, slots=True)
class Done:
    """It is done."""

    kind: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be done, and nothing has changed. `in_use`: somebody else has a port; that may pass."""

    reason: str
    in_use: bool = False
    kind: Literal["refused"] = "refused"


async def once_ports_are_free(ask: Callable[[], Awaitable[A]], clock: Clock, *, every: float) -> A:
    """The answer; asked again after `every` seconds, for PORT_SECONDS at most, while somebody else has a port."""
    deadline = clock.monotonic() + PORT_SECONDS
    while True:
        answer = await ask()
        if not (isinstance(answer, Refused) and answer.in_use) or clock.monotonic() > deadline:
            return answer
        await clock.sleep(every)
