"""Station: all clients of a worker: they say what they want, go to the worker that has the stream, and are served there."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.live_stream import StreamReport
from marchproxy.model.route import RouteId
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.balancing.hall import Balancing
from marchproxy.modules.rtmp.ownership import owner_of
from marchproxy.modules.rtmp.packaging.studio import Studio
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan, Who
from marchproxy.modules.rtmp.policy.guard import Guard
from marchproxy.modules.rtmp.pulling.pulled import Pulled
from marchproxy.modules.rtmp.pushing.pushes import Pushes
from marchproxy.modules.rtmp.pushing.relayed import relayed
from marchproxy.modules.rtmp.service import OriginReport, Surroundings
from marchproxy.modules.rtmp.session.connection import Connection
from marchproxy.modules.rtmp.session.hall import Denied, Hall
from marchproxy.modules.rtmp.session.policy import Pass, Policy
from marchproxy.modules.rtmp.session.roles import Action, Role, Wish
from marchproxy.modules.rtmp.streams.hall import Streams
from marchproxy.modules.rtmp.streams.live import EXPECT_SECONDS, LiveStream
from marchproxy.modules.rtmp.tally import Tally
from marchproxy.modules.rtmp.worker.transit import HANDED_OVER, Transit
from marchproxy.wire.rtmp.answers import Code

_log = get_logger(__name__)
#: For a handshake, from when a client has connected; and until it has said what it wants.
HANDSHAKE_SECONDS, WISH_SECONDS = 10.0, 15.0
#: Clients that have not said what they want, and those about whom it is decided; what they have said is kept.
MOST_WAITING, MOST_WISHING = 5_000, 10_000
#: Our own players: viewers may ask for streams that no origin has.
MOST_OWN = 500
_POLL_SECONDS = 0.02
_NOT_HERE = Denied("no_route", Code.PUBLISH_BAD_NAME, "no route takes such a stream")
_CROWDED = Denied("crowded", Code.FAILED, "too many clients come at once; try again")
_UNREACHABLE = Denied("unreachable", Code.FAILED, "the stream cannot be reached now; try again")
#: Where our own players come from.
_INSIDE = Arrival(HostPort("127.0.0.1", 0), 0)


class _OwnPass:
    def leave(self) -> None:
        pass  # nobody has counted it


class Station:
    """A StreamService."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._plan = RtmpPlan()
        self._here = Streams(around)
        self._studio = Studio(around.group, around.media, clock=around.clock)
        self._here.followers.append(self._began)
        self._elsewhere = Balancing(around)
        self._pushes = Pushes(around.group, clock=around.clock)  # of what is there
        self._halls: tuple[Hall, ...] = (self._here, self._elsewhere)
        self._policy: Policy = Guard(around, self._has)
        self._waiting: dict[Connection, None] = {}
        self._wishing: dict[Connection, None] = {}
        self._served: dict[Connection, Pass] = {}
        self._own: dict[Connection, RoutePlan] = {}
        """Our own players, for packagers, and the routes that want them."""
        self._transit = Transit(around, self._connection)

    def apply(self, plan: RtmpPlan) -> None:
        """As a StreamService's. Raises OSError."""
        self._policy.apply(plan)  # first, for where it fails all is to be as before
        self._plan = plan
        for hall in self._halls:
            hall.apply(plan)
        if self._around.workers > 1:
            self._transit.open()  # not before there are routes for those who come so

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """As a StreamService's."""
        return self._connection(arrival)

    def wished(self, connection: Connection) -> None:
        """As an Office's."""
        del self._waiting[connection]
        self._wishing[connection] = None
        wish, arrival = connection.wish, connection.arrival
        route = self._own.get(connection) or self._plan.route(
            Who(wish.key, arrival.client.host, arrival.port)
        )
        if route is None:
            self._refuse(connection, None, _NOT_HERE)
            return
        if len(self._wishing) > MOST_WISHING:
            self._refuse(connection, route, _CROWDED)
            return
        key = route.known_as(wish.key)
        owner = owner_of(key, self._around.workers)
        if owner == self._around.worker or connection.was_handed:
            self._around.group.create_task(self._admit(connection, route, key))
        else:
            self._around.group.create_task(self._move(connection, route, owner))

    def left(self, connection: Connection, reason: str) -> None:
        """As an Office's."""
        self._waiting.pop(connection, None)
        self._wishing.pop(connection, None)
        self._own.pop(connection, None)
        passed = self._served.pop(connection, None)
        if passed is not None:
            passed.leave()
        if reason != HANDED_OVER:
            tally = self._around.tallies.of("") if connection.role is None else self._tally(connection.route)
            tally.closed[reason] += 1

    def sweep(self) -> None:
        """As a StreamService's."""
        now = self._around.clock.monotonic()
        for connection in list(self._waiting):
            age = now - connection.opened_at
            if age > HANDSHAKE_SECONDS and not connection.has_shaken:
                connection.abort("no_handshake")
            elif age > WISH_SECONDS:
                connection.abort("silent")
        self._policy.sweep()
        for hall in self._halls:
            hall.sweep()
        self._package_always()
        self._pushes.sweep(relayed(self._elsewhere.streams(), self._plan.routes, self._pulled))
        self._studio.sweep()

    def clients(self) -> int:
        """As a StreamService's."""
        here = len(self._waiting) + len(self._wishing) + len(self._served)
        return here + len(self._transit)

    def streams(self) -> Sequence[StreamReport]:
        """As a StreamService's."""
        found = (stream for hall in self._halls for stream in hall.streams())
        return tuple(self._with_viewers(one) for one in found)

    def origins(self) -> Sequence[OriginReport]:
        """As a StreamService's."""
        return tuple(origin for hall in self._halls for origin in hall.origins())

    async def check(self) -> Sequence[OriginReport]:
        """As a StreamService's."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(hall.check()) for hall in self._halls]
        return tuple(origin for task in tasks for origin in task.result())

    async def watch(self, key: str, viewers: int = 0) -> str:
        """As a StreamService's."""
        known = StreamKey.parse(key)
        stream = self._here.stream(known)
        if stream is not None:
            return await self._studio.watch(known, stream, stream.options.packaging, viewers)
        route = next((one for one in self._plan.routes if not one.is_origin and one.takes(Who(known))), None)
        if route is None:
            return await self._studio.watch(known, None, None)
        if len(self._own) >= MOST_OWN:
            return "too many streams of origins are packaged already"
        return await self._studio.watch(known, self._pulled(known, route), route.options.packaging, viewers)

    def drain(self) -> None:
        """As a StreamService's."""
        self._transit.close()  # whoever would come so goes to the next worker of this number
        for connection in [*self._waiting, *self._wishing]:
            connection.abort("drain")
        for hall in self._halls:
            hall.drain()

    def close(self) -> None:
        """As a StreamService's."""
        self._transit.close()
        self._pushes.close()
        self._studio.close()  # before streams end: viewers are to find them again in the next worker
        for hall in self._halls:
            hall.close()
        for connection in [*self._waiting, *self._wishing, *self._served]:
            if not connection.reason:  # others are being told farewell
                connection.abort("close")
        self._transit.abort()
        self._policy.close()
        self._around.group.create_task(self._emptied())

    async def _emptied(self) -> None:
        """Keep the worker until everybody has heard what they were told last."""
        while self.clients():
            await self._around.clock.sleep(_POLL_SECONDS)

    def _connection(self, arrival: Arrival) -> Connection:
        if len(self._waiting) >= MOST_WAITING:
            next(iter(self._waiting)).abort("crowded")
        connection = Connection(arrival, self, now=self._around.clock.monotonic())
        self._waiting[connection] = None
        return connection

    async def _admit(self, connection: Connection, route: RoutePlan, key: StreamKey) -> None:
        if connection in self._own:
            found: Pass | Denied = _OwnPass()
        else:
            found = await self._policy.admit(connection.wish, route, key, connection.arrival)
        if connection not in self._wishing:  # it has gone meanwhile
            if not isinstance(found, Denied):
                found.leave()
            return
        if isinstance(found, Denied):
            self._refuse(connection, route, found)
            return
        role = self._role(connection.wish, route.route_id, key)
        if isinstance(role, Denied):
            found.leave()
            self._refuse(connection, route, role)
            return
        del self._wishing[connection]
        self._served[connection] = found
        connection.serve(*role)
        if connection.wish.action is Action.PUBLISH:
            connection.read_in_turns(self._around.turns)

    def _role(self, wish: Wish, route_id: RouteId, key: StreamKey) -> tuple[RoutePlan, Role] | Denied:
        """Who serves a client, by the route as it is now: policy may have taken its time."""
        route = next((one for one in self._plan.routes if one.route_id == route_id), None)
        if route is None:
            return _NOT_HERE
        hall: Hall = self._here if route.is_origin else self._elsewhere
        role = hall.admit(wish, route, key)
        return role if isinstance(role, Denied) else (route, role)

    def _has(self, key: StreamKey) -> bool:
        return any(hall.has(key) for hall in self._halls)

    async def _move(self, connection: Connection, route: RoutePlan, owner: int) -> None:
        try:
            await self._transit.move(connection, owner)
        except (OSError, TimeoutError) as error:
            words = str(error) or repr(error)
            _log.error("the worker that has the stream cannot be reached", worker=owner, reason=words)
            self._refuse(connection, route, _UNREACHABLE)
        else:
            self._tally(route).handed_over += 1

    def _package_always(self) -> None:
        """Begin with streams of origins that are to be packaged from their beginning."""
        always = {str(route.route_id): route for route in self._plan.routes if _is_always_packaged(route)}
        for report in self._elsewhere.streams() if always else ():
            route, key = always.get(report.route), StreamKey.parse(report.key)
            if route is not None and report.publisher and not self._studio.has(report.key):
                self._studio.began(key, self._pulled(key, route), route.options.packaging)

    def _pulled(self, key: StreamKey, route: RoutePlan) -> Pulled:
        patience = route.options.grace + EXPECT_SECONDS
        dial = partial(self._dial, route)
        return Pulled(key, dial, self._around.group, clock=self._around.clock, patience=patience)

    async def _dial(self, route: RoutePlan, player: asyncio.Protocol) -> None:
        """Let a player of ours in, as one that a route wants and nobody has to check."""
        near, far = socket.socketpair()
        connection = self._connection(_INSIDE)
        self._own[connection] = route
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: connection, far)
        await loop.connect_accepted_socket(lambda: player, near)

    def _with_viewers(self, report: StreamReport) -> StreamReport:
        studio, key = self._studio, report.key
        pushes = report.pushes or self._pushes.words(key)
        return replace(report, packaged=studio.renditions(key), viewers=studio.viewers(key), pushes=pushes)

    def _began(self, stream: LiveStream) -> None:
        self._studio.began(stream.key, stream, stream.options.packaging)

    def _refuse(self, connection: Connection, route: RoutePlan | None, denied: Denied) -> None:
        wish, code = connection.wish, denied.code
        if code is Code.PUBLISH_BAD_NAME and wish.action is Action.PLAY:
            code = Code.PLAY_NOT_FOUND
        _log.info(
            "client refused",
            client=str(connection.arrival.client),
            action=wish.action.value,
            stream=wish.key.text,
            reason=denied.description,
        )
        tally = self._around.tallies.of("") if route is None else self._tally(route)
        tally.refused[denied.reason] += 1
        connection.refuse(denied.reason, code, denied.description)

    def _tally(self, route: RoutePlan) -> Tally:
        return self._around.tallies.of(str(route.route_id))


def _is_always_packaged(route: RoutePlan) -> bool:
    packaging = route.options.packaging
    return not route.is_origin and packaging is not None and not packaging.on_demand
