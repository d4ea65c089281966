"""One request of Envoy's, as a dialogue: what the engine says, and what is said to Envoy then."""

import json
from dataclasses import dataclass, field
from operator import call
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.contract.document import decode
from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.ailb.dialects.operations import Operation
from marchproxy.modules.ailb.relay.exchange import Exchange
from marchproxy.modules.ailb.relay.heard import Heard
from marchproxy.modules.ailb.relay.link import Link, Links
from marchproxy.modules.ailb.relay.office import Office
from marchproxy.modules.ailb.relay.plan import compile_ways
from marchproxy.modules.ailb.relay.side import Question
from marchproxy.modules.ailb.settling.report import Ending
from marchproxy.wire.http2.heads import Head

DOCUMENT = """
routes:
  - id: llm
    path: /
    idle_timeout: 10s
    ai: {models: [{name: a, targets: [plain]}, {name: c, targets: [claude]}], first_byte_timeout: 10s}
pools:
  - {name: plain, endpoints: ["127.0.0.1:1"], ai: {provider: openai_compatible}}
  - {name: claude, endpoints: ["127.0.0.1:1"], ai: {provider: anthropic}}
"""
BODY = b'{"model":"big","stream":true,"messages":[{"role":"user","content":"x"}]}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nx-a: b\r\n\r\n"
ONE = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


END = chunk(DONE) + b"0\r\n\r\n"


class Transport:
    """To an engine."""

    def __init__(self):
        self.said = b""
        self.doing = []

    def write(self, data):
        self.said += data

    def is_closing(self):
        return "abort" in self.doing

    def __getattr__(self, name):
        return lambda *_: self.doing.append(name)


@dataclass
class Envoy:
    """A side of an exchange."""

    status: int = 0
    fields: dict = field(default_factory=dict)
    body: bytes = b""
    ended: str = ""
    trailers: bytes = b""
    has_room: bool = True

    def answer(self, stream, status, fields):
        self.status, self.fields = status, dict(fields)

    def send(self, stream, data):
        self.body += data
        return self.has_room

    def is_full(self, stream):
        return not self.has_room

    def end(self, stream, trailers):
        self.ended = "end"
        self.trailers = trailers

    def break_off(self, stream, words, trailers):
        self.trailers = trailers
        self.body += words
        self.ended = "end" if words else "reset"

    def tell(self, question, failure, fields=()):
        self.fields = dict(fields)
        dialect = question.heard.operation.dialect
        self.status, self.body, self.ended = failure.status(dialect), failure.body(dialect), "end"

    def let_go(self, stream):
        pass

    def over(self, stream):
        pass


class Reports(list):
    def put(self, report):
        self.append(report)


class World:
    """An exchange that has begun on a connection that was open."""

    def __init__(self, pool="plain", *, body=BODY, operation=Operation.CHAT, stream=True):
        self.clock = VirtualClock()
        self.reports, self.envoy, self.work, self.timers = Reports(), Envoy(), [], []
        self.links = Links(Path("/nowhere"), self.clock, call)
        self.office = Office(None, self.links, None, self.reports)
        self.office.now = self.clock.monotonic
        self.office.spawn = self.work.append
        self.office.later = lambda seconds, what: self.timers.append((seconds, what))
        self.office.ways = compile_ways(decode(DOCUMENT.encode()), {})
        self.engine, self.link = self.connected()
        self.link.release()
        heard = Heard(7, pool, "llm", operation, stream, operation.path)
        self.exchange = Exchange(
            self.office, self.envoy, Question(1, Head(b"POST", b"/", {}), heard, self.office.ways.pools[pool])
        )
        self.office.begun(self.exchange, heard)
        self.exchange.begin(body)

    def connected(self):
        link, transport = Link(self.links, "127.0.0.1:1"), Transport()
        link.connection_made(transport)
        return transport, link

    def says(self, *pieces):
        for piece in pieces:
            self.link.data_received(piece)

    @property
    def ending(self):
        (report,) = self.reports
        assert len(self.office) == 0
        return report.ending, report.events


@pytest.fixture
def world():
    made = World()
    yield made
    for work in made.work:
        work.close()


