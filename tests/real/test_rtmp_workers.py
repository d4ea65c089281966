"""Streams of workers that die, clients within TLS, and what comes to a port that is no RTMP."""

import asyncio
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.ownership import owner_of
from tests.ports import free_port
from tests.real.support.rtmp import HERE, Streaming, frames, make_flv, publish, publishing, streaming
from tests.real.support.waiting import until

#: A stream of each of two workers.
NAMES = [
    next(f"s{number}" for number in range(100) if owner_of(StreamKey("", "live", f"s{number}"), 2) == worker)
    for worker in range(2)
]


#: What comes to a port and is no RTMP: another protocol, a handshake of another version, and no chunks behind one.
_NO_RTMP = (b"GET / HTTP/1.1\r\n\r\n", bytes(4000), b"\x03" + bytes(3072) + b"\xff" * 5000)


async def test_a_worker_dies_and_the_other_goes_on(tmp_path: Path) -> None:
    film = await make_flv(tmp_path / "film.flv", seconds=1)
    wanted = await frames(film)
    secure = free_port()
    tls: dict[str, Any] = {"rtmps": f"127.0.0.1:{secure}", "client_tls": {"self_signed": ["localhost"]}}
    async with streaming(tmp_path, {"routes": [dict(HERE)]}, **tls) as system:
        plain, within_tls = system.url(f"live/{NAMES[1]}"), f"rtmps://127.0.0.1:{secure}/live/{NAMES[1]}"
        log = tmp_path / "publisher.log"
        async with publishing(film, system.url(f"live/{NAMES[0]}"), log) as kept:
            await system.counts("publishers", 1)
            urls = [plain, within_tls, within_tls, within_tls]  # they come to either worker
            assert await _played(system, film, urls) == [wanted] * 4
            await _closed(system, _NO_RTMP)
            first, second = system.workers()
            second.send_signal(signal.SIGKILL)
            await until(lambda: second.pid not in [one.pid for one in system.workers()])
            await until(lambda: _takes_clients(system, 1))
            assert await _played(system, film, [plain, within_tls]) == [wanted] * 2
            assert kept.running
            assert system.workers()[0].pid == first.pid
            await system.counts("publishers", 1)


def _takes_clients(system: Streaming, worker: int) -> bool:
    """Whether a worker is there for those that come to the other one."""
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(bytes(system.rtmp.folder / "workers" / f"{worker}.hand")) == 0


async def _played(system: Streaming, film: Path, urls: list[str]) -> list[list[str]]:
    """What players get by these URLs, who come before the publisher."""
    async with asyncio.TaskGroup() as group:
        played = [group.create_task(frames(url)) for url in urls]
        await system.counts("players", len(urls))
        group.create_task(publish(film, urls[0]))
    return [task.result() for task in played]


async def _closed(system: Streaming, openings: Sequence[bytes]) -> None:
    """Say this, each on a connection of its own, and wait until they have ended."""
    before = await system.count("closed_total")
    for said in openings:
        reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
        writer.write(said)
        async with asyncio.timeout(20):
            while await reader.read(10_000):
                pass
        writer.close()

    async def counted() -> bool:
        return await system.count("closed_total") >= before + len(openings)

    await until(counted)
