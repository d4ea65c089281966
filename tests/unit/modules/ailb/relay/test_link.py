"""Connections to engines that wait to be asked again."""

import asyncio
from contextlib import suppress
from operator import call
from pathlib import Path

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.modules.ailb.relay.link import Link, Links

PLACE = "127.0.0.1:1"


class Transport:
    def __init__(self):
        self.doing = []

    def is_closing(self):
        return "abort" in self.doing

    def __getattr__(self, name):
        return lambda *_: self.doing.append(name)


class Taker:
    def __init__(self):
        self.heard = []

    def receive(self, data):
        self.heard.append(data)

    def lost(self):
        self.heard.append(None)


def connected(links, place=PLACE):
    link = Link(links, place)
    link.connection_made(Transport())
    return link


def links():
    clock = VirtualClock()
    return Links(Path("/nowhere"), clock, call), clock


def test_the_last_that_was_used_is_the_first_to_be_used_again():
    pool, _ = links()
    first, second = connected(pool), connected(pool)
    assert not first.used
    first.release()
    second.release()
    assert pool.take("127.0.0.1:2") is None
    assert [pool.take(PLACE), pool.take(PLACE), pool.take(PLACE)] == [second, first, None]
    assert first.used


def test_one_that_nobody_uses_is_closed_before_the_engine_does():
    pool, clock = links()
    first, second = connected(pool), connected(pool)
    first.release()
    clock.advance(3)
    second.release()
    clock.advance(1.5)
    pool.sweep()
    assert first._transport.doing == ["abort"]
    assert [pool.take(PLACE), pool.take(PLACE)] == [second, None]


def test_no_more_are_kept_than_are_of_use():
    pool, _ = links()
    made = [connected(pool) for _ in range(66)]
    for link in made:
        link.release()
    assert [link._transport.doing for link in made[:3]] == [["abort"], ["abort"], []]


def test_one_that_speaks_unasked_or_closes_is_not_used_again():
    pool, _ = links()
    speaks, closes = connected(pool), connected(pool)
    for link in (speaks, closes):
        link.release()
    transport = speaks._transport
    speaks.data_received(b"HTTP/1.1 408 X\r\n\r\n")
    assert transport.doing == ["abort"]
    speaks.connection_lost(None)
    closes.connection_lost(None)
    assert pool.take(PLACE) is None


def test_who_asks_hears_the_answer_and_the_end():
    pool, _ = links()
    link, taker = connected(pool), Taker()
    transport = link._transport
    link.ask(taker, b"hello")
    link.data_received(b"a")
    link.pause()
    link.resume()
    link.hang_up()
    assert transport.doing == ["write", "pause_reading", "resume_reading", "write_eof"]
    link.connection_lost(None)
    late = Taker()
    link.ask(late, b"hello")
    for what in (link.pause, link.resume, link.hang_up, link.release, link.abort):
        what()
    assert (taker.heard, late.heard) == ([b"a", None], [None])


def test_what_comes_in_a_turn_is_read_before_it_is_looked_at():
    turns = []
    pool = Links(Path("/nowhere"), VirtualClock(), turns.append)
    first, second, takers = connected(pool), connected(pool), (Taker(), Taker())
    for link, taker in zip((first, second), takers, strict=True):
        link.ask(taker, b"hello")
    for link, data in ((first, b"a"), (second, b"b"), (first, b"c")):
        link.data_received(data)
    assert len(turns) == 1
    assert not takers[0].heard
    turns.pop()()
    assert [taker.heard for taker in takers] == [[b"a", b"c"], [b"b"]]
    second.data_received(b"d")
    assert len(turns) == 1
    turns.pop()()
    assert takers[1].heard == [b"b", b"d"]
    first.data_received(b"e")
    first.data_received(b"f" * 20_000)
    assert takers[0].heard[2:] == [b"e", b"f" * 20_000]
    turns.pop()()
    assert len(takers[0].heard) == 4


def test_who_asks_on_a_connection_that_has_spoken_unasked_does_not_hear_that():
    turns = []
    pool = Links(Path("/nowhere"), VirtualClock(), turns.append)
    link, taker = connected(pool), Taker()
    transport = link._transport
    link.release()
    link.data_received(b"HTTP/1.1 408 X\r\n\r\n")
    assert pool.take(PLACE) is link
    link.ask(taker, b"hello")
    turns.pop()()
    assert transport.doing == ["write", "abort"]
    link.connection_lost(None)
    assert taker.heard == [None]


def test_an_answer_that_cannot_be_passed_on_ends_alone(capfd):
    turns = []
    pool = Links(Path("/nowhere"), VirtualClock(), turns.append)
    bad, good, taker = connected(pool), connected(pool), Taker()
    transport, broken = bad._transport, Taker()
    broken.receive = lambda data: broken.missing
    bad.ask(broken, b"hello")
    good.ask(taker, b"hello")
    bad.data_received(b"a")
    good.data_received(b"b")
    turns.pop()()
    assert transport.doing == ["write", "abort"]
    assert taker.heard == [b"b"]
    bad.connection_lost(None)
    assert broken.heard == [None]


async def test_connections_are_made_and_all_are_closed(tmp_path):
    pool = Links(tmp_path / "egress.sock", VirtualClock(), call)
    with pytest.raises(FileNotFoundError):
        await pool.dial("", 5)
    came, gone = asyncio.Queue(), asyncio.Queue()

    async def serve(reader, writer):
        came.put_nowait(None)
        with suppress(ConnectionResetError):  # it was not closed in good order
            await reader.read()
        writer.close()
        gone.put_nowait(None)

    by_name = await asyncio.start_unix_server(serve, tmp_path / "egress.sock")
    by_address = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = by_address.sockets[0].getsockname()[1]
    async with asyncio.timeout(20):
        for place in ("", f"127.0.0.1:{port}"):
            await pool.dial(place, 5)
            await came.get()
        assert len(pool) == 2
        pool.close()
        for _ in range(2):
            await gone.get()
        await asyncio.sleep(0)
    assert len(pool) == 0
    by_name.close()
    by_address.close()