async def test_a_stream_goes_through_and_its_connection_is_used_again(world):
    assert world.engine.said.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:1\r\n")
    world.says(HEAD)
    assert world.envoy.status == 0  # Envoy may try elsewhere still
    world.says(chunk(ONE), chunk(ONE))
    assert (world.envoy.status, world.envoy.body) == (200, ONE * 2)
    assert world.envoy.fields == {b"content-type": b"text/event-stream", b"x-a": b"b"}
    world.says(END)
    assert (world.envoy.body, world.envoy.ended) == (ONE * 2 + DONE, "end")
    assert world.ending == (Ending.COMPLETE, 2)
    assert world.links.take("127.0.0.1:1") is world.link


@pytest.mark.parametrize(
    ("said", "status", "ending"),
    [
        ((), 504, (Ending.UNREACHED, 0)),
        ((HEAD,), 504, (Ending.UNREACHED, 0)),
        ((HEAD, chunk(ONE[:9])), 504, (Ending.UNREACHED, 0)),
        ((HEAD, chunk(ONE)), 200, (Ending.BROKEN, 1)),
    ],
)
async def test_silence_has_an_end(world, said, status, ending):
    world.says(*said)
    world.clock.advance(8.9)
    world.office.sweep()
    assert world.envoy.ended == ""
    world.clock.advance(0.2)
    world.office.sweep()
    assert (world.envoy.status, world.envoy.ended) == (status, "end")
    assert world.ending == ending
    assert "abort" in world.engine.doing


@pytest.mark.parametrize(
    ("said", "status", "body", "ending"),
    [
        ((b"nonsense\r\n\r\n",), 502, b"", (Ending.UNREACHED, 0)),
        ((HEAD,), 502, b"", (Ending.UNREACHED, 0)),
        ((HEAD, chunk(ONE)), 200, ONE, (Ending.BROKEN, 1)),
        ((HEAD, chunk(ONE), chunk(ONE)[:20]), 200, ONE, (Ending.BROKEN, 1)),
        ((HEAD, chunk(ONE), b"nonsense\r\n"), 200, ONE, (Ending.BROKEN, 1)),
    ],
)
async def test_an_engine_that_breaks_off(world, said, status, body, ending):
    world.says(*said)
    world.link.connection_lost(None)
    assert (world.envoy.status, world.envoy.ended) == (status, "end")
    assert world.envoy.body.startswith(body + (b"data: " if body else b"{"))
    assert json.loads(world.envoy.body.removeprefix(body).removeprefix(b"data: ").split(b"\n")[0])["error"]
    assert world.ending == ending


async def test_a_connection_that_closes_at_the_moment_of_the_question_is_no_failure(world):
    world.link.connection_lost(None)
    assert world.reports == []
    assert len(world.work) == 1  # it connects anew
    world.engine, world.link = world.connected()
    world.exchange.reached(world.link)
    assert world.engine.said.endswith(b"}")
    world.link.connection_lost(None)
    assert world.envoy.status == 503
    assert world.ending == (Ending.UNREACHED, 0)


def test_what_is_under_way_is_told_to_a_decider_that_was_not_there():
    world = World()
    (going,) = world.office.going(8)
    assert (going.number, going.ending, going.pool, going.attempts) == (7, Ending.GOING, "plain", 1)
    assert list(world.office.going(7)) == []
    world.exchange.leave()
    world.exchange.lost()
    assert list(world.office.going(8)) == []


async def test_a_client_that_hangs_up_ends_the_engines_work_and_what_it_says_still_is_counted(world):
    world.says(HEAD, chunk(ONE))
    world.exchange.leave()
    assert world.engine.doing[-1] == "write_eof"
    world.says(chunk(ONE))
    assert world.envoy.body == ONE
    world.link.connection_lost(None)
    assert world.ending == (Ending.CLIENT_GONE, 2)


async def test_an_engine_that_goes_on_all_the_same_is_cut(world):
    world.exchange.leave()
    ((seconds, cut),) = world.timers
    assert seconds <= 0.1
    cut()
    assert "abort" in world.engine.doing
    assert world.ending == (Ending.CLIENT_GONE, 0)


