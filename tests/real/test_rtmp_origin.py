"""Streams that stay here, with true clients: copies for other servers, clocks that wrap, and a player that does not read."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.ports import free_port
from tests.real.support.process import start
from tests.real.support.rtmp import Streaming, ffmpeg, frames, make_flv, streaming
from tests.real.support.waiting import until

#: Seconds that are added, so that a film crosses 0xFFFFFF and 0x7FFFFFFF milliseconds.
_OFFSETS = {"plain": 0.0, "wrap24": 16_776.2, "wrap31": 2_147_482.6}
_SECONDS = 2.5


def _route(app: str, **options: object) -> dict[str, object]:
    return {"id": app, "protocol": "rtmp", "module": "rtmp", "rtmp": {"apps": [app], **options}}


def _later(wanted: Sequence[str], offset: float) -> list[str]:
    """The frames of a film whose clock is so much ahead."""
    found = []
    for line in wanted:
        stream, *times, duration, size, digest = (part.strip() for part in line.split(","))
        ahead = [int(time) + round(offset * 1000) for time in times]
        found.append(f"{stream}, {ahead[0]}, {ahead[1]}, {duration}, {size}, {digest}")
    return found


async def test_copies_and_wraps_and_a_player_that_does_not_read(tmp_path: Path) -> None:
    port = free_port()
    # one copy goes where it is played, another one where nobody listens
    pushes = [f"rtmp://127.0.0.1:{port}/copy/{{stream}}", f"rtmp://127.0.0.1:{free_port()}/copy/{{stream}}"]
    at_origin = {**_route("relay", push=pushes[:1]), "backends": ["origin"]}
    origin = {
        "name": "origin",
        "protocol": "rtmp",
        "endpoints": [f"127.0.0.1:{port}"],
        "rtmp": {"app": "origin"},
    }
    routes = [
        _route("live", push=pushes),
        _route("copy"),
        _route("small", queue=65536),
        _route("origin"),
        at_origin,
    ]
    document = {"routes": routes, "pools": [origin]}
    film = await make_flv(tmp_path / "film.flv", seconds=_SECONDS)
    wanted = await frames(film, "-copyts")
    async with streaming(tmp_path, document, traffic=f"127.0.0.1:{port}") as system:
        async with asyncio.TaskGroup() as group:
            played = {
                name: group.create_task(frames(f"rtmp://127.0.0.1:{port}/copy/{name}", "-copyts"))
                for name in _OFFSETS
            }
            relayed = group.create_task(frames(f"rtmp://127.0.0.1:{port}/copy/relayed", "-copyts"))
            await system.counts("players", len(_OFFSETS) + 1)
            words = [
                "-re",
                "-i",
                str(film),
                "-c",
                "copy",
                "-f",
                "flv",
                f"rtmp://127.0.0.1:{port}/relay/relayed",
            ]
            group.create_task(ffmpeg(words))
            for name, offset in _OFFSETS.items():
                url = f"rtmp://127.0.0.1:{port}/live/{name}"
                words = ["-re", "-i", str(film), "-c", "copy", "-output_ts_offset", str(offset)]
                group.create_task(ffmpeg([*words, "-f", "flv", url]))
        for name, offset in _OFFSETS.items():
            assert _later(played[name].result(), 0) == _later(wanted, offset), name
        # who pulls a stream from its origin comes a little later, and goes a little earlier
        first = wanted.index(relayed.result()[0])
        assert relayed.result() == wanted[first:][: len(relayed.result())]
        await _play_without_reading(system, film, f"rtmp://127.0.0.1:{port}/small/a")


async def _play_without_reading(system: Streaming, film: Path, url: str) -> None:
    """What the kernel and we keep for a player is full before a flood is over."""
    words = ["ffmpeg", "-v", "error", "-nostdin", "-i"]
    player = await start([*words, url, "-f", "null", "-"], film.with_suffix(".player.log"))
    await system.counts("players", 1)
    player.send(signal.SIGSTOP)
    flood = ["ffmpeg", "-v", "error", "-nostdin", "-stream_loop", "-1", "-i", str(film), "-c", "copy"]
    publisher = await start([*flood, "-f", "flv", url], film.with_suffix(".flood.log"))

    async def drops() -> bool:
        return await system.count("dropped_messages_total") > 0

    try:
        await until(drops)
        assert publisher.running, publisher.log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            player.send(signal.SIGKILL)
        await publisher.end()
        await player.ended(5)
    await system.counts("players", 0)
