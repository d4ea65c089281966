"""A ladder: ffmpeg encodes what the publisher does not send, cut where the publisher's stream is."""

from contextlib import suppress

import psutil

from tests.manifests import check_manifest
from tests.playlists import check_master, check_media
from tests.real.support.process import naming
from tests.real.support.rtmp import ffmpeg, make_flv, publishing
from tests.real.support.waiting import until
from tests.real.test_rtmp_playback import listed, watched

RUNGS = [{"height": 240, "video_rate": 200}, {"height": 144, "video_rate": 100}]
LADDER = {"segment": 0.5, "rungs": RUNGS, "encoder": "x264", "window": 100}


def encoders(system):
    """The ffmpegs that workers have begun."""
    found = []
    for worker in naming(system.rtmp.folder / "workers"):
        with suppress(psutil.Error):
            found += [child for child in worker.children() if child.name() == "ffmpeg"]
    return found


async def keyframes(url):
    """When each segment's first frame is shown, by a decoder that has nothing but that."""
    said = await ffmpeg(
        [
            "-copyts",
            "-skip_frame",
            "nokey",
            "-i",
            url,
            "-map",
            "0:v",
            "-f",
            "framemd5",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "1:1000",
            "-",
        ]
    )
    return [int(line.split(",")[2]) for line in said.splitlines() if not line.startswith("#")]


async def test_rungs_begin_where_the_source_does_and_come_back_when_ffmpeg_dies(tmp_path):
    film = await make_flv(tmp_path / "film.flv", seconds=5, gop=12, more=["-bf", "2", "-s", "480x270"])
    async with watched(tmp_path, workers=1, **LADDER) as (system, client):
        async with publishing(film, system.url("live/one"), tmp_path / "publisher.log"):
            await listed(client, "/live/one/v144.m3u8", segments=2)
            variants = check_master((await client.get("/live/one/index.m3u8")).text)[1:]
            assert [one["RESOLUTION"] for one in variants] == ["480x270", "426x240", "256x144"]
            (encoder,) = encoders(system)
            encoder.kill()
            await until(lambda: encoders(system) and encoders(system) != [encoder], within=60)
            before = check_media((await client.get("/live/one/v144.m3u8")).text).segments[-1].number
            await until(lambda: follows(client, before), within=60)
        await until(lambda: not encoders(system))
        base = f"{client.base_url}/live/one"
        source, low = await keyframes(f"{base}/v.m3u8"), await keyframes(f"{base}/v144.m3u8")
        assert len(low) > 3
        assert set(low) <= set(source)
        tracks = {one.name for one in check_manifest((await client.get("/live/one/manifest.mpd")).text)}
        assert tracks == {"v", "v240", "v144", "a"}


async def follows(client, number):
    """Whether there are segments after that one."""
    segments = check_media((await client.get("/live/one/v144.m3u8")).text).segments
    return segments[-1].number > number + 1
