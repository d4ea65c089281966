"""The service as viewers meet it: over sockets, with files as a packager leaves them."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from marchproxy.kit.clock import SystemClock, VirtualClock
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import Protocol
from marchproxy.model.route import Route, RouteId
from marchproxy.model.rtmp import Packaging, RtmpRoute
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.packaging.place import folder_of
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.playback.doorman import IDLE_SECONDS
from marchproxy.modules.rtmp.playback.theatre import Theatre
from marchproxy.modules.rtmp.playback.watching import Counter, socket_of
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.tally import Tallies

KEY = StreamKey("", "live", "one")
PLAYLIST = "#EXTM3U\nab-v-1.m4s\n"


def plan(packaging=Packaging(), play=()):  # noqa: B008 - a frozen value
    options = RtmpRoute(packaging=packaging, play=play)
    route = Route(RouteId("r"), Protocol.RTMP, rtmp=options)
    return RtmpPlan((RoutePlan(route, options),))


async def allow(plan, key, query, arrival):
    return "" if not plan.options.play or query == "key=right" else "the key is not right"


@asynccontextmanager
async def theatre(tmp_path, *, clock=None, given=None, answer=None):
    """A client of the theatre, and the theatre."""
    media = tmp_path / "media"
    folder = folder_of(media, KEY)
    folder.mkdir(parents=True)
    (folder / "ab-v-1.m4s").write_bytes(bytes(range(256)) * 4)
    asked, told = [], []

    async def watch(key, viewers):
        asked.append(key)
        told.append(viewers)
        return await answer(folder) if answer else ""

    async with asyncio.TaskGroup() as group:
        worker = await asyncio.start_unix_server(Counter(watch).talk, socket_of(tmp_path, 0))
        around = Surroundings(group, clock or SystemClock(), Tallies(), folder=tmp_path, media=media)
        one = Theatre(around, allow)
        one.apply(given or plan())
        arrival = Arrival(HostPort("127.0.0.1", 1), 8088)
        server = await asyncio.get_running_loop().create_server(lambda: one.accept(arrival), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            client.asked, client.told, client.folder, client.port = asked, told, folder, port
            yield client, one
        server.close()
        worker.close()
        one.close()


async def test_segments_are_kept_for_ever(tmp_path):
    async with theatre(tmp_path) as (client, _):
        whole = await client.get("/live/one/ab-v-1.m4s")
        assert (whole.status_code, whole.content) == (200, bytes(range(256)) * 4)
        assert "immutable" in whole.headers["Cache-Control"]
        assert whole.headers["Content-Type"] == "video/mp4"
        assert whole.headers["Access-Control-Allow-Origin"] == "*"
        (client.folder / "ab-v-1.m4s").unlink()
        part = await client.get("/live/one/ab-v-1.m4s", headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"\2\3\4")
        head = await client.head("/live/one/ab-v-1.m4s")
        assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", "1024")
        same = await client.get("/live/one/ab-v-1.m4s", headers={"If-None-Match": whole.headers["ETag"]})
        assert (same.status_code, same.content) == (304, b"")


async def test_lists_are_read_again(tmp_path):
    async with theatre(tmp_path) as (client, _):
        for text in (PLAYLIST, PLAYLIST + "ab-v-2.m4s\n"):
            (client.folder / "v.m3u8").write_text(text)
            found = await client.get("/live/one/v.m3u8")
            assert found.text == text
            assert found.headers["Content-Type"] == "application/vnd.apple.mpegurl"


async def test_a_stream_is_asked_for_where_it_is_packaged_when_watched(tmp_path):
    async def packages(folder):
        (folder / "index.m3u8").write_text(PLAYLIST)
        return ""

    async with theatre(tmp_path, answer=packages) as (client, _):
        assert (await client.get("/live/one/index.m3u8")).text == PLAYLIST
        assert client.asked == [KEY.text]
        await client.get("/live/one/index.m3u8")
        assert client.asked == [KEY.text], "not with every request"


async def test_why_a_stream_is_not_there(tmp_path):
    async def refuses(folder):
        return "nobody publishes this stream now"

    async with theatre(tmp_path, answer=refuses) as (client, _):
        found = await client.get("/live/one/index.m3u8")
        assert (found.status_code, found.text) == (404, "nobody publishes this stream now\n")
        assert found.headers["Cache-Control"] == "no-store"


async def test_a_worker_that_is_away_is_said_to_be(tmp_path):
    async with theatre(tmp_path) as (client, _):
        socket_of(tmp_path, 0).unlink()
        found = await client.get("/live/one/index.m3u8")
        assert (found.status_code, found.text) == (404, "its worker is away\n")


@pytest.mark.parametrize(
    ("given", "path", "status", "words"),
    [
        (plan(), "/", 404, "nothing is here"),
        (plan(), "/live/one/shelf.json", 404, "nothing is here"),
        (plan(), "/live/one/%2e%2e/index.m3u8", 404, "nothing is here"),
        (plan(), "/live/one/ab-v-2.m4s", 404, "it is not there, or not any more"),
        (RtmpPlan(), "/live/one/index.m3u8", 404, "no route takes this stream"),
        (plan(None), "/live/one/index.m3u8", 404, "the route of this stream has no packaging"),
        (plan(Packaging(hls=False)), "/live/one/index.m3u8", 404, "the route of this stream has no HLS"),
        (plan(Packaging(dash=False)), "/live/one/manifest.mpd", 404, "the route of this stream has no DASH"),
        (plan(play=("keys",)), "/live/one/index.m3u8", 403, "the key is not right"),
        (plan(play=("keys",)), "/live/one/ab-v-1.m4s?key=wrong", 403, "the key is not right"),
    ],
)
async def test_what_is_not_granted(tmp_path, given, path, status, words):
    async with theatre(tmp_path, given=given) as (client, _):
        found = await client.get(path)
        assert found.status_code == status
        assert found.text.startswith(words)


async def test_only_reading_is_possible(tmp_path):
    async with theatre(tmp_path) as (client, _):
        found = await client.post("/live/one/index.m3u8", content=b"x")
        assert (found.status_code, found.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_a_token_goes_from_list_to_list(tmp_path):
    async with theatre(tmp_path, given=plan(play=("keys",))) as (client, _):
        (client.folder / "v.m3u8").write_text(PLAYLIST)
        found = await client.get("/live/one/v.m3u8?key=right")
        assert found.text == "#EXTM3U\nab-v-1.m4s?key=right\n"
        assert found.headers["Cache-Control"].startswith("private")
        assert (await client.get("/live/one/ab-v-1.m4s?key=right")).status_code == 200


async def test_pages_of_others_are_asked_before(tmp_path):
    packaging = Packaging(origins=("https://a.example",))
    async with theatre(tmp_path, given=plan(packaging)) as (client, _):
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            found = await client.options("/live/one/ab-v-1.m4s", headers=headers)
            assert found.status_code == 204
            assert found.headers.get("Access-Control-Allow-Origin") == allowed
            got = await client.get("/live/one/ab-v-1.m4s", headers={"Origin": origin})
            assert got.headers.get("Access-Control-Allow-Origin") == allowed


async def test_the_time_is_told(tmp_path):
    async with theatre(tmp_path, clock=VirtualClock()) as (client, _):
        found = await client.get("/live/one/time")
        assert (found.text, found.headers["Cache-Control"]) == ("2030-01-01T00:00:00.000Z", "no-store")


async def test_the_process_says_that_it_lives(tmp_path):
    async with theatre(tmp_path, given=RtmpPlan()) as (client, _):
        assert (await client.get("/healthz")).json() == {"status": "live"}


async def test_viewers_are_told_to_the_worker(tmp_path):
    clock = VirtualClock()
    async with theatre(tmp_path, clock=clock) as (client, _):
        (client.folder / "v.m3u8").write_text(PLAYLIST)
        for agent in ("a", "b", "b"):
            await client.get("/live/one/v.m3u8", headers={"User-Agent": agent})
        clock.advance(6)
        await client.get("/live/one/v.m3u8", headers={"User-Agent": "a"})
        async with asyncio.timeout(30):
            while client.told != [0, 2]:
                await asyncio.sleep(0.005)


async def test_hosts_are_told_apart_where_the_route_names_them(tmp_path):
    given = plan()
    options = replace(given.routes[0].options, vhosts=("a.example",))
    given = RtmpPlan((replace(given.routes[0], options=options),))
    async with theatre(tmp_path, given=given) as (client, _):
        (client.folder.parent / "a.example%2Flive%2Fone").mkdir()
        (client.folder.parent / "a.example%2Flive%2Fone" / "v.m3u8").write_text(PLAYLIST)
        for host, status in (("a.example", 200), ("b.example", 404)):
            assert (await client.get("/live/one/v.m3u8", headers={"Host": host})).status_code == status


async def test_who_asks_for_nothing_is_let_go(tmp_path):
    clock = VirtualClock()
    async with theatre(tmp_path, clock=clock) as (client, one):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"GET /live/one/")  # and no more
        async with asyncio.timeout(30):
            while one.clients() < 1:
                await asyncio.sleep(0.005)
        clock.advance(IDLE_SECONDS - 1)
        one.sweep()
        assert one.clients() == 1
        clock.advance(2)
        one.sweep()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()


async def test_a_drain_lets_viewers_finish(tmp_path):
    async with theatre(tmp_path) as (client, one):
        await client.get("/live/one/ab-v-1.m4s")
        assert one.clients() == 1
        one.drain()
        async with asyncio.timeout(30):
            while one.clients():
                await asyncio.sleep(0.005)


async def test_garbage_is_answered_and_harms_nobody(tmp_path):
    async with theatre(tmp_path) as (client, _):
        for garbage in (b"\0\1\2\3\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"x" * 20_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(garbage)
            assert (await reader.read()).startswith(b"HTTP/1.")
            writer.close()
        assert (await client.get("/live/one/ab-v-1.m4s")).status_code == 200
