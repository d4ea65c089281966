"""A connection of Envoy's: one request at a time, answered at once or later."""

import asyncio

import pytest

from marchproxy.kit.tasks import Isolating
from marchproxy.modules.ailb.worker.answering import Answering

ASK = b"GET /%b HTTP/1.1\r\n\r\n"


class Transport:
    def __init__(self):
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


class Rig:
    def __init__(self, group):
        self.go_on = asyncio.Event()
        self.cancelled = False
        self.connections = set()
        self.transport = Transport()
        self.answering = Answering(self.handle, group, self.connections)
        self.answering.connection_made(self.transport)

    def handle(self, request):
        match request.target:
            case "/now":
                return b"now;"
            case "/broken":
                raise ValueError("a fault of ours")
            case "/later":
                return self.later()
            case _:
                return self.broken_later()

    async def later(self):
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return b"later;"

    async def broken_later(self):
        raise ValueError("a fault of ours")


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_known_is_answered_at_once():
    async with Isolating() as group:
        rig = Rig(group)
        rig.answering.data_received(ASK % b"now" + ASK % b"now")
        assert rig.transport.written == b"now;now;"
        assert rig.answering.is_idle


async def test_answers_keep_their_order():
    async with Isolating() as group:
        rig = Rig(group)
        rig.answering.data_received(ASK % b"later" + ASK % b"now")
        await settle()
        assert (rig.transport.written, rig.transport.reading, rig.answering.is_idle) == (b"", False, False)
        rig.go_on.set()
        await settle()
        assert (rig.transport.written, rig.transport.reading) == (b"later;now;", True)


@pytest.mark.parametrize("begun", [True, False])
async def test_nobody_is_waited_for_when_envoy_hangs_up(begun):
    async with Isolating() as group:
        rig = Rig(group)
        rig.answering.data_received(ASK % b"later")
        if begun:
            await settle()
        rig.answering.connection_lost(None)
        await settle()
        assert rig.cancelled
        assert rig.connections == set()
        assert rig.transport.written == b""


async def test_who_hangs_up_while_waiting_is_seen(tmp_path):
    async with asyncio.timeout(20), Isolating() as group:
        gone, connections = asyncio.Event(), set()

        async def wait():
            try:
                await asyncio.Event().wait()
            finally:
                gone.set()

        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Answering(lambda _: wait(), group, connections), tmp_path / "s"
        )
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(ASK % b"later")
        while not connections or next(iter(connections)).is_idle:
            await asyncio.sleep(0)
        writer.close()
        await gone.wait()
        server.close()


@pytest.mark.parametrize("target", [b"broken", b"broken-later"])
async def test_a_fault_of_ours_is_answered_and_the_next_request_too(target):
    async with Isolating() as group:
        rig = Rig(group)
        rig.answering.data_received(ASK % target + ASK % b"now")
        await settle()
        status, _, rest = rig.transport.written.partition(b"\r\n")
        assert status == b"HTTP/1.1 500 Internal Server Error"
        assert rest.endswith(b"now;")


async def test_what_is_no_request_ends_the_connection():
    async with Isolating() as group:
        rig = Rig(group)
        rig.answering.data_received(b"\r\n\r\n\r\n")
        assert rig.transport.written.startswith(b"HTTP/1.1 400 ")
        assert rig.transport.closed
