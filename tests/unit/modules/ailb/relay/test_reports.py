"""The line on which the decider is told of ends."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.modules.ailb.relay.errands import Errands
from marchproxy.modules.ailb.relay.keeping import LONGEST, Kept
from marchproxy.modules.ailb.relay.pace import Pace
from marchproxy.modules.ailb.relay.reports import Reports
from marchproxy.modules.ailb.settling.report import Ending, Report, decode


def report(number):
    return Report(number, Ending.COMPLETE)


class Decider:
    """Hears reports, and has written down what it is told to."""

    def __init__(self, path, *, first=0):
        self.heard = asyncio.Queue()
        self.line = None
        self._path, self._first = path, first

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._hear, self._path)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        if self.line is not None:
            self.line.close()

    async def _hear(self, reader, writer):
        self.line = writer
        writer.write(b"%d\n" % self._first)
        while line := await reader.readline():
            self.heard.put_nowait(decode(line))

    async def numbers(self, count):
        return [(await self.heard.get()).number for _ in range(count)]


@asynccontextmanager
async def running(reports):
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(reports.run())
        yield
        task.cancel()


async def holds(condition):
    while not condition():
        await asyncio.sleep(0.001)


async def test_what_nobody_hears_waits_and_the_oldest_is_given_up(tmp_path):
    reports = Reports(tmp_path / "s", SystemClock(), most=3)
    for number in range(5):
        reports.put(report(number))
    assert (len(reports), reports.lost) == (3, 2)
    async with running(reports), Decider(tmp_path / "s") as decider:
        assert await decider.numbers(3) == [2, 3, 4]
        decider.line.write(b"2\n3\n")
        decider.line.write(b"4\n77\n")
        await holds(lambda: len(reports) == 0)
        reports.put(report(9))
        assert await decider.numbers(1) == [9]


async def test_what_is_not_written_down_is_told_to_the_next_decider(tmp_path):
    reports = Reports(tmp_path / "s", SystemClock())
    whose = {"x-ai-who": "somebody"}
    async with running(reports):
        async with Decider(tmp_path / "s", first=1) as decider:
            reports.put(report(1))
            assert await decider.numbers(1) == [1]
            for number in (2, 3):
                reports.put(Report(number, Ending.UNREACHED, fields=whose))
            reports.put(Report(2, Ending.COMPLETE, attempts=2, fields=whose))
            assert await decider.numbers(3) == [2, 3, 2]
            decider.line.write(b"1\n")
            await holds(lambda: len(reports) == 2)
        async with Decider(tmp_path / "s", first=3) as decider:
            told = [await decider.heard.get() for _ in range(2)]
            assert [(one.number, one.attempts, one.fields) for one in told] == [(3, 1, {}), (2, 2, whose)]
            reports.put(report(4))
            assert await decider.numbers(1) == [4]


async def test_a_decider_is_told_first_of_what_was_under_way_before_it(tmp_path):
    reports, asked = Reports(tmp_path / "s", SystemClock()), []

    def going(first):
        asked.append(first)
        return [Report(3, Ending.GOING, fields={"x-ai-who": "somebody"})]

    reports.going = going
    reports.put(report(1))
    async with running(reports), Decider(tmp_path / "s", first=5) as decider:
        told = [await decider.heard.get() for _ in range(2)]
    assert [(one.number, one.ending) for one in told] == [(3, Ending.GOING), (1, Ending.COMPLETE)]
    assert told[0].fields == {"x-ai-who": "somebody"}
    assert asked == [5]


@pytest.mark.parametrize("said", [b"", b"nonsense\n", b"0\nnonsense\n", b"0\n5\n\n", b"x" * 100_000])
async def test_a_decider_that_says_nothing_of_use_is_left(tmp_path, said):
    reports = Reports(tmp_path / "s", SystemClock())
    lines = []

    async def speak(reader, writer):
        lines.append(writer)
        writer.write(said)
        if not said:
            writer.close()

    reports.put(report(1))
    server = await asyncio.start_unix_server(speak, tmp_path / "s")
    async with running(reports):
        await holds(lambda: len(lines) > 1)
        server.close()
        (tmp_path / "s").unlink(missing_ok=True)
        async with Decider(tmp_path / "s") as decider:
            assert await decider.numbers(1) == [1]
    for line in lines:
        line.close()


async def test_errands_bring_and_fetch(tmp_path):
    got = []

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        got.append(head.split(b"\r\n")[0])
        if head.startswith(b"PUT"):
            got.append(await reader.readexactly(5))
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif b"/404 " in head:
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, tmp_path / "own.sock")
    errands = Errands(tmp_path / "own.sock")
    assert await errands.body(7) == b"hello"
    await errands.keep(7, b"text/plain", b"kept!")
    assert got == [b"GET /body/7 HTTP/1.1", b"PUT /answer/7 HTTP/1.1", b"kept!"]
    for away in (False, True):
        if away:
            server.close()
            (tmp_path / "own.sock").unlink()
            await errands.keep(7, b"text/plain", b"kept!")
        try:
            await errands.body(404)
        except OSError:
            continue
        raise AssertionError


def test_an_answer_is_kept_up_to_a_bound():
    kept = Kept()
    kept.add(b"a")
    kept.add(b"b")
    assert kept.whole == b"ab"
    kept.add(bytes(LONGEST))
    kept.add(b"c")
    assert kept.whole == b""


def test_times_of_an_answer():
    pace = Pace(10.0)
    assert (pace.first, pace.each(5), pace.longest) == (None, None, 0.0)
    for now in (11.0, 11.5, 13.0):
        pace.mark(now)
    assert (pace.first, pace.each(3), pace.longest, pace.all(14.0)) == (1.0, 1.0, 1.5, 4.0)
    assert pace.each(1) is None
    assert pace.each(None) is None
