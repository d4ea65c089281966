import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from marchproxy.engines.envoy import admin as admin_module
from marchproxy.engines.envoy.admin import AdminRefused, AdminUnreachable, EnvoyAdmin, ServerInfo, ServerState
from marchproxy.kit.settings.types import HostPort

GOLDEN = Path(__file__).parent / "golden"


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@asynccontextmanager
async def answering(
    answer: bytes | None, *, timeout: float = 5.0
) -> AsyncIterator[tuple[EnvoyAdmin, list[str]]]:
    """Serve one fixed answer to every request; None never answers."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                requests.append(line.decode().rsplit(" ", 1)[0])
                if answer is not None:
                    writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, EnvoyAdmin(HostPort("127.0.0.1", port), timeout=timeout) as admin:
        yield admin, requests


async def test_server_info():
    async with answering(http((GOLDEN / "server_info.json").read_bytes())) as (admin, _):
        assert await admin.server_info() == ServerInfo(
            version="1.40.0",
            state=ServerState.LIVE,
            node_id="n1",
            cluster="c1",
            uptime_seconds=4.0,
            concurrency=2,
            drain_seconds=600.0,
        )


@pytest.mark.parametrize(
    ("answer", "ready"), [(http(b"LIVE\n"), True), (http(b"DRAINING\n", "503 Service Unavailable"), False)]
)
async def test_ready(answer, ready):
    async with answering(answer) as (admin, _):
        assert await admin.ready() is ready


async def test_connections_count_each_once_and_not_the_admins_own():
    names = {
        "listener.127.0.0.1_80.downstream_cx_active": 5,
        "listener.127.0.0.1_80.worker_0.downstream_cx_active": 2,
        "listener.127.0.0.1_80.worker_1.downstream_cx_active": 3,
        "listener.[__1]_81.downstream_cx_active": 1,
        "listener.admin.downstream_cx_active": 7,
        "listener.admin.main_thread.downstream_cx_active": 7,
    }
    entries = ",".join(f'{{"name":"{name}","value":{value}}}' for name, value in names.items())
    async with answering(http(f'{{"stats":[{entries}]}}'.encode())) as (admin, _):
        assert await admin.connections() == 6


@pytest.mark.parametrize(
    ("call", "request_line"),
    [
        (lambda admin: admin.fail_healthcheck(), "POST /healthcheck/fail"),
        (lambda admin: admin.ok_healthcheck(), "POST /healthcheck/ok"),
        (lambda admin: admin.drain_listeners(), "POST /drain_listeners?graceful="),
        (lambda admin: admin.drain_listeners(graceful=False), "POST /drain_listeners"),
        (lambda admin: admin.quit(), "POST /quitquitquit"),
    ],
)
async def test_what_changes_state_is_posted(call, request_line):
    async with answering(http(b"OK\n")) as (admin, requests):
        await call(admin)
    assert requests == [request_line]


READS = [
    lambda admin: admin.server_info(),
    lambda admin: admin.stats(),
    lambda admin: admin.clusters(),
    lambda admin: admin.listeners(),
    lambda admin: admin.memory(),
    lambda admin: admin.warming(),
]


@pytest.mark.parametrize("call", READS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff"])
async def test_what_is_not_an_envoy_is_refused(call, body):
    async with answering(http(body)) as (admin, _):
        with pytest.raises(AdminRefused, match=r"Envoy 1\.40"):
            await call(admin)


async def test_envoys_own_complaint_is_passed_on():
    async with answering(http(b"Invalid regex: missing ]\n", "400 Bad Request")) as (admin, _):
        with pytest.raises(AdminRefused, match=r"/stats answered 400: Invalid regex: missing ]$"):
            await admin.stats("[")


async def test_nobody_listens():
    async with answering(None) as (admin, _):
        address = admin.address
    async with EnvoyAdmin(address) as admin:
        with pytest.raises(AdminUnreachable, match=f"Envoy admin {address}"):
            await admin.ready()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\n",
    ],
)
async def test_an_answer_that_does_not_end_meets_the_deadline(answer):
    async with answering(answer, timeout=0.05) as (admin, _):
        with pytest.raises(AdminUnreachable, match=r"no answer in 0\.05 s"):
            await admin.ready()


async def test_garbage_is_no_answer():
    async with answering(b"220 mail.example ready\r\n\r\n") as (admin, _):
        with pytest.raises(AdminUnreachable):
            await admin.ready()


async def test_an_endless_answer_is_cut(monkeypatch):
    monkeypatch.setattr(admin_module, "_ANSWER_LIMIT", 1000)
    async with answering(http(b"x" * 1001)) as (admin, _):
        with pytest.raises(AdminRefused, match="more than 1000 bytes"):
            await admin.stats()


async def test_a_wildcard_address_is_asked_on_the_loopback_and_a_closed_api_reopens():
    async with answering(http(b"LIVE\n")) as (admin, _):
        admin.retarget(HostPort("0.0.0.0", admin.address.port))
        assert await admin.ready()
        await admin.close()
        assert await admin.ready()
