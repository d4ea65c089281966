"""Who may publish, play and watch, and how many: what ffmpeg is told, and what a service is asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.ownership import owner_of
from marchproxy.modules.rtmp.policy.signing import sign
from tests.ports import free_port
from tests.real.support.rtmp import HERE, Streaming, ffmpeg, frames, make_flv, publish, publishing, streaming
from tests.real.support.waiting import until

KEY, SECRET = "s3cret", "0123456789abcdef"
#: Streams of two workers, which count together.
A, B = (
    next(f"s{n}" for n in range(100) if owner_of(StreamKey("", "keys", f"s{n}"), 2) == worker)
    for worker in range(2)
)
UNCHECKED = "it cannot be checked now who may; try again"


class Service:
    """Allows what `user=ann` asks for; as long as it is `silent` it answers nothing."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.silent = False

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(await request.json())
        while self.silent:
            await asyncio.sleep(0.02)
        return web.Response(status=200 if "user=ann" in self.asked[-1]["query"] else 403)


@asynccontextmanager
async def service() -> AsyncIterator[tuple[Service, Callable[[], Awaitable[None]], str]]:
    """The service, what ends it, and where it is."""
    one = Service()
    answering = web.Server(one.answer)
    server = await asyncio.get_running_loop().create_server(answering, "127.0.0.1", 0)

    async def end() -> None:
        one.silent = False
        server.close()
        await answering.shutdown(0.1)

    try:
        yield one, end, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        await end()


def document(folder: Path, url: str) -> dict[str, Any]:
    (folder / "keys.txt").write_text(f"keys/*:{KEY}\n")
    (folder / "secret").write_text(f"{SECRET}\n")

    def route(name: str, **more: Any) -> dict[str, Any]:
        return {**HERE, "id": name, "rtmp": {"apps": [name], "grace": 0, **more}}

    return {
        "routes": [
            route("keys", publish=["keys"], limits={"streams": 1, "players_per_stream": 1}),
            route("signed", publish=["tokens"], play=["tokens"], packaging={"segment": 0.5}),
            route("asked", publish=["service"], play=["service"]),
            route("slow", publish=["impatient"]),
        ],
        "authentication": [
            {"name": "keys", "kind": "stream_keys", "file": str(folder / "keys.txt")},
            {"name": "tokens", "kind": "signed", "file": str(folder / "secret")},
            {"name": "service", "kind": "callback", "url": url, "timeout": 20},
            {"name": "impatient", "kind": "callback", "url": url, "timeout": 0.1},
        ],
        "rate_limits": [
            {
                "id": "comers",
                "target": "asked",
                "counts": "connections",
                "per": "client",
                "requests_per_hour": 4,
            }
        ],
    }


def token(action: str, stream: str, seconds: int = 600, host: str = "127.0.0.1") -> str:
    expires = int(time.time()) + seconds
    return f"expires={expires}&signature={sign(SECRET.encode(), action, f'{host}/{stream}', expires)}"


async def refused(system: Streaming, film: Path | None, stream: str, words: str) -> None:
    """Publish the film, or play, in vain; ffmpeg says why."""
    url = system.url(stream)
    with pytest.raises(AssertionError) as caught:
        await (ffmpeg(["-i", url, "-f", "null", "-"]) if film is None else publish(film, url))
    assert f"Server error: {words}" in str(caught.value)


async def all_refused(system: Streaming, film: Path, *wanted: tuple[str, str]) -> None:
    async with asyncio.TaskGroup() as group:
        for stream, words in wanted:
            group.create_task(refused(system, film, stream, words))