async def test_an_engine_waits_for_envoy_and_is_not_taken_for_silent(world):
    world.envoy.has_room = False
    world.says(HEAD, chunk(ONE))
    assert world.engine.doing == ["pause_reading"]
    world.clock.advance(100)
    world.office.sweep()
    world.exchange.drained()
    assert world.engine.doing == ["pause_reading"]  # there is no room yet
    world.envoy.has_room = True
    world.exchange.drained()
    world.office.sweep()
    assert world.engine.doing == ["pause_reading", "resume_reading"]
    world.says(END)
    assert world.ending == (Ending.COMPLETE, 1)


async def test_an_error_of_the_engines_is_passed_on(world):
    world.says(b"HTTP/1.1 429 X\r\ncontent-length: 2\r\nretry-after: 3\r\n\r\n{}")
    assert (world.envoy.status, world.envoy.body, world.envoy.ended) == (429, b"{}", "end")
    assert world.envoy.fields[b"retry-after"] == b"3"
    assert world.ending == (Ending.REFUSED, None)


async def test_half_an_answer_that_is_no_stream_is_broken_off():
    world = World(stream=False)
    world.says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")
    world.link.connection_lost(None)
    assert (world.envoy.status, world.envoy.body, world.envoy.ended) == (200, b"{", "reset")
    assert world.ending[0] is Ending.BROKEN


async def test_an_answer_without_a_body_is_an_answer(world):
    world.says(b"HTTP/1.1 204 X\r\n\r\n")
    assert (world.envoy.status, world.envoy.ended) == (204, "end")
    assert world.ending[0] is Ending.COMPLETE


@pytest.mark.parametrize(
    ("answer", "status", "ending"),
    [
        (b'HTTP/1.1 529 X\r\ncontent-length: 54\r\n\r\n{"type":"error","error":{"type":"overloaded_error"}}  ', 503, Ending.REFUSED),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 502, Ending.UNREACHED),
    ],
)  # fmt: skip
async def test_errors_of_another_dialect_are_translated(answer, status, ending):
    world = World("claude")
    assert b"anthropic-version: 2023-06-01\r\n" in world.engine.said
    world.says(answer)
    assert (world.envoy.status, world.ending[0]) == (status, ending)
    assert json.loads(world.envoy.body)["error"]["message"]


async def test_when_another_dialects_provider_wants_to_be_asked_again_is_told():
    world = World("claude")
    world.says(b"HTTP/1.1 429 X\r\ncontent-length: 2\r\nretry-after: 7\r\nx-quota: 1\r\n\r\n{}")
    assert (world.envoy.status, world.envoy.fields) == (429, {b"retry-after": b"7"})


async def test_what_cannot_be_asked_is_told_at_once():
    world = World("claude", body=BODY.replace(b"{", b'{"n":2,', 1))
    assert world.envoy.status == 400
    assert world.ending == (Ending.REFUSED, 0)
    assert world.engine.said == b""
    assert World(body=b"nonsense").envoy.status == 500


SAID = [
    HEAD,
    chunk(ONE),
    chunk(ONE)[:20],
    chunk(ONE)[20:],
    END,
    b"HTTP/1.1 429 X\r\ncontent-length: 2\r\n\r\n",
    b"{}",
    b"\r\n",
    ONE,
]
DONE_TO_IT = ["leave", "lost", "sweep", "hold", "drained", "cut"]


def do(world, what):
    match what:
        case "leave":
            world.exchange.leave()
        case "lost":
            world.link.connection_lost(None)
        case "sweep":
            world.clock.advance(4)
            world.office.sweep()
        case "hold":
            world.envoy.has_room = False
            world.exchange.hold()
        case "drained":
            world.envoy.has_room = True
            world.exchange.drained()
        case "cut":
            for _, cut in world.timers:
                cut()
        case bytes():
            world.says(what)


@given(
    st.sampled_from(["plain", "claude"]),
    st.lists(
        st.one_of(st.sampled_from(SAID), st.sampled_from(DONE_TO_IT), st.binary(max_size=20)), max_size=12
    ),
)
def test_whatever_happens_a_request_ends_once(pool, happens):
    world = World(pool)
    for what in (*happens, "leave", "lost", "cut"):
        do(world, what)
        if world.work:  # a connection anew
            world.work.pop().close()
            world.engine, world.link = world.connected()
            world.exchange.reached(world.link)
    assert len(world.reports) == 1
    assert len(world.office) == 0
    assert world.envoy.ended or world.reports[0].ending is Ending.CLIENT_GONE
