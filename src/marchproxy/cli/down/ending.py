"""Ending: SIGTERM, a deadline, SIGKILL; by handles that never confuse one process with another."""

import asyncio
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from marchproxy.cli.down.places import Held
from marchproxy.cli.down.remains import Kind, Remain
from marchproxy.cli.up.report import Report, Tone
from marchproxy.engines.envoy.handle import ProcessHandle

_ENGINE_SECONDS = 3.0  # nobody drains through them any more
_KILL_SECONDS = 5.0
_TELL_SECONDS = 5.0


class Denied(Exception):
    """What keeps a file's processes from being ended; the message says what to do."""


class How(Enum):
    """How a process ended."""

    STOPPED = "stopped"
    KILLED = "killed"
    LEFT = "still there"


@dataclass(frozen=True, slots=True)
class Ended:
    """One process, and what became of it."""

    what: Remain
    how: How


async def end_all(found: Sequence[Held], deadline: float, report: Report) -> list[Ended]:
    """End them kind by kind, those of one kind together; `deadline` is in the loop's time.

    Raises Denied for the processes of another user, in an ExceptionGroup.
    """
    ended: list[Ended] = []
    for kind in Kind:
        async with asyncio.TaskGroup() as group:
            wave = [
                group.create_task(_end(held, deadline, report)) for held in found if held.what.kind is kind
            ]
        ended += [task.result() for task in wave]
    return ended


def let_go(found: Iterable[Held]) -> None:
    """Close the handles."""
    for held in found:
        held.handle.close()


async def _end(held: Held, deadline: float, report: Report) -> Ended:
    what, handle = held.what, held.handle
    if not handle.alive():
        return Ended(what, How.STOPPED)  # with whom it belonged to
    now = asyncio.get_running_loop().time()
    engine = what.kind in {Kind.RELAY, Kind.ENVOY}
    seconds = _ENGINE_SECONDS if engine else max(deadline - now, 0.0)
    label = f"{what.kind.value}, pid {what.pid}"
    report.say(what.name, "stopping", f"{label}; at most {seconds:.0f} s")
    if not what.told:
        _signal(held, signal.SIGTERM)
    if await _wait(handle, seconds, lambda gone: report.say(what.name, "waiting", f"{label}; {gone:.0f} s")):
        took = asyncio.get_running_loop().time() - now
        report.say(what.name, "stopped", f"{label}; after {took:.1f} s", Tone.GOOD)
        return Ended(what, How.STOPPED)
    _signal(held, signal.SIGKILL)
    if await _wait(handle, _KILL_SECONDS):
        report.say(what.name, "killed", f"{label}; it did not stop within {seconds:.0f} s", Tone.WARNING)
        return Ended(what, How.KILLED)
    report.say(what.name, "left", f"{label}; it survives SIGKILL", Tone.BAD)
    return Ended(what, How.LEFT)


def _signal(held: Held, number: signal.Signals) -> None:
    try:
        held.handle.signal(number)
    except PermissionError as error:
        what = f"{held.what.kind.value} {held.what.name} (pid {held.what.pid})"
        raise Denied(f"{what} is another user's; run this as that user, or as root") from error


async def _wait(
    handle: ProcessHandle, seconds: float, tell: Callable[[float], None] = lambda _: None
) -> bool:
    """Whether it ended within so many seconds; `tell` is given how many have passed, now and then."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        left = began + seconds - loop.time()
        try:
            async with asyncio.timeout(min(max(left, 0.0), _TELL_SECONDS)):
                await handle.exited()
        except TimeoutError:
            if loop.time() - began >= seconds:
                return not handle.alive()
            tell(loop.time() - began)
        else:
            return True
