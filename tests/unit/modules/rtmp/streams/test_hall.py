import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.pool import BackendPool
from marchproxy.model.rtmp import Duplicate
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan, Upstream
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.session.hall import Denied
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.modules.rtmp.streams.hall import Streams
from marchproxy.modules.rtmp.streams.live import LiveStream
from marchproxy.modules.rtmp.tally import Tallies
from tests.unit.modules.rtmp.streams.crafted import BEGINNING, KEY, FakeClient, inter, key, plan, sound


class _Scene:
    def __init__(self, group: asyncio.TaskGroup, route: RoutePlan | None = None) -> None:
        self.clock, self.tallies = VirtualClock(), Tallies()
        self.hall = Streams(Surroundings(group, self.clock, self.tallies))
        self.route = route or plan()
        self.hall.apply(RtmpPlan((self.route,)))

    def come(self, action: Action) -> FakeClient | Denied:
        client = FakeClient(action, route=self.route)
        role = self.hall.admit(client.wish, self.route, KEY)
        return role if isinstance(role, Denied) else client.serve(role)

    def publish(self) -> FakeClient:
        client = self.come(Action.PUBLISH)
        assert isinstance(client, FakeClient)
        assert client.role is not None
        client.role.messages([*BEGINNING, key(0), sound(0), inter(40)])
        return client

    def play(self) -> FakeClient:
        client = self.come(Action.PLAY)
        assert isinstance(client, FakeClient)
        return client


@pytest.fixture
async def group() -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as group:
        yield group


@pytest.fixture
def scene(group: asyncio.TaskGroup) -> Iterator[_Scene]:
    found = _Scene(group)
    yield found
    found.hall.close()


def test_a_stream_is_there_from_its_first_publisher_on(scene: _Scene) -> None:
    told: list[LiveStream] = []
    scene.hall.followers.append(told.append)
    scene.play()
    assert (scene.hall.has(KEY), scene.hall.stream(KEY), scene.hall.streams()) == (False, None, ())
    publisher = scene.publish()
    assert scene.hall.has(KEY)
    assert told == [scene.hall.stream(KEY)]
    assert publisher.role is not None
    publisher.role.gone("client")
    assert scene.hall.streams()[0].state == "waiting"
    scene.publish()
    assert len(told) == 1


def test_what_is_told_of_a_stream(scene: _Scene) -> None:
    publisher = scene.publish()
    scene.play()
    assert publisher.role is not None
    scene.hall.sweep()
    for number in range(2, 102):
        publisher.role.messages([key(number * 40) if number % 50 == 0 else inter(number * 40)])
    scene.clock.advance(4.0)
    scene.hall.sweep()
    (report,) = scene.hall.streams()
    assert (report.key, report.route, report.state) == ("/live/a", "live", "live")
    assert (report.video, report.width, report.height) == ("avc1.f4001e", 640, 360)
    assert report.audio == "mp4a.40.2"
    assert (report.fps, report.gop, report.players) == (25.0, 2.0, 1)
    assert report.bitrate > 1
    assert report.age == 4.0
    assert report.publisher == "192.0.2.1:5"


def test_a_second_publisher_is_refused(scene: _Scene) -> None:
    first = scene.publish()
    denied = scene.come(Action.PUBLISH)
    assert isinstance(denied, Denied)
    assert denied.reason == "busy"
    assert not first.closed
    assert first.role is not None
    first.role.gone("reset")
    assert isinstance(scene.come(Action.PUBLISH), FakeClient)


def test_or_takes_over(group: asyncio.TaskGroup) -> None:
    scene = _Scene(group, plan(duplicate=Duplicate.TAKEOVER))
    first = scene.publish()
    scene.publish()
    assert first.closed == "taken_over"
    scene.hall.close()


def test_a_role_that_never_begins_leaves_nothing(scene: _Scene) -> None:
    scene.hall.admit(FakeClient().wish, scene.route, KEY)
    scene.hall.sweep()
    assert not scene.hall._streams


def _gone(route: RoutePlan) -> RtmpPlan:
    return RtmpPlan((replace(route, route=replace(route.route, route_id="other")),))  # type: ignore[arg-type]


def _elsewhere(route: RoutePlan) -> RtmpPlan:
    pool = Upstream(BackendPool(name="origins"))  # type: ignore[arg-type]
    return RtmpPlan((replace(route, backends=((pool, 100),)),))


@pytest.mark.parametrize("changed", [_gone, _elsewhere])
def test_a_stream_goes_with_its_route(scene: _Scene, changed: object) -> None:
    publisher, player = scene.publish(), scene.play()
    scene.hall.apply(RtmpPlan((scene.route,)))
    assert not publisher.closed
    scene.hall.apply(changed(scene.route))  # type: ignore[operator]
    assert (publisher.closed, player.closed) == ("no_route", "ended")
    assert not scene.hall.has(KEY)


def test_a_route_may_change_under_a_stream(scene: _Scene) -> None:
    publisher = scene.publish()
    scene.hall.apply(RtmpPlan((plan(stall=1.0),)))
    scene.clock.advance(1.5)
    scene.hall.sweep()
    assert publisher.closed == "stalled"


def test_whoever_can_is_sent_elsewhere(scene: _Scene) -> None:
    publisher, player = scene.publish(), scene.play()
    scene.hall.drain()
    assert publisher.asked
    assert player.asked
    assert not publisher.closed
    scene.hall.close()
    assert (publisher.closed, player.closed) == ("close", "ended")