async def test_who_may(tmp_path: Path) -> None:
    film, where = await make_flv(tmp_path / "film.flv", seconds=0.6), f"127.0.0.1:{free_port()}"
    async with (
        service() as (one, end, url),
        streaming(tmp_path, document(tmp_path, url), playback=where) as system,
        httpx.AsyncClient(base_url=f"http://{where}", trust_env=False) as viewer,
    ):
        await _by_keys(system, film)
        await _by_tokens(system, film, viewer)
        await _by_a_service(system, film, one, end)
        said = "".join(log.read_text() for log in system.rtmp.folder.rglob("*.log"))
    assert "client refused" in said
    assert [secret for secret in (KEY, SECRET, "signature=", "user=") if secret in said] == []


async def _by_keys(system: Streaming, film: Path) -> None:
    await all_refused(
        system,
        film,
        (f"keys/{A}", "no key was shown"),
        (f"keys/{A}?key=wrong", "the key is none of this stream"),
    )
    log = system.directory / "publisher.log"
    async with asyncio.TaskGroup() as group:
        async with publishing(film, system.url(f"keys/{A}?key={KEY}"), log):
            await system.counts("publishers", 1)
            played = group.create_task(frames(system.url(f"keys/{A}")))
            await system.counts("players", 1)
            await refused(system, None, f"keys/{A}", "1 players of a stream at once")
            await refused(system, film, f"keys/{B}?key={KEY}", "route keys: 1 streams at once")
        await system.counts("publishers", 0)
    assert played.result()
    await publish(film, system.url(f"keys/{B}?key={KEY}"))


async def _by_tokens(system: Streaming, film: Path, viewer: httpx.AsyncClient) -> None:
    wrong = "the signature is not right for this action, stream and time"
    await all_refused(
        system,
        film,
        (f"signed/a?{token('publish', 'signed/a', -60)}", "the token ended at "),
        (f"signed/a?{token('play', 'signed/a')}", wrong),
        ("signed/a", "no signature was shown"),
    )
    own, shown = token("publish", "signed/a"), token("play", "signed/*")
    async with publishing(film, system.url(f"signed/a?{own}"), system.directory / "publisher.log"):
        await system.counts("publishers", 1)
        await refused(system, None, f"signed/a?{own}", wrong)
        found = await viewer.get("/signed/a/v.m3u8")
        assert (found.status_code, found.text) == (403, "no signature was shown\n")

        async def is_there() -> bool:
            return (await viewer.get(f"/signed/a/v.m3u8?{shown}")).status_code == 200

        await until(is_there)
        lines = (await viewer.get(f"/signed/a/v.m3u8?{shown}")).text.splitlines()
        segment = next(line for line in lines if not line.startswith("#"))
        assert (await viewer.get(f"/signed/a/{segment}")).status_code == 200
        assert (await viewer.get(f"/signed/a/{segment.partition('?')[0]}")).status_code == 403
        await system.counts("forbidden_total", 2)
    await system.counts("publishers", 0)


async def _by_a_service(
    system: Streaming, film: Path, one: Service, end: Callable[[], Awaitable[None]]
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(refused(system, film, "asked/a?user=bob", "service does not allow it"))
        played = group.create_task(frames(system.url("asked/b?user=ann")))
        await system.counts("players", 1)
        group.create_task(publish(film, system.url("asked/b?user=ann")))
    assert len(played.result()) == len(await frames(film))
    asked = [(told.pop("action"), told.pop("stream"), told.pop("query")) for told in one.asked]
    assert sorted(asked) == [
        ("play", "b", "user=ann"),
        ("publish", "a", "user=bob"),
        ("publish", "b", "user=ann"),
    ]
    rest = {
        "vhost": "127.0.0.1",
        "app": "asked",
        "client": "127.0.0.1",
        "protocol": "rtmp",
        "instance": "rtmp-1",
    }
    assert one.asked == [rest] * 3
    one.silent = True
    await refused(system, film, "slow/a?user=ann", UNCHECKED)
    await end()
    await refused(system, film, "asked/a?user=ann", UNCHECKED)
    await refused(
        system, film, "asked/a?user=ann", "limit comers: 4 connections a hour for each client; try again in "
    )
