import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.model.live_stream import StreamReport
from marchproxy.model.pool import BackendPool
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.plan import RoutePlan, Upstream
from marchproxy.modules.rtmp.pushing.pushes import Pushes
from marchproxy.modules.rtmp.pushing.relayed import relayed
from marchproxy.modules.rtmp.streams.tap import Tap
from tests.unit.modules.rtmp.streams.crafted import KEY, plan


class _Stream:
    """A stream that is pushed; where to may change."""

    def __init__(self, *urls: str) -> None:
        self.key, self.named = KEY, replace(KEY, vhost="tv.example")
        self.options = RtmpRoute(push=urls)
        self.taps: list[Tap] = []

    def push(self, *urls: str) -> None:
        self.options = RtmpRoute(push=urls)

    def tap(self, tap: Tap) -> None:
        self.taps.append(tap)

    def untap(self, tap: Tap) -> None:
        if tap in self.taps:
            self.taps.remove(tap)


@pytest.fixture
def nobody() -> Iterator[str]:
    """Where connections are taken and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _url(where: str, app: str) -> str:
    return f"rtmp://{where}/{app}/{{stream}}"


async def test_pushes_follow_their_streams(nobody: str) -> None:
    first, second = _url(nobody, "one"), _url(nobody, "two")
    async with asyncio.TaskGroup() as group:
        pushes = Pushes(group, clock=SystemClock())
        stream = _Stream(first)
        pushes.began(stream)
        assert pushes.words(KEY.text) == (f"{nobody}: connecting",)
        stream.push(first, second)
        pushes.sweep([stream])
        assert len(pushes.words(KEY.text)) == 2
        stream.push(second)
        pushes.sweep([stream])
        assert len(pushes.words(KEY.text)) == 1
        stream.push()
        pushes.sweep([stream])
        assert pushes.words(KEY.text) == ()
        stream.push(first)
        pushes.sweep([stream])
        assert len(pushes.words(KEY.text)) == 1
        pushes.sweep([])  # it has ended
        assert pushes.words(KEY.text) == ()
        pushes.began(stream)
        pushes.close()
        assert pushes.words(KEY.text) == ()
    assert stream.taps == []


def _at_origin(route_id: str, *urls: str) -> RoutePlan:
    pool = Upstream(BackendPool(name="origins"))  # type: ignore[arg-type]
    return replace(plan(route_id, push=urls), backends=((pool, 100),))


def test_streams_of_origins_are_pushed_where_they_are_published_here() -> None:
    pulled: list[tuple[StreamKey, RoutePlan]] = []

    def pull(key: StreamKey, route: RoutePlan) -> _Stream:
        pulled.append((key, route))
        return _Stream()

    pushing, plain, here = _at_origin("a", "rtmp://b/c/d"), _at_origin("b"), plan("c", push=("rtmp://b/c/d",))
    reports = [
        StreamReport("h/live/a", "a", publisher="192.0.2.1:5"),
        StreamReport("h/live/b", "a"),  # somebody else publishes it
        StreamReport("h/live/c", "b", publisher="192.0.2.1:5"),
        StreamReport("h/live/d", "c", publisher="192.0.2.1:5"),
    ]
    (found,) = relayed(reports, [pushing, plain, here], pull)
    assert (found.key, found.options) == (StreamKey("h", "live", "a"), pushing.options)
    tap: Tap = object()  # type: ignore[assignment]
    found.tap(tap)
    found.untap(tap)
    found.untap(tap)
    assert pulled == [(found.key, pushing)]
