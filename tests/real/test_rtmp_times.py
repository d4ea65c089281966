"""Clocks of publishers that wrap, and days of them: every frame at its time by every path, and no more is kept than of minutes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.real.support.rtmp import HERE, ffmpeg, frames, make_flv, streaming
from tests.real.support.rtmp_origins import to_pools
from tests.real.test_rtmp_playback import PACKAGING, digests, ended

#: Seconds that are added, so that a film crosses 0xFFFFFF and 0x7FFFFFFF milliseconds in its middle.
_OFFSETS = {"wrap24": 16_776.2, "wrap31": 2_147_482.6}


def _later(lines: Sequence[str], offset: float) -> list[str]:
    """The frames of a film whose clock is so much ahead."""
    found = []
    for line in lines:
        track, decoded, shown, *rest = (part.strip() for part in line.split(","))
        ahead = round(offset * 1000)
        found.append(", ".join((track, str(int(decoded) + ahead), str(int(shown) + ahead), *rest)))
    return found


async def test_clocks_wrap(tmp_path: Path) -> None:
    """By a relay to an origin, which is ourselves: whoever publishes and plays here and there, and watches."""
    port, watched = free_port(), free_port()
    origin: dict[str, Any] = {"name": "origin", "protocol": "rtmp", "endpoints": [f"127.0.0.1:{port}"]}
    kept = {**HERE, "rtmp": {"apps": ["live"], "packaging": PACKAGING}}
    document = {
        "pools": [{**origin, "rtmp": {"app": "live"}}],
        "routes": [kept, to_pools("origin", rtmp={"apps": ["relayed"]})],
    }
    settings = {
        "traffic": f"127.0.0.1:{port}",
        "playback": f"127.0.0.1:{watched}",
        "media_dir": str(tmp_path / "media"),
    }
    film = await make_flv(tmp_path / "film.flv", seconds=2.5, more=["-bf", "2"])
    wanted = await frames(film, "-copyts")
    async with streaming(tmp_path, document, **settings) as system:
        async with asyncio.TaskGroup() as group:
            played = {
                (app, name): group.create_task(frames(f"rtmp://127.0.0.1:{port}/{app}/{name}", "-copyts"))
                for app in ("live", "relayed")
                for name in _OFFSETS
            }
            await system.counts("players", len(played) + len(_OFFSETS))
            for name, offset in _OFFSETS.items():
                words = ["-re", "-copyts", "-i", str(film), "-c", "copy", "-output_ts_offset", str(offset)]
                group.create_task(ffmpeg([*words, "-f", "flv", f"rtmp://127.0.0.1:{port}/relayed/{name}"]))
        for (app, name), task in played.items():
            assert _later(task.result(), 0) == _later(wanted, _OFFSETS[name]), (app, name)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{watched}", trust_env=False) as client:
            for name, offset in _OFFSETS.items():
                await ended(client, f"/live/{name}/v.m3u8")
                for kind in ("v", "a"):
                    published = await digests(film, kind)
                    for listing in ("index.m3u8", "manifest.mpd"):
                        found = await digests(f"{client.base_url}/live/{name}/{listing}", kind)
                        assert _later(found, 0) == _later(published, offset), (name, kind, listing)
