"""Pushers and servers that talk over sockets of this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from marchproxy.kit.backoff import Backoff
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.pushing.pusher import Pusher
from marchproxy.modules.rtmp.pushing.target import Target
from marchproxy.modules.rtmp.session.connection import Connection
from marchproxy.modules.rtmp.streams.live import LiveStream
from marchproxy.modules.rtmp.streams.publisher import Publisher
from marchproxy.modules.rtmp.tally import Tally
from marchproxy.wire.rtmp.answers import Code
from marchproxy.wire.rtmp.message import Message
from tests.unit.modules.rtmp.streams.crafted import BEGINNING, KEY, FakeClient, inter, key, media, plan, sound

_PAUSES = Backoff(initial=0.01, maximum=0.05)


class _Registry:
    def began(self, stream: LiveStream) -> None: ...

    def ended(self, stream: LiveStream) -> None: ...


def _stream() -> LiveStream:
    return LiveStream(KEY, plan(), Tally(), registry=_Registry(), clock=SystemClock())


class _Seen:
    """A Tap that keeps what it gets."""

    def __init__(self) -> None:
        self.media: list[tuple[int, bytes]] = []

    def messages(self, messages: list[Message]) -> None:
        self.media += media(messages)

    def paused(self) -> None: ...

    def ended(self) -> None: ...


class _Server:
    """A server with one stream, or one that refuses."""

    def __init__(self) -> None:
        self.stream, self.seen, self.refuses = _stream(), _Seen(), False
        self.stream.tap(self.seen)  # type: ignore[arg-type]
        self.connections: list[Connection] = []
        self.reasons: list[str] = []
        self.port = 0

    def connection(self) -> Connection:
        made = Connection(Arrival(HostPort("127.0.0.1", 1), 1935), self, now=0.0)
        self.connections.append(made)
        return made

    def wished(self, connection: Connection) -> None:
        if self.refuses:
            connection.refuse("busy", Code.PUBLISH_BAD_NAME, "somebody else is here")
        else:
            connection.serve(plan(), Publisher(self.stream))

    def left(self, connection: Connection, reason: str) -> None:
        self.reasons.append(reason)


@asynccontextmanager
async def _serving(server: _Server, port: int = 0) -> AsyncIterator[None]:
    listening = await asyncio.get_running_loop().create_server(server.connection, "127.0.0.1", port)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        listening.close()
        for one in server.connections:
            one.abort("close")
        await listening.wait_closed()


def _pusher(source: LiveStream, port: int, queue: int = 1 << 20) -> Pusher:
    target = Target("127.0.0.1", port, secure=False, app="live", name="copy")
    return Pusher(source, target, queue=queue, clock=SystemClock(), pauses=_PAUSES)


@asynccontextmanager
async def _running(pusher: Pusher) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(pusher.run())
        try:
            yield
        finally:
            pusher.end()


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


def _published(stream: LiveStream, *messages: Message) -> FakeClient:
    client = FakeClient().serve(Publisher(stream))
    assert client.role is not None
    client.role.messages(messages)
    return client


async def test_a_server_gets_what_players_get() -> None:
    source, server = _stream(), _Server()
    publisher = _published(source, *BEGINNING, key(0), sound(0), inter(40))
    assert publisher.role is not None
    async with _serving(server):
        pusher = _pusher(source, server.port)
        async with _running(pusher):
            await _until(lambda: pusher.words.startswith("ok"))
            publisher.role.messages([sound(23), inter(80)])
            expected = media([*BEGINNING, key(0), sound(0), inter(40), sound(23), inter(80)])
            await _until(lambda: len(server.seen.media) == len(expected))
            assert server.seen.media == expected
            source.end("over")
            await _until(lambda: server.stream.publisher is None)
    assert not server.stream.is_live  # it was told


async def test_what_fails_is_tried_again_and_begins_with_a_keyframe() -> None:
    source, server = _stream(), _Server()
    publisher = _published(source, *BEGINNING, key(0), inter(40))
    assert publisher.role is not None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    pusher = _pusher(source, port)
    async with _running(pusher):
        await _until(lambda: "refused" in pusher.words)
        publisher.role.messages([inter(80)])
        server.refuses = True
        async with _serving(server, port):
            await _until(lambda: "somebody else is here" in pusher.words)
            publisher.role.messages([inter(120)])
            server.refuses = False
            await _until(lambda: pusher.words.startswith("ok"))
            await _until(lambda: len(server.seen.media) == 6)
            server.connections[-1].abort("close")
            await _until(lambda: not pusher.words.startswith("ok"))
            publisher.role.messages([key(160)])
            await _until(lambda: len(server.seen.media) == 9)
    assert [payload for _, payload in server.seen.media] == [
        payload
        for _, payload in media([*BEGINNING, key(0), inter(40), inter(80), inter(120), *BEGINNING, key(160)])
    ]
    assert not publisher.closed


async def test_a_server_that_does_not_read_loses_whole_gops() -> None:
    source, server = _stream(), _Server()
    publisher = _published(source, *BEGINNING, key(0))
    assert publisher.role is not None
    large = bytes(256 * 1024)
    async with _serving(server):
        pusher = _pusher(source, server.port, queue=1 << 20)
        async with _running(pusher):
            await _until(lambda: len(server.seen.media) == 3)
            server.connections[-1].pause()
            sent = 0
            while not pusher.dropped:
                sent += 1
                publisher.role.messages([inter(sent * 40, large)])
                await asyncio.sleep(0)
                assert sent < 1000, "there is no end to what waits"
            publisher.role.messages([inter(sent * 40 + 40), key(sent * 40 + 80)])
            assert pusher.dropped == 3
            server.connections[-1].resume()
            await _until(lambda: len(server.seen.media) == 3 + sent - 1)
            last = sent * 40 + 400
            publisher.role.messages([inter(last - 40), key(last), inter(last + 40)])
            await _until(lambda: server.seen.media[-1][0] == last + 40)
    assert server.seen.media[-2:] == media([key(last), inter(last + 40)])
    assert not publisher.closed
