"""What happens, as it happens, over a real connection; and that nobody's stream keeps a manager from its end."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from marchproxy.wire.sse import Event, Events
from tests.real.support.manager import GOOD, manager_alone, visitor


class Stream:
    """A reader of events."""

    def __init__(self, answer: httpx.Response) -> None:
        self._bytes = answer.aiter_bytes()
        self._parser = Events()
        self._found: list[Event] = []

    async def next(self, name: bytes) -> Event:
        """The next event of that name."""
        async with asyncio.timeout(30):
            while True:
                while self._found:
                    event = self._found.pop(0)
                    if event.event == name:
                        return event
                self._found += self._parser.feed(await anext(self._bytes))

    async def ends(self) -> None:
        async with asyncio.timeout(30):
            async for _ in self._bytes:
                pass


@asynccontextmanager
async def stream(client: httpx.AsyncClient, **headers: str) -> AsyncIterator[Stream]:
    async with client.stream("GET", "/api/v1/events/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer)


async def test_changes_are_told_and_a_stop_does_not_wait_for_readers(tmp_path):
    async with manager_alone(tmp_path) as alone, visitor(alone.url) as admin, visitor(alone.url) as other:
        assert (await other.http.get("/api/v1/events/stream")).status_code == 401
        await admin.sign_in("admin", alone.initial_password)
        await admin.change_password(alone.initial_password, GOOD)
        async with stream(admin.http) as first:
            assert b'"number":1,' in (await first.next(b"revision")).data
            assert (await admin.http.put("/api/v1/prices/x", json={"input": 1})).status_code == 200
            assert b'"number":2,' in (await first.next(b"revision")).data
            applied = await first.next(b"event")
            assert b"revision" in applied.data
        async with stream(admin.http, **{"last-event-id": "0"}) as again:
            while (await again.next(b"event")).id != applied.id:  # whatever was before
                pass
            alone.process.send(signal.SIGTERM)
            await again.ends()
        assert await alone.process.ended(within=15) == 0
        assert "Traceback" not in alone.process.log.read_text()
