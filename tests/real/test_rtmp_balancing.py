"""Streams that go to origins: what ffmpeg publishes here, ffmpeg plays here, whatever becomes of the origins."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

from marchproxy.contract.pb import module_pb2
from tests.real.support.process import Started, start
from tests.real.support.rtmp import Streaming, frames, make_flv, publish, streaming
from tests.real.support.rtmp_origins import RtmpOrigin, pool, rtmp_origins, to_pools
from tests.real.support.waiting import until

_STREAMS = ("shows/a", "shows/b", "shows/c", "shows/d")
_PUBLISHERS = 20
#: Seconds by which the clock of every second publisher is ahead, so that it soon crosses 0xFFFFFF milliseconds.
_AHEAD = 16_774
#: Of the fields of a frame; behind it there may be others, where a decoder is told something anew.
_TIME, _DIGEST = 1, 5


async def test_frames_are_those_that_were_published(tmp_path: Path) -> None:
    film = await make_flv(tmp_path / "film.flv")
    wanted = await frames(film)
    # the origins take connections with a header of the PROXY protocol alone, and have one app, of another name
    async with rtmp_origins(tmp_path, 2, listen=" proxy_protocol") as origins:
        origin_pool = pool("origins", origins, rtmp={"proxy_protocol": 1, "app": "live"})
        document = {"pools": [origin_pool], "routes": [to_pools("origins")]}
        async with streaming(tmp_path, document) as system, asyncio.TaskGroup() as group:
            # players come first, so that they get everything
            played = [group.create_task(frames(system.url(stream))) for stream in _STREAMS]
            await system.counts("players", len(_STREAMS))
            for stream in _STREAMS:
                group.create_task(publish(film, system.url(f"{stream}?token=secret")))
        assert [task.result() for task in played] == [wanted] * len(_STREAMS)
        logs = "".join(origin.access_log for origin in origins)
    assert logs.count("PUBLISH") == len(_STREAMS)
    assert "secret" not in logs


async def test_publishers_stay_when_their_origins_go(tmp_path: Path) -> None:
    film = await make_flv(tmp_path / "film.flv")
    digests = {_fields(line)[_DIGEST] for line in await frames(film)}
    async with (
        rtmp_origins(tmp_path, 3) as (killed, drained, last),
        streaming(
            tmp_path, {"pools": [pool("origins", [killed, drained])], "routes": [to_pools("origins")]}
        ) as system,
        _publishing(film, system, tmp_path / "publishers.log") as publishers,
    ):
        await system.counts("publishers", _PUBLISHERS)
        name = next(iter(await killed.streams()))
        async with _playing(system.url(f"live/{name}"), tmp_path / "played") as played:
            await until(lambda: len(_seen(played)) > 20)
            await killed.kill()
            await until(lambda: _has_all(drained))
            seen = len(_seen(played))
            await until(lambda: len(_seen(played)) > seen + 50)

            await _change_origins(system, [last])
            await until(lambda: _has_all(last))
            await until(lambda: _has_none(drained))
            seen = len(_seen(played))
            await until(lambda: len(_seen(played)) > seen + 50)
            assert publishers.running
            assert await system.count("publishers") == _PUBLISHERS
            assert await system.count("rehomed_total") >= _PUBLISHERS + 2
            rows = _seen(played)
    for kind in ("0", "1"):
        times = [int(row[_TIME]) for row in rows if row[0] == kind]
        assert all(earlier < later for earlier, later in pairwise(times))
    # at most one, of which the origin had sent a part when it was killed
    assert sum(row[_DIGEST] not in digests for row in rows) <= 1


@asynccontextmanager
async def _publishing(film: Path, system: Streaming, log: Path) -> AsyncIterator[Started]:
    """One ffmpeg that publishes so many streams, each by a connection of its own, and ends as soon as one of them does."""
    words = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(film)]
    for number in range(_PUBLISHERS):
        words += ["-c", "copy", "-output_ts_offset", str(number % 2 * _AHEAD)]
        words += ["-f", "flv", system.url(f"live/s{number}")]
    process = await start(words, log)
    try:
        yield process
    finally:
        await process.end()


@asynccontextmanager
async def _playing(url: str, folder: Path) -> AsyncIterator[Path]:
    """One that plays, and writes what it sees to the file."""
    folder.mkdir()
    words = ["ffmpeg", "-v", "error", "-nostdin", "-i", url, "-c", "copy", "-flush_packets", "1"]
    process = await start([*words, "-f", "framemd5", str(folder / "frames")], folder / "log")
    try:
        yield folder / "frames"
        assert process.running
    finally:
        await process.end()


def _seen(file: Path) -> list[Sequence[str]]:
    """Whole lines of a player's."""
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [_fields(line) for line in lines if line.endswith("\n") and not line.startswith("#")]


def _fields(line: str) -> Sequence[str]:
    return [field.strip() for field in line.split(",")]


async def _has_all(origin: RtmpOrigin) -> bool:
    return len(await origin.streams()) == _PUBLISHERS


async def _has_none(origin: RtmpOrigin) -> bool:
    return not await origin.streams()


async def _change_origins(system: Streaming, origins: Sequence[RtmpOrigin]) -> None:
    system.document["pools"] = [pool("origins", origins)]
    system.save()
    async with system.asked() as module:
        reply = await module.Reload(module_pb2.ReloadRequest())
    assert reply.success, reply.message
