import asyncio

import pytest

from marchproxy.cli.up.readiness import Readiness, ask_ready
from marchproxy.kit.settings import HostPort


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n{}", Readiness(ready=True)),
        (
            b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"ready": false, "checks": {"envoy": "starting"}}',
            Readiness(ready=False, reason="envoy: starting"),
        ),
        (  # it has started; a manager that is to undrain it waits for that
            b'HTTP/1.1 503 No\r\n\r\n{"checks": {"status": "drained: takes nothing new until it is told to"}}',
            Readiness(ready=True),
        ),
        (b"HTTP/1.1 500 Oops\r\n\r\n<html>", Readiness(ready=False, reason="HTTP/1.1 500 Oops")),
        (b"", Readiness(ready=False)),
    ],
)
async def test_what_readyz_says(answer, expected):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await ask_ready(HostPort("127.0.0.1", port)) == expected


async def test_nobody_there_is_not_ready():
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    seen = await ask_ready(HostPort("127.0.0.1", port))
    assert not seen.ready
    assert "does not answer" in seen.reason
