"""Streams that go to origins: what ffmpeg publishes here, ffmpeg plays here."""

import asyncio
from pathlib import Path

from tests.real.support.rtmp import frames, make_flv, publish, streaming
from tests.real.support.rtmp_origins import pool, rtmp_origins, to_pools

_STREAMS = ("live/a", "live/b", "live/c", "live/d")


async def test_frames_are_those_that_were_published(tmp_path: Path) -> None:
    film = await make_flv(tmp_path / "film.flv")
    wanted = await frames(film)
    async with rtmp_origins(tmp_path, 2) as origins:
        document = {"pools": [pool("origins", origins)], "routes": [to_pools("origins")]}
        async with streaming(tmp_path, document) as system, asyncio.TaskGroup() as group:
            # players come first, so that they get everything
            played = [group.create_task(frames(system.url(stream))) for stream in _STREAMS]
            await system.counts("players", len(_STREAMS))
            for stream in _STREAMS:
                group.create_task(publish(film, system.url(stream)))
        assert [task.result() for task in played] == [wanted] * len(_STREAMS)
