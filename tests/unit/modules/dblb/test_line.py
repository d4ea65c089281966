"""Who waits: in which order, and for how long; and links that are opened with a pause after each failure."""

import asyncio

import pytest

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import SystemClock
from marchproxy.modules.dblb.dialler import DialFailed, Dialler
from marchproxy.modules.dblb.line import Line


async def test_first_come_first_served():
    line: Line[str] = Line(60, lambda _: None, SystemClock())
    for name in ("a", "b", "c", "d"):
        line.join(name)
    line.leave("b")
    assert (len(line), line.first(), line.all(), len(line)) == (3, "a", ["c", "d"], 0)
    with pytest.raises(IndexError):
        line.first()
    line.close()


async def test_who_waits_too_long_is_told_in_order_and_only_once():
    late: list[str] = []
    line: Line[str] = Line(0.01, late.append, SystemClock())
    line.join("a")
    line.join("b")
    async with asyncio.timeout(5):
        while len(late) < 2:
            await asyncio.sleep(0.005)
    line.join("c")
    async with asyncio.timeout(5):
        while len(late) < 3:
            await asyncio.sleep(0.005)
    assert late == ["a", "b", "c"]
    assert len(line) == 0


async def test_nobody_is_told_after_the_end():
    late: list[str] = []
    line: Line[str] = Line(0.001, late.append, SystemClock())
    line.join("a")
    line.close()
    await asyncio.sleep(0.02)
    assert late == []


class Refused(Exception):
    """As a protocol has it."""


async def test_failures_are_remembered_until_one_attempt_succeeds():
    outcomes: list[Exception | str] = [Refused("no"), ConnectionRefusedError("gone"), "link"]

    async def dial() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    pauses = Backoff(0.001, 0.001)
    dialler = Dialler("test", dial, SystemClock(), seconds=5, faults=(Refused,), pauses=pauses)
    for cause, words in ((Refused, "no"), (OSError, "gone")):
        with pytest.raises(DialFailed, match=words) as failed:
            await dialler.open()
        assert isinstance(failed.value.cause, cause)
        assert dialler.failure == words
    assert await dialler.open() == "link"
    assert dialler.failure == ""


async def test_an_attempt_has_a_deadline():
    pauses = Backoff(0.001, 0.001)
    dialler = Dialler(
        "test", lambda: asyncio.sleep(60), SystemClock(), seconds=0.01, faults=(), pauses=pauses
    )
    with pytest.raises(DialFailed, match=r"no answer within 0\.01 s"):
        await dialler.open()
