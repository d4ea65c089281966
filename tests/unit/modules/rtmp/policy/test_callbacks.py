"""Services that say yes, no, nothing, too much, and rubbish."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
import structlog

from marchproxy.modules.rtmp.policy import callbacks
from marchproxy.modules.rtmp.policy.callbacks import Callbacks
from tests.ports import free_port
from tests.unit.modules.rtmp.policy.crafted import callback, claim

Answer: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
UNCHECKED = "it cannot be checked now who may; try again"


class Service:
    """Answers each request by what it is given; `asked` are the bodies that came, `met` how many connections."""

    def __init__(self, answer: bytes | Answer) -> None:
        self.answer = answer
        self.asked: list[dict[str, str]] = []
        self.met = 0
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                self.asked.append(json.loads(await reader.readexactly(int(length.split(b":")[1]))))
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                else:
                    await self.answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def service(answer: bytes | Answer) -> AsyncIterator[tuple[Service, Callbacks]]:
    one, asking = Service(answer), Callbacks("rtmp-1")
    server = await asyncio.start_server(one.talk, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/may?token=s3cret"
    try:
        yield one, asking
    finally:
        await asking.close()
        server.close()
        await server.wait_closed()


def reply(status: str, body: bytes = b"", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def words_of(asking: Callbacks, url: str, timeout: float = 20) -> str:
    refusal = await asking.ask(callback(url, timeout=timeout), claim("key=a&b=c"))
    return refusal.words if refusal else ""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply("200 OK", b"sure"), ""),
        (reply("204 No Content"), ""),
        (reply("299 Fine", b"x" * 70_000), ""),
        (reply("200 OK", b"\x1f\x8b no gzip", "content-encoding: gzip"), ""),
        (reply("301 Moved", b"", "location: http://127.0.0.1/"), "service does not allow it"),
        (reply("401 No"), "service does not allow it"),
        (reply("403 No", b"<secret of the service>"), "service does not allow it"),
        (reply("404 No"), "service does not allow it"),
        (reply("500 Oops"), UNCHECKED),
        (reply("503 Busy"), UNCHECKED),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", UNCHECKED),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 200_000, UNCHECKED),
    ],
)
async def test_what_the_status_says(answer: bytes, words: str) -> None:
    async with service(answer) as (one, asking):
        assert await words_of(asking, one.url) == words
        assert one.asked == [
            {
                "action": "publish",
                "vhost": "live.example",
                "app": "live",
                "stream": "cam1",
                "query": "key=a&b=c",
                "client": "192.0.2.1",
                "protocol": "rtmp",
                "instance": "rtmp-1",
            }
        ]


async def test_connections_are_kept() -> None:
    async with service(reply("200 OK", b"sure")) as (one, asking):
        assert [await words_of(asking, one.url) for _ in range(5)] == [""] * 5
        assert (one.met, len(one.asked)) == (1, 5)


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@pytest.mark.parametrize("answer", [silent, hang_up])
async def test_who_does_not_answer_has_said_no(answer: Answer) -> None:
    async with service(answer) as (one, asking):
        with structlog.testing.capture_logs() as logs:
            assert await words_of(asking, one.url, timeout=0.2) == UNCHECKED
            assert await words_of(asking, one.url, timeout=0.2) == UNCHECKED
        assert [(log["way"], log["log_level"]) for log in logs] == [
            ("service", "warning")
        ]  # once for a while
        assert "s3cret" not in str(logs)


async def test_who_is_not_there_has_said_no() -> None:
    asking = Callbacks()
    assert await words_of(asking, f"http://127.0.0.1:{free_port()}/") == UNCHECKED
    assert await words_of(asking, "http://[") == UNCHECKED
    await asking.close()


async def test_only_so_many_wait_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "MOST_WAITING", 2)
    release = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(reply("200 OK"))

    async with service(wait) as (one, asking), asyncio.TaskGroup() as group:
        waiting = [group.create_task(words_of(asking, one.url)) for _ in range(2)]
        await asyncio.sleep(0)
        assert await words_of(asking, one.url) == UNCHECKED
        release.set()
        assert [await task for task in waiting] == ["", ""]
        assert await words_of(asking, one.url) == ""
