"""Watch: what is seen of a server that answers, refuses, hangs up or says nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.postgres.inquiry import Inquiry, QueryRefused, Row
from marchproxy.modules.dblb.postgres.login import LoginRefused
from marchproxy.modules.dblb.postgres.routing.sight import Sight
from marchproxy.modules.dblb.postgres.routing.watch import Pace, Watch
from marchproxy.wire.postgres.backend import ErrorFields

A = HostPort("10.0.0.1", 1)
ROW: Row = ("f", "0/10", "1", None, "off", "read committed", "77", "150018")

Answer = Exception | list[Row] | None


class Session(Inquiry):
    """Of a server that answers what the test has it answer; None: nothing."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__()
        self.answers = answers
        self.ended = False

    @property
    def open(self) -> bool:
        return not self.ended

    async def ask(self, query: str) -> list[Row]:
        assert query.startswith("SELECT")
        answer = self.answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer or []

    def end(self) -> None:
        self.ended = True


class Notes:
    """What was seen, in words."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.more = asyncio.Event()

    def saw(self, address: HostPort, sight: Sight) -> None:
        assert address == A
        self._note(f"at {sight.position}")

    def missed(self, address: HostPort, fault: str, *, answered: bool) -> None:
        assert address == A
        self._note(f"{fault}{' (there)' if answered else ''}")

    def _note(self, words: str) -> None:
        self.seen.append(words)
        self.more.set()

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.seen) < count:
                self.more.clear()
                await self.more.wait()
        return self.seen


@asynccontextmanager
async def watching(connect: Callable[[HostPort], object], pace: Pace) -> AsyncIterator[tuple[Watch, Notes]]:
    notes = Notes()
    watch = Watch(A, connect, notes, pace, SystemClock())  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        yield watch, notes
        task.cancel()


def refused(code: str) -> ErrorFields:
    return ErrorFields("FATAL", code, "no")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([[ROW]], "at 16"),
        ([[("x",)]], "the server says of itself what cannot be read: [('x',)] (there)"),
        ([QueryRefused(refused("42501"))], "42501 no (there)"),
        ([QueryRefused(refused("57P01"))], "57P01 no"),
        ([PeerGone("gone")], "gone"),
        ([None], "no answer within 0.05 s"),
    ],
)
async def test_one_look(answers, words):
    async def connect(_address: HostPort) -> Inquiry:
        return Session(answers)

    async with watching(connect, Pace(60.0, 0.05 if answers == [None] else 10.0)) as (_, notes):
        assert await notes.until(1) == [words]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (ConnectionRefusedError("refused"), "refused"),
        (LoginRefused("53300 too many", refused("53300")), "53300 too many (there)"),
        (LoginRefused("57P03 starting", refused("57P03")), "57P03 starting"),
        (LoginRefused("no way to log in"), "no way to log in"),
    ],
)
async def test_no_session(fault, words):
    async def connect(_address: HostPort) -> Inquiry:
        raise fault

    async with watching(connect, Pace(60.0, 10.0)) as (_, notes):
        assert await notes.until(1) == [words]


async def test_a_session_that_has_ended_is_replaced_within_the_look():
    sessions = [Session([[ROW], PeerGone("gone")]), Session([[ROW]])]
    opened = iter(sessions)

    async def connect(_address: HostPort) -> Inquiry:
        return next(opened)

    async with watching(connect, Pace(60.0, 10.0)) as (watch, notes):
        await notes.until(1)
        watch.hurry()
        assert await notes.until(2) == ["at 16", "at 16"]
        assert sessions[0].ended
    assert sessions[1].ended


async def test_who_hurries_during_a_look_gets_another_one():
    waiting, asked = asyncio.Event(), asyncio.Event()

    class Slow(Session):
        async def ask(self, query: str) -> list[Row]:
            asked.set()
            await waiting.wait()
            return await super().ask(query)

    async def connect(_address: HostPort) -> Inquiry:
        return Slow([[ROW]] * 2)

    async with watching(connect, Pace(60.0, 10.0)) as (watch, notes):
        await asked.wait()
        watch.hurry()
        waiting.set()
        assert await notes.until(2) == ["at 16", "at 16"]
