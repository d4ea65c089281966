"""Balancing: all streams of a worker that live at origins: the Hall of routes with backends."""

from collections.abc import Sequence
from dataclasses import replace

from marchproxy.model.live_stream import StreamReport
from marchproxy.model.rtmp import Duplicate
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.balancing.course import Course, State
from marchproxy.modules.rtmp.balancing.origins import Origins
from marchproxy.modules.rtmp.balancing.player import Player
from marchproxy.modules.rtmp.balancing.publisher import Publisher
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.service import OriginReport, Surroundings
from marchproxy.modules.rtmp.session.hall import Denied
from marchproxy.modules.rtmp.session.roles import Action, Role, Wish
from marchproxy.modules.rtmp.streams.facts import track_of
from marchproxy.wire.rtmp.answers import Code
from marchproxy.wire.rtmp.message import AUDIO, VIDEO

_BUSY = Denied("busy", Code.PUBLISH_BAD_NAME, "somebody publishes this stream already")
_LEAVING = "the server is going away"


class Balancing:
    """A Hall."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._origins = Origins(around)
        self._courses: dict[StreamKey, Course] = {}

    def apply(self, plan: RtmpPlan) -> None:
        """As a Hall's: a stream stays as long as its route is there and sends streams to origins."""
        self._origins.apply(plan)
        routes = {route.route_id: route for route in plan.routes}
        for course in list(self._courses.values()):
            route = routes.get(course.route.route_id)
            if route is None or route.is_origin:
                course.end("the route of the stream is gone", reason="no_route")
            else:
                course.follow(route)

    def admit(self, wish: Wish, route: RoutePlan, key: StreamKey) -> Role | Denied:
        """As a Hall's."""
        course = self._courses.get(key)
        is_busy = course is not None and course.publisher is not None
        if wish.action is Action.PUBLISH and is_busy and route.options.duplicate is Duplicate.REFUSE:
            return _BUSY
        if course is None:
            course = self._courses[key] = Course(key, route, self._origins, self._around)
        elif course.is_over:  # and not swept away yet
            course.begin_anew()
        return Publisher(course) if wish.action is Action.PUBLISH else Player(course)

    def has(self, key: StreamKey) -> bool:
        """As a Hall's."""
        return key in self._courses

    def sweep(self) -> None:
        """As a Hall's."""
        self._origins.clear()
        for key, course in list(self._courses.items()):
            course.sweep()
            if course.is_over:
                del self._courses[key]
            elif course.home:
                origin = course.origin()
                origin.streams += 1
                origin.players += len(course.players)
                origin.bitrate += course.meter.bitrate

    def streams(self) -> Sequence[StreamReport]:
        """As a Hall's."""
        now = self._around.clock.monotonic()
        return tuple(_report(course, now) for course in self._courses.values() if not course.is_over)

    def origins(self) -> Sequence[OriginReport]:
        """As a Hall's."""
        return self._origins.reports()

    async def check(self) -> Sequence[OriginReport]:
        """As a Hall's."""
        return await self._origins.check()

    def drain(self) -> None:
        """As a Hall's."""
        for course in list(self._courses.values()):
            course.ask_to_reconnect(_LEAVING)

    def close(self) -> None:
        """As a Hall's."""
        self._origins.close()
        for course in list(self._courses.values()):
            course.end(_LEAVING, reason="close")


_STATES = {State.OPEN: "live", State.LIVE: "live", State.MOVING: "moving", State.WAITING: "waiting"}


def _report(course: Course, now: float) -> StreamReport:
    publisher = course.publisher
    found = StreamReport(
        key=course.key.text,
        route=str(course.route.route_id),
        pool=str(course.upstream.name),
        origin=course.home,
        version=str(course.upstream.pool.version),
        state=_STATES[course.state],
        age=round(now - course.began_at, 1),
        players=len(course.players),
        rehomed=course.rehomed,
    )
    if publisher is None:
        return found
    return _with_media(found, course, publisher)


def _with_media(found: StreamReport, course: Course, publisher: Publisher) -> StreamReport:
    sight = publisher.inflow.sight
    video, audio = track_of(sight, VIDEO), track_of(sight, AUDIO)
    return replace(
        found,
        publisher=publisher.address,
        video=video.codec,
        audio=audio.codec,
        width=video.width,
        height=video.height,
        fps=round(course.meter.fps, 2),
        bitrate=round(course.meter.bitrate, 1),
        gop=sight.gop / 1000,
    )
