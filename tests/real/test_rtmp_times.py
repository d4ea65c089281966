"""Clocks of publishers that wrap, and days of them: every frame at its time by every path, and no more is kept than of minutes."""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from bench.support.rtmp_client import CHUNK_SIZE, Joining
from marchproxy.modules.rtmp.session.dialogue import CHUNK_SIZE as PLAYED_SIZE
from marchproxy.wire.flv import FlvReader
from marchproxy.wire.rtmp import control
from marchproxy.wire.rtmp.chunking import encode
from marchproxy.wire.rtmp.chunks import ChunkReader
from marchproxy.wire.rtmp.media import Packet, look
from marchproxy.wire.rtmp.message import AUDIO, VIDEO, Message
from tests.manifests import check_manifest
from tests.playlists import check_media
from tests.ports import free_port
from tests.real.support.rtmp import HERE, ffmpeg, frames, make_flv, streaming
from tests.real.support.rtmp_origins import to_pools
from tests.real.support.waiting import until
from tests.real.test_rtmp_playback import PACKAGING, ended

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
            published = await _by_track(film)
            for name, offset in _OFFSETS.items():
                await ended(client, f"/live/{name}/v.m3u8")
                for listing in ("index.m3u8", "manifest.mpd"):
                    found = await _by_track(f"{client.base_url}/live/{name}/{listing}")
                    assert _later(found, 0) == _later(published, offset), (name, listing)


async def _by_track(source: str | Path) -> list[str]:
    """The frames of the picture, then those of the sound: files are interleaved in their own way."""
    words = ["-copyts", "-i", str(source), "-map", "0:v", "-map", "0:a", "-c", "copy", "-f", "framemd5", "-"]
    lines = [line for line in (await ffmpeg(words)).splitlines() if not line.startswith("#")]
    return sorted(lines, key=lambda line: line[0])


#: In milliseconds. Frames are so far apart, or pieces of a film.
_HOUR, _STEP, _JUMP = 3_600_000, 10_000, 60_000
_HOURS = 24
_WRAP = 0x8000_0000
_WINDOW = 5
#: Of files that are kept for two streams of three tracks: segments of twice the window, as many heads, lists and memories.
_FILES = 3 * (2 * (2 * _WINDOW + 1) + 1) + 2 * 3
#: Bytes by which a worker may grow; four times as many go through it.
_GROWTH = 8 * 2**20


async def test_a_day_passes(tmp_path: Path) -> None:
    """Hour by hour: what is published is played, and then comes more."""
    film = _Film(await make_flv(tmp_path / "film.flv", seconds=0.16, gop=2))
    watched, media = free_port(), tmp_path / "media"
    routes = []
    for name, seconds in (("steps", 30), ("jumps", 1)):
        packaging = {**PACKAGING, "segment": seconds, "window": _WINDOW}
        routes.append({**HERE, "id": name, "rtmp": {"apps": [name], "packaging": packaging, "stall": 60}})
    settings = {"workers": 1, "playback": f"127.0.0.1:{watched}", "media_dir": str(media)}
    async with streaming(tmp_path, {"routes": routes}, **settings) as system:
        (worker,) = system.workers()
        with _Day(system.port, "steps", film) as steps, _Day(system.port, "jumps", film) as jumps:
            grown = 0
            for hour in range(_HOURS):
                await asyncio.to_thread(_step, hour, film, steps)
                await asyncio.to_thread(_jump, hour, film, jumps)
                if hour == 1:
                    grown = worker.memory_info().rss
            assert worker.memory_info().rss < grown + _GROWTH
            await until(lambda: sum(one.is_file() for one in media.rglob("*")) <= _FILES)
            await _check_lists(f"http://127.0.0.1:{watched}")


async def _check_lists(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        for name in ("steps", "jumps"):
            playlist = check_media((await client.get(f"/{name}/day/v.m3u8")).text)
            assert 0 < len(playlist.segments) <= _WINDOW
            tracks = check_manifest((await client.get(f"/{name}/day/manifest.mpd")).text)
            pictures = [one for track in tracks if track.name == "v" for one in track.segments]
            assert 0 < len(pictures) <= _WINDOW


def _step(hour: int, film: "_Film", day: "_Day") -> None:
    """Pictures, each for seconds, by a clock that wraps at noon."""
    times = range(_WRAP + (hour - _HOURS // 2) * _HOUR, _WRAP + (hour + 1 - _HOURS // 2) * _HOUR, _STEP)
    pictures = list(itertools.islice(itertools.cycle(film.pictures), len(times)))
    day.publish(one._replace(timestamp=time % _WRAP) for time, one in zip(times, pictures, strict=True))
    played = day.play(len(times))
    assert [one.payload for one in played] == [one.payload for one in pictures]
    assert [one.timestamp for one in played] == list(times)


def _jump(hour: int, film: "_Film", day: "_Day") -> None:
    """The film again and again, each time by another clock, which is not the stream's."""
    clocks = range(hour * _HOUR, (hour + 1) * _HOUR, _JUMP)
    day.publish(one._replace(timestamp=clock + one.timestamp) for clock in clocks for one in film.frames)
    played = day.play(len(clocks) * len(film.frames))
    assert [one.payload for one in played] == [one.payload for one in film.frames] * len(clocks)
    assert all(one.timestamp <= other.timestamp for one, other in itertools.pairwise(played))


class _Film:
    """A film's messages."""

    def __init__(self, file: Path) -> None:
        media = [one for one in FlvReader().feed(file.read_bytes()) if one.type in {AUDIO, VIDEO}]
        self.heads = [one for one in media if _packet(one) is Packet.CONFIG]
        self.frames = [one for one in media if _packet(one) is Packet.FRAMES]
        self.pictures = [one for one in self.frames if one.type == VIDEO]


class _Day:
    """A publisher and a player of a stream."""

    def __init__(self, port: int, app: str, film: _Film) -> None:
        self._publisher = Joining(port, app).publish("day")
        self._player = Joining(port, app).play("day")
        for one in (self._publisher, self._player):
            one.settimeout(30)
        self._reader = ChunkReader()
        self._reader.feed(encode(control.set_chunk_size(PLAYED_SIZE)))  # which was told already
        self.publish(film.heads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._publisher.close()
        self._player.close()

    def publish(self, messages: Iterable[Message]) -> None:
        """Publish all of it."""
        self._publisher.sendall(b"".join(encode(one, CHUNK_SIZE) for one in messages))

    def play(self, count: int) -> list[Message]:
        """So many frames."""
        played: list[Message] = []
        while len(played) < count:
            data = self._player.recv(65536)
            assert data, "the player was closed"
            played += [one for one in self._reader.feed(data) if _packet(one) is Packet.FRAMES]
        return played


def _packet(message: Message) -> Packet:
    return look(message.type, message.payload).packet
