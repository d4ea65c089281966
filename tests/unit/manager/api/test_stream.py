"""The stream of what happens: order, replay, and readers who are too slow."""

import asyncio
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace

from marchproxy.kit.tasks import beside
from marchproxy.manager.api import stream
from marchproxy.manager.api.stream import EventStream
from marchproxy.manager.watching import LiveView, Subscription
from marchproxy.model.record import Event
from marchproxy.store import StoreUnavailable
from marchproxy.wire.sse import Events
from tests.unit.manager.api.documents import current

AT = datetime(2030, 1, 1, tzinfo=UTC)


def happened(number: int) -> Event:
    return Event(AT, "instance.came", f"alb-{number}", "here", id=number)


class Desk:
    """As much of a desk as a stream looks at."""

    def __init__(self, past: int = 0) -> None:
        self.subscription = Subscription(1000)
        self.away = False
        self.past = [happened(number) for number in range(1, past + 1)]
        self.live = SimpleNamespace(view=LiveView(), subscribe=lambda: nullcontext(self.subscription))
        self.revisions = SimpleNamespace(current=current({}), progress=None)
        self.store = SimpleNamespace(events=self._events)

    async def _events(self, *, limit: int):
        if self.away:
            raise StoreUnavailable("the database is away")
        return tuple(reversed(self.past))[:limit]


class Reader:
    """The other end: takes frames while it may."""

    def __init__(self) -> None:
        self.events: list = []
        self.ended = asyncio.Event()
        self.may = asyncio.Event()
        self.may.set()
        self.goes = asyncio.Event()
        self._parser = Events()

    async def send(self, message) -> None:
        await self.may.wait()
        self.events += self._parser.feed(message.get("body", b""))
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.ended.set()

    async def receive(self):
        await self.goes.wait()
        return {"type": "http.disconnect"}

    def ids(self) -> list[int]:
        return [int(event.id) for event in self.events if event.event == b"event"]

    async def until(self, holds) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def reading(desk: Desk, last: int | None = None):
    reader, others = Reader(), set()
    answer = EventStream(desk, None, others, last)

    async def serve() -> None:
        await answer({}, reader.receive, reader.send)
        await asyncio.Event().wait()  # `beside` wants work that does not end

    async with beside(serve(), name="stream"):
        await reader.until(lambda: len(reader.events) >= 2)
        yield reader, others


async def test_it_begins_with_what_is():
    async with reading(Desk()) as (reader, others):
        assert {event.event for event in reader.events} >= {b"revision", b"live"}
        assert len(others) == 1
        reader.goes.set()
        await reader.until(reader.ended.is_set)
        assert not others


async def test_events_come_once_and_in_order_after_those_that_were_missed():
    desk = Desk(past=5)
    async with reading(desk, last=2) as (reader, _):
        await reader.until(lambda: reader.ids() == [3, 4, 5])
        for number in (5, 6, 7):
            desk.subscription.put(happened(number))
        await reader.until(lambda: reader.ids() == [3, 4, 5, 6, 7])


async def test_too_much_was_missed():
    async with reading(Desk(past=300), last=2) as (reader, _):
        await reader.until(lambda: any(event.event == b"reset" for event in reader.events))
        assert reader.ids() == []


async def test_what_was_missed_cannot_be_read():
    desk = Desk(past=5)
    desk.away = True
    async with reading(desk, last=2) as (reader, _):
        await reader.until(lambda: any(event.event == b"reset" for event in reader.events))
        desk.subscription.put(happened(9))
        await reader.until(lambda: reader.ids() == [9])


async def test_a_slow_reader_is_told_to_look_again_and_let_go():
    desk = Desk()
    async with reading(desk) as (reader, others):
        reader.may.clear()
        for number in range(1, 600):
            desk.subscription.put(happened(number))
        await asyncio.sleep(0)
        await reader.until(lambda: not desk.subscription._waiting)
        reader.may.set()
        await reader.until(reader.ended.is_set)
        assert reader.events[-1].event == b"reset"
        assert len(reader.ids()) < 10
        assert not others


async def test_who_has_signed_out_is_let_go_however_much_there_is_to_tell(monkeypatch):
    desk, gone, asked = Desk(), asyncio.Event(), []

    async def principal_of(request):
        asked.append(request)
        if len(asked) == 2:
            raise StoreUnavailable("the database is away")
        return None if gone.is_set() else "ada"

    monkeypatch.setattr(stream, "principal_of", principal_of)
    monkeypatch.setattr(stream, "_CHECK_SECONDS", 0.001)
    monkeypatch.setattr(stream, "_TICK_SECONDS", 0.001)
    async with reading(desk) as (reader, others):
        async with beside(look_again_and_again(desk), name="looks"):
            await reader.until(lambda: len(asked) > 3)
            assert not reader.ended.is_set()
            gone.set()
            await reader.until(reader.ended.is_set)
        assert not others


async def look_again_and_again(desk: Desk) -> None:
    for version in count(1):
        desk.live.view = replace(desk.live.view, version=version)
        await asyncio.sleep(0)
