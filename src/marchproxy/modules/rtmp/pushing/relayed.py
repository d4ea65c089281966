"""Relayed: a stream that lives at an origin, as pushes know it: each is given what a player of ours gets there."""

from collections.abc import Callable, Iterable, Iterator

from marchproxy.model.live_stream import StreamReport
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.plan import RoutePlan
from marchproxy.modules.rtmp.pushing.pusher import Source
from marchproxy.modules.rtmp.streams.tap import Tap

#: Makes a source of one tap.
Pull = Callable[[StreamKey, RoutePlan], Source]


class Relayed:
    """A Pushed of many taps."""

    def __init__(self, key: StreamKey, route: RoutePlan, pull: Pull) -> None:
        self.key = self.named = key
        self._route = route
        self._pull = pull
        self._pulled: dict[Tap, Source] = {}

    @property
    def options(self) -> RtmpRoute:
        """As a Pushed's."""
        return self._route.options

    def tap(self, tap: Tap) -> None:
        """As a Source's."""
        pulled = self._pulled[tap] = self._pull(self.key, self._route)
        pulled.tap(tap)

    def untap(self, tap: Tap) -> None:
        """As a Source's."""
        pulled = self._pulled.pop(tap, None)
        if pulled is not None:
            pulled.untap(tap)


def relayed(reports: Iterable[StreamReport], routes: Iterable[RoutePlan], pull: Pull) -> Iterator[Relayed]:
    """The streams of those that are published through us and that a route wants pushed."""
    pushing = {str(route.route_id): route for route in routes if route.options.push and not route.is_origin}
    for report in reports if pushing else ():
        route = pushing.get(report.route)
        if route is not None and report.publisher:
            yield Relayed(StreamKey.parse(report.key), route, pull)
