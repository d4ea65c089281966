"""HLS and DASH of what is published, as ffmpeg reads them: the frames that were published, each at its time."""

import asyncio
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from marchproxy.wire.proxy_greeting import greeting
from marchproxy.wire.proxy_protocol import Address
from tests.manifests import check_manifest
from tests.playlists import check_master, check_media
from tests.ports import free_port
from tests.real.support.rtmp import HERE, ffmpeg, make_flv, publish, publishing, streaming
from tests.real.support.rtmp_origins import pool, rtmp_origins, to_pools
from tests.real.support.waiting import until

#: Segments of a second, from the beginning of each stream.
PACKAGING = {"segment": 1, "on_demand": False}


@asynccontextmanager
async def watched(directory: Path, *, workers: int = 2, **packaging):
    """A module, where it serves HLS and DASH, and a client of that."""
    port, proxied = free_port(), free_port()
    route = {**HERE, "rtmp": {"grace": "1s", "packaging": {**PACKAGING, **packaging}}}
    where, media = f"127.0.0.1:{port}", str(directory / "media")
    settings = {"workers": workers, "playback": where, "media_dir": media}
    settings["playback_proxy"] = f"127.0.0.1:{proxied}"
    async with (
        streaming(directory, {"routes": [route]}, **settings) as system,
        httpx.AsyncClient(base_url=f"http://{where}", trust_env=False) as client,
    ):
        client.proxied = proxied
        yield system, client


async def listed(client, path, segments=1):
    """A media playlist that has so many segments."""

    async def is_there():
        found = await client.get(path)
        return found.status_code == 200 and len(check_media(found.text).segments) >= segments

    await until(is_there, within=60)
    return check_media((await client.get(path)).text)


async def ended(client, path):
    """Wait for the end of a stream to be told."""

    async def has():
        found = await client.get(path)
        return found.status_code == 200 and check_media(found.text).ended

    await until(has, within=60)


async def test_streams_of_origins_are_packaged_too(tmp_path):
    """One from its beginning, and one while somebody watches who shows a key."""
    film = await make_flv(tmp_path / "film.flv", seconds=4)
    (tmp_path / "keys").write_text("later/*:right\n")
    on_demand = {"packaging": {**PACKAGING, "on_demand": True}, "apps": ["later"], "play": ["keys"]}
    port = free_port()
    async with rtmp_origins(tmp_path, 1) as origins:
        document = {
            "pools": [pool("origins", origins, rtmp={"app": "live"})],
            "routes": [
                to_pools("origins", rtmp={"packaging": PACKAGING, "apps": ["live"]}),
                {**to_pools("origins", rtmp=on_demand), "id": "later"},
            ],
            "authentication": [{"name": "keys", "kind": "stream_keys", "file": str(tmp_path / "keys")}],
        }
        settings = {"playback": f"127.0.0.1:{port}", "media_dir": str(tmp_path / "media")}
        async with (
            streaming(tmp_path, document, workers=1, **settings) as system,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
            publishing(film, system.url("live/one"), tmp_path / "one.log"),
            publishing(film, system.url("later/two"), tmp_path / "two.log"),
        ):
            await until(lambda: [*(tmp_path / "media").rglob("*one/v.m3u8")], within=60)
            assert not [*(tmp_path / "media").rglob("*two")]
            assert (await client.get("/later/two/v.m3u8")).status_code == 403
            found = await listed(client, "/later/two/v.m3u8?key=right", segments=2)
            urls = [f"/later/two/{one}" for one in (found.segments[0].head, found.segments[0].uri)]
            data = b"".join([(await client.get(url)).content for url in urls])
        (tmp_path / "segment.mp4").write_bytes(data)
        published = {line.split(",")[-1] for line in await digests(film, "v")}
        packaged = {line.split(",")[-1] for line in await digests(tmp_path / "segment.mp4", "v")}
        assert packaged
        assert packaged <= published


async def digests(source, kind):
    """The frames of a track with their own times."""
    said = await ffmpeg(
        ["-copyts", "-i", str(source), "-map", f"0:{kind}", "-c", "copy", "-f", "framemd5", "-"]
    )
    return [line for line in said.splitlines() if not line.startswith("#")]


async def test_frames_are_those_that_were_published(tmp_path):
    film = await make_flv(tmp_path / "film.flv", seconds=3, more=["-bf", "2"])
    async with watched(tmp_path) as (system, client):
        await publish(film, system.url("live/one"))
        await ended(client, "/live/one/v.m3u8")
        for kind in ("v", "a"):
            published = await digests(film, kind)
            for name in ("index.m3u8", "manifest.mpd"):
                assert await digests(f"{client.base_url}/live/one/{name}", kind) == published, (kind, name)
        assert (await through_a_proxy(client.proxied)).startswith(b"HTTP/1.1 200 OK")


async def through_a_proxy(port):
    """What a client is answered whom an NLB introduces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client, server = Address("203.0.113.9", 4000), Address("203.0.113.1", 80)
    writer.write(
        greeting(2, client, server) + b"GET /live/one/v.m3u8 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_stream_is_packaged_while_somebody_watches_and_goes_on_after_its_worker(tmp_path):
    film = await make_flv(tmp_path / "film.flv", seconds=4)
    async with watched(tmp_path, workers=1, on_demand=True) as (system, client):
        nobody = await client.get("/live/one/index.m3u8")
        assert (nobody.status_code, nobody.text) == (404, "nobody publishes this stream now\n")
        assert (await client.get("/live/one/ab-v-0.m4s")).status_code == 404
        async with publishing(film, system.url("live/one"), tmp_path / "publisher.log"):
            await until(lambda: client_finds(client), within=60)
            assert not any((tmp_path / "media").glob("*/*.tmp"))
            before = await listed(client, "/live/one/v.m3u8", segments=2)
            check_master((await client.get("/live/one/index.m3u8")).text)
            check_manifest((await client.get("/live/one/manifest.mpd")).text)
            (worker,) = system.workers()
            worker.kill()
            await until(lambda: worker.pid not in [one.pid for one in system.workers()])
        await until(lambda: takes_clients(system.port))
        async with publishing(film, system.url("live/one"), tmp_path / "again.log"):

            async def goes_on():
                await client.get("/live/one/index.m3u8")
                text = (await client.get("/live/one/v.m3u8")).text
                return (
                    text and check_media(text).segments[-1].discontinuity > before.segments[-1].discontinuity
                )

            await until(goes_on, within=60)
            after = await listed(client, "/live/one/v.m3u8")
        known = {one.number: one for one in before.segments}
        assert all(known.get(one.number, one) == one for one in after.segments)
        assert after.segments[-1].number > before.segments[-1].number


def takes_clients(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def client_finds(client):
    return (await client.get("/live/one/index.m3u8")).status_code == 200
