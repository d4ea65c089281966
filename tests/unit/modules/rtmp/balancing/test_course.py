"""A stream and its pool."""

import asyncio

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.module import PoolName, Protocol, Version
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.route import BackendRef, Route, RouteId
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.balancing.course import Course
from marchproxy.modules.rtmp.balancing.origins import Origins
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan, Upstream
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.tally import Tallies


def _route(blue: int, green: int) -> RoutePlan:
    backends = tuple(
        (
            Upstream(BackendPool(PoolName(name), Version(name), (Endpoint("10.0.0.1:1935"),), Protocol.RTMP)),
            share,
        )
        for name, share in (("blue", blue), ("green", green))
    )
    refs = tuple(BackendRef(up.name, share) for up, share in backends)
    return RoutePlan(Route(RouteId("r"), backends=refs), backends=backends)


async def test_a_stream_keeps_its_pool_until_it_is_over() -> None:
    async with asyncio.TaskGroup() as group:
        around = Surroundings(group, VirtualClock(), Tallies())
        origins, route = Origins(around), _route(100, 0)
        origins.apply(RtmpPlan((route,), {upstream.name: upstream for upstream, _ in route.backends}))
        course = Course(StreamKey("", "live", "cam"), route, origins, around)
        course.settle("10.0.0.1:1935")
        course.follow(_route(0, 100))
        assert (course.upstream.name, course.home) == ("blue", "10.0.0.1:1935")
        assert course.is_over
        course.begin_anew()
        assert (course.upstream.name, course.home) == ("green", "")
        course.settle("10.0.0.1:1935")
        course.begin_anew()
        assert (course.upstream.name, course.home) == ("green", "10.0.0.1:1935")  # which is its own still
        origins.close()
