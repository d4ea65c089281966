"""Streams: all streams of a worker that stay here: the Hall of routes without origins."""

from collections.abc import Callable, Sequence

from marchproxy.model.live_stream import StreamReport
from marchproxy.model.rtmp import Duplicate
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan
from marchproxy.modules.rtmp.pushing.pushes import Pushes
from marchproxy.modules.rtmp.service import OriginReport, Surroundings
from marchproxy.modules.rtmp.session.hall import Denied
from marchproxy.modules.rtmp.session.roles import Action, Role, Wish
from marchproxy.modules.rtmp.streams.facts import report
from marchproxy.modules.rtmp.streams.live import LiveStream, State
from marchproxy.modules.rtmp.streams.player import Player
from marchproxy.modules.rtmp.streams.publisher import Publisher
from marchproxy.wire.rtmp.answers import Code

_BUSY = Denied("busy", Code.PUBLISH_BAD_NAME, "somebody publishes this stream already")
_LEAVING = "the server is going away"


class Streams:
    """A Hall. `followers` are told of each stream when it goes live for the first time."""

    def __init__(self, around: Surroundings) -> None:
        self.followers: list[Callable[[LiveStream], None]] = []
        self._around = around
        self._streams: dict[StreamKey, LiveStream] = {}
        self._pushes = Pushes(around.group, clock=around.clock)

    def apply(self, plan: RtmpPlan) -> None:
        """As a Hall's: a stream stays as long as its route is there and keeps streams here."""
        routes = {route.route_id: route for route in plan.routes}
        for stream in list(self._streams.values()):
            route = routes.get(stream.route.route_id)
            if route is None or not route.is_origin:
                stream.end("the route of the stream is gone", reason="no_route")
            else:
                stream.follow(route)

    def admit(self, wish: Wish, route: RoutePlan, key: StreamKey) -> Role | Denied:
        """As a Hall's."""
        stream = self._streams.get(key)
        if wish.action is Action.PLAY:
            return Player(stream or self._expect(key, route))
        if stream is not None and stream.is_live and route.options.duplicate is Duplicate.REFUSE:
            return _BUSY
        return Publisher(stream or self._expect(key, route))

    def stream(self, key: StreamKey) -> LiveStream | None:
        """A stream that is live or waits for its publisher to return."""
        found = self._streams.get(key)
        return found if found is not None and found.state is not State.EXPECTED else None

    def has(self, key: StreamKey) -> bool:
        """As a Hall's."""
        return self.stream(key) is not None

    def sweep(self) -> None:
        """As a Hall's."""
        for stream in list(self._streams.values()):
            stream.sweep()
        self._pushes.sweep(self._there())

    def streams(self) -> Sequence[StreamReport]:
        """As a Hall's."""
        now = self._around.clock.monotonic()
        return tuple(report(one, now, self._pushes.words(one.key.text)) for one in self._there())

    def origins(self) -> Sequence[OriginReport]:
        """As a Hall's: none."""
        return ()

    async def check(self) -> Sequence[OriginReport]:
        """As a Hall's: none."""
        return ()

    def drain(self) -> None:
        """As a Hall's."""
        for stream in list(self._streams.values()):
            stream.ask_to_reconnect(_LEAVING)

    def close(self) -> None:
        """As a Hall's."""
        for stream in list(self._streams.values()):
            stream.end(_LEAVING, reason="close")
        self._pushes.close()

    def began(self, stream: LiveStream) -> None:
        """As a Registry's."""
        self._pushes.began(stream)
        for follow in self.followers:
            follow(stream)

    def ended(self, stream: LiveStream) -> None:
        """As a Registry's."""
        if self._streams.get(stream.key) is stream:
            del self._streams[stream.key]

    def _there(self) -> Sequence[LiveStream]:
        """Those that are live or wait for their publishers."""
        return [one for one in self._streams.values() if one.state is not State.EXPECTED]

    def _expect(self, key: StreamKey, route: RoutePlan) -> LiveStream:
        tally = self._around.tallies.of(str(route.route_id))
        stream = LiveStream(key, route, tally, registry=self, clock=self._around.clock)
        self._streams[key] = stream
        return stream
