"""Players of browsers, in Chromium: each plays what is published, and goes on to do so."""

import json
from pathlib import Path

import pytest

from tests.real.support.browser import chromium
from tests.real.support.rtmp import make_flv, publishing
from tests.real.support.waiting import until
from tests.real.test_rtmp_playback import listed, watched

_PLAYERS = Path(__file__).parents[2] / ".players" / "node_modules"
_BEGIN = {
    "hls": """new Promise((done) => { const hls = new Hls();
        hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) faults[name].push(data.details); });
        hls.loadSource(base + "/index.m3u8"); hls.attachMedia(video); video.play(); done(); })""",
    "dash": """new Promise((done) => { const dash = dashjs.MediaPlayer().create();
        dash.on("error", (event) => faults[name].push(event.error.message));
        dash.initialize(video, base + "/manifest.mpd", true); done(); })""",
    "shaka": """(async () => { shaka.polyfill.installAll(); const player = new shaka.Player(); await player.attach(video);
        player.addEventListener("error", (event) => faults[name].push(event.detail.code));
        await player.load(base + "/manifest.mpd"); await video.play(); })()""",
}
_FILES = {
    "hls": "hls.js/dist/hls.min.js",
    "dash": "dashjs/dist/legacy/umd/dash.all.min.js",
    "shaka": "shaka-player/dist/shaka-player.compiled.js",
}
_SEEN = """Object.fromEntries(Object.entries(videos).map(([name, video]) => [name, { faults: faults[name],
    time: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames, width: video.videoWidth }]))"""
_H264 = """MediaSource.isTypeSupported('video/mp4; codecs="avc1.42c01e,mp4a.40.2"')"""


async def test_players_play(tmp_path):
    film = await make_flv(tmp_path / "film.flv", seconds=5, more=["-bf", "2", "-pix_fmt", "yuv420p"])
    async with (
        watched(tmp_path) as (system, client),
        publishing(film, system.url("live/one"), tmp_path / "publisher.log"),
        chromium(tmp_path) as browser,
    ):
        await listed(client, "/live/one/v.m3u8", segments=3)
        page = await browser.page()  # one for all: what is hidden does not play
        assert await page.run(_H264), "this Chromium has no H.264"
        await page.run("globalThis.videos = {}; globalThis.faults = {}; 0")
        for player in _BEGIN:
            await begin(page, player, f"{client.base_url}/live/one")
        first = {}

        async def all_go_on():
            found = await page.run(_SEEN)
            assert not any(seen["faults"] for seen in found.values()), found
            for player, seen in found.items():
                if seen["frames"]:
                    first.setdefault(player, seen)
            return all(name in first and goes_on(first[name], found[name]) for name in _BEGIN)

        try:
            await until(all_go_on, within=60)
        except TimeoutError:
            pytest.fail(f"not all play: {await page.run(_SEEN)}")


async def begin(page, player, base):
    """Have a player play."""
    await page.run((_PLAYERS / _FILES[player]).read_text() + "\n;0")
    names = f"const name = {json.dumps(player)}, base = {json.dumps(base)};"
    await page.run(f"""(async () => {{ {names}
        const video = videos[name] = document.body.appendChild(document.createElement("video"));
        faults[name] = []; video.muted = true; await {_BEGIN[player]}; }})()""")


def goes_on(first, seen):
    """Whether it has played for five seconds, of which each has its frames."""
    return seen["time"] > first["time"] + 5 and seen["frames"] > first["frames"] + 60
