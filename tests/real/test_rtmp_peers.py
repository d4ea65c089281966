"""Others' RTMP beside ours: GStreamer, rtmpdump, nginx and an ffmpeg that knows FourCCs get the frames that were published."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg

from tests.ports import free_port
from tests.real.support.databases import run
from tests.real.support.rtmp import HERE, frames, make_flv, publish, publishing, streaming
from tests.real.support.rtmp_origins import pool, rtmp_origins, to_pools
from tests.real.test_rtmp_playback import ended, watched

#: Codecs that enhanced RTMP names by FourCC, but for MP3; how a film in each pair of them is encoded.
_ENHANCED = {
    "hevc": "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=2 -c:a libopus",
    "av1": "-c:v libaom-av1 -usage realtime -cpu-used 8 -c:a libmp3lame",
    "vp9": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a ac3",
    "avc": "-c:v libx264 -preset ultrafast -bf 2 -c:a libopus",
}
_SOURCE = "-f lavfi -i testsrc=size=192x108:rate=25:duration=2 -f lavfi -i sine=sample_rate=48000:duration=2"


async def test_gstreamer_publishes_and_others_play(tmp_path: Path) -> None:
    """A stream that stays here, and one that an nginx has."""
    film = await make_flv(tmp_path / "film.flv")
    wanted = await frames(film)
    async with rtmp_origins(tmp_path) as origins:
        here, there = {**HERE, "rtmp": {"apps": ["here"]}}, to_pools("origins", rtmp={"apps": ["there"]})
        pools = [pool("origins", origins, rtmp={"app": "live"})]
        async with streaming(tmp_path, {"pools": pools, "routes": [here, there]}) as system:
            urls = {app: system.url(f"{app}/a") for app in ("here", "there")}
            async with asyncio.TaskGroup() as group:
                played = {app: group.create_task(_played(url, tmp_path / app)) for app, url in urls.items()}
                await system.counts("players", 3 * len(urls))
                for url in urls.values():
                    group.create_task(_publish(film, url))
    for app, task in played.items():
        by_ffmpeg, by_rtmpdump, by_gstreamer = task.result()
        assert by_ffmpeg == wanted, app
        assert by_rtmpdump == wanted, app
        assert by_gstreamer == wanted[: len(by_gstreamer)], app
        # rtmp2src forgets the message that it has not passed on when the end comes
        assert len(by_gstreamer) >= len(wanted) - 1, app


async def _played(url: str, folder: Path) -> list[list[str]]:
    """What ffmpeg, rtmpdump and GStreamer get."""
    dumped, received = folder / "dumped.flv", folder / "received.flv"
    folder.mkdir()
    async with asyncio.TaskGroup() as group:
        played = group.create_task(frames(url))
        group.create_task(run("rtmpdump", "-q", "-v", "-r", url, "-o", str(dumped)))
        group.create_task(_pipeline(f"rtmp2src location={url} ! filesink location={received}"))
    return [played.result(), await frames(dumped), await frames(received)]


async def _publish(film: Path, url: str) -> None:
    await _pipeline(
        f"filesrc location={film} ! flvdemux name=film flvmux name=muxer streamable=true ! rtmp2sink location={url} "
        "film.video ! queue ! h264parse ! muxer. film.audio ! queue ! aacparse ! muxer."
    )


async def _pipeline(description: str) -> None:
    await run("gst-launch-1.0", "-q", *description.split())


async def test_nginx_pushes_and_pulls(tmp_path: Path) -> None:
    """What is published to an nginx that pushes to us, we push to another one, which pulls from us too."""
    port = free_port()
    ours = f"rtmp://127.0.0.1:{port}"
    film = await make_flv(tmp_path / "film.flv")
    wanted = await frames(film)
    for name in ("first", "last"):
        (tmp_path / name).mkdir()
    async with (
        rtmp_origins(tmp_path / "first", options=f"push {ours}/pushed;") as (first,),
        rtmp_origins(tmp_path / "last", options=f"pull {ours}/pulled name=pulled live=1;") as (last,),
    ):
        push = {"apps": ["pushed"], "push": [f"rtmp://{last.address}/live/{{stream}}"]}
        routes = [
            {**HERE, "id": "pushed", "rtmp": push},
            {**HERE, "id": "pulled", "rtmp": {"apps": ["pulled"]}},
        ]
        document, here = {"routes": routes}, f"127.0.0.1:{port}"
        async with streaming(tmp_path, document, traffic=here) as system, asyncio.TaskGroup() as group:
            pulled = group.create_task(frames(f"rtmp://{last.address}/live/pulled"))
            await system.counts("players", 1)
            group.create_task(publish(film, f"{ours}/pulled/pulled"))
            begun = f"rtmp://{first.address}/live/looped"
            async with publishing(film, begun, tmp_path / "publisher.log"):
                urls = [f"{ours}/pushed/looped", f"rtmp://{last.address}/live/looped"]
                looped = [group.create_task(frames(url, "-t", "2")) for url in urls]
                await asyncio.wait(looped)
    assert pulled.result() == wanted
    for url, task in zip(urls, looped, strict=True):
        _check_run(url, task.result(), wanted)


def _check_run(url: str, found: Sequence[str], film: Sequence[str]) -> None:
    """Whether these are frames of a film that is shown again and again, none missing between the first and the last."""
    for track in "01":
        frames, part = _sizes_and_digests(film, track), _sizes_and_digests(found, track)
        assert len(part) >= 20, (url, track)
        assert part[0] in frames, (url, track, part[:3])
        first = frames.index(part[0])
        for number, frame in enumerate(part):
            assert frame == frames[(first + number) % len(frames)], (url, track, number)


def _sizes_and_digests(lines: Sequence[str], track: str) -> list[str]:
    """Of each frame; what stands behind them is a configuration that came once more before it."""
    return [line.split(",", 4)[4] for line in lines if line.startswith(track)]


async def test_codecs_with_fourcc(tmp_path: Path) -> None:
    """By RTMP, HLS and DASH."""
    films = {name: tmp_path / f"{name}.flv" for name in _ENHANCED}
    for name, film in films.items():
        await _newer(*_SOURCE.split(), "-pix_fmt", "yuv420p", "-g", "25", *_ENHANCED[name].split(), str(film))
    wanted = {name: await _frames(film) for name, film in films.items()}
    async with watched(tmp_path) as (system, client):
        async with asyncio.TaskGroup() as group:
            played = {name: group.create_task(_frames(system.url(f"live/{name}"))) for name in films}
            await system.counts("players", len(films))
            for name, film in films.items():
                words = ["-re", "-i", str(film), "-c", "copy", "-f", "flv", system.url(f"live/{name}")]
                group.create_task(_newer(*words))
        for name in films:
            assert played[name].result() == wanted[name], name
            await ended(client, f"/live/{name}/v.m3u8")
            for listing in ("index.m3u8", "manifest.mpd"):
                found = await _frames(f"{client.base_url}/live/{name}/{listing}")
                assert _digests(found) == _digests(wanted[name]), (name, listing)


async def _newer(*arguments: str) -> str:
    """An ffmpeg that has enhanced RTMP, which Debian's has not."""
    return await run(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *arguments)


async def _frames(source: str | Path) -> list[str]:
    said = await _newer("-i", str(source), "-c", "copy", "-f", "framemd5", "-")
    return [line for line in said.splitlines() if not line.startswith("#")]


def _digests(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Track and digest of each frame, by track: files are interleaved in their own way."""
    return sorted(((line[0], line.rsplit(",", 1)[1]) for line in lines), key=lambda one: one[0])
