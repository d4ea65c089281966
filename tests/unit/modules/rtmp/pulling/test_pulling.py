import asyncio
from contextlib import asynccontextmanager

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.pulling.dialogue import Over, PlayDialogue
from marchproxy.modules.rtmp.pulling.pulled import Pulled
from marchproxy.modules.rtmp.session.dialogue import Dialogue
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.wire.rtmp import answers, control
from marchproxy.wire.rtmp.answers import Code, Level
from marchproxy.wire.rtmp.chunking import ChunkWriter
from marchproxy.wire.rtmp.commands import Command
from marchproxy.wire.rtmp.control import Event
from marchproxy.wire.rtmp.handshake import NOISE, ServerHandshake
from marchproxy.wire.rtmp.message import Message
from tests.publisher import CONFIG, pictures

KEY = StreamKey("", "live", "one")


class Server:
    """Our own side of clients, to which it talks."""

    def __init__(self):
        self.client = PlayDialogue("rtmp://h/live", "live", "one", bytes(NOISE))
        self.handshake = ServerHandshake(bytes(NOISE))
        self.server = Dialogue()
        self.writer = ChunkWriter()
        answer = self.handshake.feed(self.client.begin())
        said, _ = self.client.feed(answer)
        self.handshake.feed(said)
        self.talk(self.handshake.leftover)

    def talk(self, data):
        while data:
            self.server.feed(data)
            data, _ = self.client.feed(self.server.take_out())

    def say(self, *messages):
        """What the client says to it, and the media that it sees."""
        return self.client.feed(b"".join(self.writer.write(one) for one in messages))


def test_it_asks_to_play():
    wish = Server().server.wish
    assert (wish.action, wish.key.app, wish.key.name) == (Action.PLAY, "live", "one")


def test_media_come_out_as_they_are():
    server = Server()
    sent = [CONFIG, *pictures(0, 400)]
    _, media = server.say(*sent)
    assert [(one.type, one.timestamp, one.payload) for one in media] == [
        (one.type, one.timestamp, one.payload) for one in sent
    ]


def test_pings_and_windows_are_heeded():
    server = Server()
    said, _ = server.say(control.user_control(Event.PING, 7))
    assert said.endswith((7).to_bytes(4))
    said, _ = server.say(control.window_ack(100), *pictures(0, 400))
    assert said


@pytest.mark.parametrize(
    "command",
    [
        answers.status(Code.PLAY_NOT_FOUND, "gone", level=Level.ERROR),
        answers.status(Code.PLAY_STOP, "gone"),
        answers.status(Code.PLAY_UNPUBLISHED, "gone"),
        answers.status(Code.RECONNECT, "gone"),
        Command(answers.ERROR, 3, None, ({"level": "error", "code": "x", "description": "gone"},)),
    ],
)
def test_what_ends_it(command):
    with pytest.raises(Over, match="gone"):
        Server().say(command.message(1))


def test_what_comes_with_the_end_is_not_lost():
    last = list(pictures(0, 40))
    with pytest.raises(Over) as over:
        Server().say(*last, answers.status(Code.PLAY_STOP, "gone").message(1))
    assert [one.payload for one in over.value.media] == [one.payload for one in last]


class Tap:
    def __init__(self):
        self.seen = []
        self.log = []

    def messages(self, messages: list[Message]):
        self.seen += messages

    def paused(self):
        self.log.append("paused")

    def ended(self):
        self.log.append("ended")


@asynccontextmanager
async def pulled(dial, clock):
    tap = Tap()
    async with asyncio.TaskGroup() as group:
        one = Pulled(KEY, dial, group, clock=clock, patience=10.0)
        one.tap(tap)
        yield tap
        one.untap(tap)


async def until(holds, clock=None):
    async with asyncio.timeout(30):
        while not holds():
            if clock is not None:
                clock.advance(1)
            await asyncio.sleep(0.002)


async def test_who_cannot_be_reached_for_long_has_ended():
    attempts = []

    async def dial(protocol):
        attempts.append(protocol)
        raise ConnectionRefusedError

    clock = VirtualClock()
    async with pulled(dial, clock) as tap:
        await until(lambda: "ended" in tap.log, clock)
    assert len(attempts) > 5
    assert tap.log == ["ended"]


class Origin(asyncio.Protocol):
    """An origin on the other side of a transport of paper."""

    def __init__(self):
        self.protocols = []

    async def dial(self, protocol):
        self.protocols.append(protocol)
        protocol.connection_made(Wire(protocol))


class Wire(asyncio.Transport):
    def __init__(self, protocol):
        super().__init__()
        self.protocol, self.gone = protocol, False
        self.handshake, self.server = ServerHandshake(bytes(NOISE)), Dialogue()
        self.media = ChunkWriter()

    def write(self, data):
        asyncio.get_running_loop().call_soon(self._answer, data)

    def _answer(self, data):
        if not self.handshake.done:
            out = self.handshake.feed(data)
            data = self.handshake.leftover if self.handshake.done else b""
            if out:
                self.protocol.data_received(out)
        if data:
            self.server.feed(data)
            if out := self.server.take_out():
                self.protocol.data_received(out)

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def abort(self):
        if not self.gone:
            self.gone = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


async def test_a_stream_is_played_and_played_again_when_the_connection_ends():
    origin, clock = Origin(), VirtualClock()
    async with pulled(origin.dial, clock) as tap:
        for count in (1, 2):
            await until(lambda count=count: len(origin.protocols) == count, clock if count == 2 else None)
            link = origin.protocols[-1]
            wire = link.transport
            await until(lambda wire=wire: wire.server.wish is not None)
            link.data_received(b"".join(wire.media.write(one) for one in (CONFIG, *pictures(0, 400))))
            assert len(tap.seen) == 11 * count
            wire.abort()
            await until(lambda count=count: tap.log == ["paused"] * count)


async def test_garbage_is_the_end_of_a_connection_and_no_more():
    origin, clock = Origin(), VirtualClock()
    async with pulled(origin.dial, clock) as tap:
        await until(lambda: origin.protocols)
        origin.protocols[0].data_received(b"\xff" * 5000)
        await until(lambda: len(origin.protocols) == 2, clock)
    assert tap.seen == []
