"""The line on which the decider is told of ends."""

import asyncio

from marchproxy.kit.clock import SystemClock
from marchproxy.modules.ailb.relay.errands import Errands
from marchproxy.modules.ailb.relay.keeping import LONGEST, Kept
from marchproxy.modules.ailb.relay.pace import Pace
from marchproxy.modules.ailb.relay.reports import Reports
from marchproxy.modules.ailb.settling.report import Ending, Report, decode


def report(number):
    return Report(number, Ending.COMPLETE)


async def test_what_nobody_hears_waits_and_the_oldest_is_given_up(tmp_path):
    reports = Reports(tmp_path / "ended.sock", SystemClock(), most=3)
    for number in range(5):
        reports.put(report(number))
    assert (len(reports), reports.lost) == (3, 2)
    heard = asyncio.Queue()

    async def hear(reader, writer):
        while line := await reader.readline():
            heard.put_nowait(decode(line).number)
        writer.close()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(reports.run())
        await asyncio.sleep(0)
        server = await asyncio.start_unix_server(hear, tmp_path / "ended.sock")
        assert [await heard.get() for _ in range(3)] == [2, 3, 4]
        reports.put(report(9))
        assert await heard.get() == 9
        running.cancel()
        server.close()
    assert len(reports) == 0


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
