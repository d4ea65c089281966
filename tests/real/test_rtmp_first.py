"""First light of streams: what ffmpeg publishes, ffmpeg plays, whichever worker each of them comes to."""

import asyncio
from pathlib import Path

from tests.real.support.rtmp import HERE, frames, make_flv, publish, streaming

_STREAMS = ("live/a", "live/b", "live/c", "live/d")


async def test_frames_are_those_that_were_published(tmp_path: Path) -> None:
    film = await make_flv(tmp_path / "film.flv")
    wanted = await frames(film)
    async with streaming(tmp_path, {"routes": [dict(HERE)]}) as system:
        async with asyncio.TaskGroup() as group:
            # players come first, so that they get everything
            played = [group.create_task(frames(system.url(stream))) for stream in _STREAMS]
            await system.counts("players", len(_STREAMS))
            for stream in _STREAMS:
                group.create_task(publish(film, system.url(stream)))
        assert [task.result() for task in played] == [wanted] * len(_STREAMS)
