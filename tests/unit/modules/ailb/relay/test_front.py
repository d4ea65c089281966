"""A connection of Envoy's to a relay, with h2 in Envoy's place and an engine's connection that is open already."""

import asyncio
import json
from operator import call
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from marchproxy.contract.document import decode
from marchproxy.kit.clock import SystemClock
from marchproxy.modules.ailb.relay.front import Front
from marchproxy.modules.ailb.relay.link import Link, Links
from marchproxy.modules.ailb.relay.office import Office
from marchproxy.modules.ailb.relay.plan import compile_ways
from marchproxy.wire.http2.server import Limits

DOCUMENT = """
routes: [{id: llm, path: /, ai: {models: [{name: a, targets: [plain]}]}}]
pools: [{name: plain, endpoints: ["127.0.0.1:1"], ai: {provider: openai_compatible}}]
"""
BODY = b'{"model":"big","stream":true,"messages":[{"role":"user","content":"x"}]}'
OURS = {
    "x-ai-pool": "plain",
    "x-ai-id": "7",
    "x-ai-operation": "chat",
    "x-ai-stream": "1",
    "x-ai-host": "127.0.0.1:1",
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ONE = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class Transport:
    def __init__(self):
        self.writes, self.doing = [], []

    def write(self, data):
        self.writes.append(data)

    def is_closing(self):
        return False

    def __getattr__(self, name):
        return lambda *_: self.doing.append(name)


class Reports(list):
    put = list.append


class World:
    def __init__(self):
        links, self.reports, self.fronts = Links(Path("/nowhere"), SystemClock(), call), Reports(), set()
        self.office = Office(None, links, None, self.reports)
        self.office.ways = compile_ways(decode(DOCUMENT.encode()), {})
        self.engines = []
        for _ in range(2):
            link = Link(links, "127.0.0.1:1")
            link.connection_made(Transport())
            link.release()
            self.engines.insert(0, link)
        self.front, self.transport = Front(self.office, Limits(), self.fronts), Transport()
        self.front.connection_made(self.transport)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.client.initiate_connection()

    async def turn(self):
        """What both say; what came for the client."""
        self.front.data_received(self.client.data_to_send())
        await asyncio.sleep(0)
        data = b"".join(self.transport.writes)
        self.transport.writes.clear()
        return self.client.receive_data(data)

    def ask(self, stream=1, **changed):
        fields = {**OURS, **{name.replace("_", "-"): value for name, value in changed.items()}}
        head = {":method": "POST", ":path": "/", ":scheme": "http", ":authority": "relay", **fields}
        self.client.send_headers(stream, [*head.items()])
        self.client.send_data(stream, BODY, end_stream=True)


def bodies(events):
    found = {}
    for event in events:
        if isinstance(event, h2.events.DataReceived):
            found[event.stream_id] = found.get(event.stream_id, b"") + event.data
    return found


@pytest.fixture
async def world():
    return World()


async def test_what_streams_say_in_a_turn_is_one_write(world):
    world.ask(1)
    world.ask(3)
    await world.turn()
    for engine in world.engines:
        engine.data_received(HEAD + chunk(ONE))
        engine.data_received(chunk(ONE))
    await asyncio.sleep(0)
    assert len(world.transport.writes) == 1
    assert bodies(await world.turn()) == {1: ONE * 2, 3: ONE * 2}
    for engine in world.engines:
        engine.data_received(chunk(DONE) + b"0\r\n\r\n")
    events = await world.turn()
    assert {event.stream_id for event in events if isinstance(event, h2.events.StreamEnded)} == {1, 3}
    assert len(world.reports) == 2


async def test_a_stream_that_envoy_gives_up_is_one_nobody_wants(world):
    world.ask()
    await world.turn()
    world.client.reset_stream(1)
    await world.turn()
    assert world.engines[0]._transport.doing[-1] == "write_eof"
    world.engines[0].connection_lost(None)
    assert len(world.office) == 0


async def test_nothing_is_read_while_envoy_takes_nothing(world):
    world.ask()
    await world.turn()
    engine = world.engines[0]
    engine.data_received(HEAD + chunk(ONE))
    world.front.pause_writing()
    assert engine._transport.doing[-1] == "pause_reading"
    assert world.transport.doing[-1] == "pause_reading"
    world.front.resume_writing()
    assert engine._transport.doing[-1] == "resume_reading"
    assert world.transport.doing[-1] == "resume_reading"


@pytest.mark.parametrize("changed", [{"x_ai_pool": "unknown"}, {"x_ai_id": "x"}, {"x_ai_operation": "sing"}])
async def test_what_is_not_understood_may_be_tried_elsewhere(world, changed):
    world.ask(**changed)
    events = await world.turn()
    (head,) = [event for event in events if isinstance(event, h2.events.ResponseReceived)]
    assert dict(head.headers)[b":status"] == b"503"
    assert json.loads(bodies(events)[1])["error"]["message"]
    assert world.reports == []


async def test_who_does_not_speak_the_protocol_is_shown_out(world):
    world.ask()
    await world.turn()
    world.front.data_received(b"\0\0\0\x07\0\0\0\0\0")  # GOAWAY of nothing
    assert world.transport.doing[-1] == "close"
    assert world.transport.writes[-1][3] == 7


async def test_a_connection_that_is_lost_takes_its_requests_along(world):
    world.ask()
    await world.turn()
    world.engines[0].data_received(HEAD + chunk(ONE))
    world.front.connection_lost(None)
    assert world.fronts == set()
    world.engines[0].data_received(chunk(ONE))
    world.engines[0].connection_lost(None)
    (report,) = world.reports
    assert report.events == 2


async def test_a_connection_that_is_to_end_ends_with_its_last_stream(world):
    world.ask()
    await world.turn()
    world.front.drain()
    assert "close" not in world.transport.doing
    world.engines[0].data_received(HEAD + chunk(ONE) + chunk(DONE) + b"0\r\n\r\n")
    assert world.transport.doing[-1] == "close"
    idle = World()
    await idle.turn()
    idle.front.drain()
    assert idle.transport.doing[-1] == "close"
