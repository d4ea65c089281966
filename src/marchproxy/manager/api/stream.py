"""The stream of what happens, as server-sent events: records as they are written, revisions, and each look at the system.

Nobody waits for a slow reader: who falls behind is told to look at the whole again (`reset`), and let go.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from marchproxy.manager.access.http import principal_of
from marchproxy.manager.api.answering import to_json
from marchproxy.manager.api.asking import AtDesk, ReadsLive
from marchproxy.manager.api.problems import unavailable
from marchproxy.manager.desk import Desk
from marchproxy.manager.watching import Subscription
from marchproxy.model.record import Event
from marchproxy.store import StoreUnavailable
from marchproxy.wire import sse

router = APIRouter(prefix="/api/v1/events", tags=["events"])
MOST_STREAMS = 256
_MOST_WAITING = 256
_MOST_REPLAYED = 200
_TICK_SECONDS = 0.5
_HEARTBEAT_SECONDS = 15.0
_CHECK_SECONDS = 15.0
_SEND_SECONDS = 30.0
_HELLO = b": what happens in MarchProxy\nretry: 3000\n\n"
_HEARTBEAT = b": still here\n\n"
_RESET = sse.write(sse.Event(b"{}", b"reset"))
_ANSWER: Mapping[int | str, Any] = {
    200: {
        "description": "`event` (a record), `revision`, `progress` (of an apply), `live` (what there is to see is new), "
        "`reset` (events were lost: look at the whole again)",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/stream", response_class=Response, responses=dict(_ANSWER), summary="What happens", name="stream"
)
async def stream(
    _: ReadsLive,
    request: Request,
    desk: AtDesk,
    last: Annotated[
        str, Header(alias="Last-Event-ID", max_length=32, description="what was missed since is told first")
    ] = "",
) -> Response:
    """Server-sent events, until either side has enough; a comment every 15 s says that it is still there."""
    open_streams: set[EventStream] = request.app.state.streams
    if len(open_streams) >= MOST_STREAMS:
        raise unavailable(f"{MOST_STREAMS} streams are open; close some")
    known = int(last) if last.isascii() and last.isdigit() else None
    return EventStream(desk, request, open_streams, known)


class EventStream(Response):
    """One reader's stream."""

    media_type = "text/event-stream"

    def __init__(
        self, desk: Desk, request: Request, others: set["EventStream"], last: int | None = None
    ) -> None:
        """`last`: the id of the last event that the reader has seen."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._desk, self._request, self._others, self._last = desk, request, others, last
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_WAITING + 2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Send, until the reader is gone or too slow, or who it was may not any more."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._others.add(self)
        try:
            with self._desk.live.subscribe() as events:
                async with asyncio.TaskGroup() as group:
                    feeding = (
                        self._records(events),
                        self._ticks(),
                        self._until_gone(receive),
                        self._until_forbidden(),
                    )
                    feeders = [group.create_task(work) for work in feeding]
                    await self._forward(send)
                    for feeder in feeders:
                        feeder.cancel()
        finally:
            self._others.discard(self)

    def put(self, frame: bytes) -> None:
        """Have a frame sent; where too many wait already, none of them is, and the reader is let go."""
        if self._waiting.qsize() < _MOST_WAITING:
            self._waiting.put_nowait(frame)
            return
        self._let_go()

    def _let_go(self) -> None:
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(_RESET)
        self._waiting.put_nowait(None)

    async def _forward(self, send: Send) -> None:
        await self._send(send, _HELLO)
        while True:
            try:
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    frame = await self._waiting.get()
            except TimeoutError:
                frame = _HEARTBEAT
            if frame is None:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            try:
                await self._send(send, frame)
            except TimeoutError:
                return  # the reader takes nothing any more, not even the end

    async def _until_forbidden(self) -> None:
        """However much there is to tell, who may not read any more is told no more of it."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            if not await self._may_stay():
                self._let_go()
                return

    async def _may_stay(self) -> bool:
        """Whether who reads may still; where nobody can be known now, nobody is sent away."""
        try:
            return await principal_of(self._request) is not None
        except StoreUnavailable:
            return True

    async def _send(self, send: Send, frame: bytes) -> None:
        async with asyncio.timeout(_SEND_SECONDS):
            await send({"type": "http.response.body", "body": frame, "more_body": True})

    async def _records(self, events: Subscription) -> None:
        seen = await self._replay() if self._last is not None else 0
        async for event in events:
            if not event.id or event.id > seen:
                self.put(record_frame(event))
        self._let_go()

    async def _replay(self) -> int:
        """What was written since the reader's last event; the id of the newest."""
        last = self._last or 0
        try:
            newest = await self._desk.store.events(limit=_MOST_REPLAYED + 1)
        except StoreUnavailable:
            self.put(_RESET)
            return last
        missed = [event for event in newest if event.id > last]
        if len(missed) > _MOST_REPLAYED:
            self.put(_RESET)
            missed = []
        for event in reversed(missed):
            self.put(record_frame(event))
        return newest[0].id if newest else 0

    async def _ticks(self) -> None:
        """Tell of what has no events of its own."""
        told: dict[str, object] = {}
        while True:
            for name, key, value in self._things():
                if told.get(name) != key:
                    told[name] = key
                    self.put(sse.write(sse.Event(to_json(value), name.encode())))
            await asyncio.sleep(_TICK_SECONDS)

    def _things(self) -> list[tuple[str, object, object]]:
        """By name: what changes when there is something new, and what is told then."""
        view, revisions = self._desk.live.view, self._desk.revisions
        head, progress = revisions.current.head, revisions.progress
        live = {"version": view.version, "at": view.at, "connections": view.connections, "total": view.total}
        things: list[tuple[str, object, object]] = [
            ("revision", head.number, head),
            ("live", view.version, live),
        ]
        return things if progress is None else [*things, ("progress", progress, progress)]

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._let_go()


def record_frame(event: Event) -> bytes:
    """An event as it is sent."""
    number = str(event.id).encode() if event.id else b""
    return sse.write(sse.Event(to_json(event), b"event", number))
