"""Station: all clients of a worker: they say what they want, go to the worker that has the stream, and are served there."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.streams import StreamKey
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.handing.desk import HandingDesk
from marchproxy.modules.rtmp.handing.handed import Handed
from marchproxy.modules.rtmp.handing.pipe import PipeEnd
from marchproxy.modules.rtmp.ownership import owner_of
from marchproxy.modules.rtmp.packaging.studio import Studio
from marchproxy.modules.rtmp.plan import RoutePlan, RtmpPlan, Who
from marchproxy.modules.rtmp.service import OriginReport, StreamReport, Surroundings
from marchproxy.modules.rtmp.session.connection import Connection
from marchproxy.modules.rtmp.session.hall import Denied, Hall
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.modules.rtmp.streams.hall import Streams
from marchproxy.modules.rtmp.streams.live import LiveStream
from marchproxy.modules.rtmp.tally import Tally
from marchproxy.wire.rtmp.answers import Code

_log = get_logger(__name__)
#: Until a client has said what it wants.
_WISH_SECONDS = 15.0
_FLUSH_SECONDS = 0.01
_FLUSHES = 200
_NOT_HERE = Denied("no_route", Code.PUBLISH_BAD_NAME, "no route takes such a stream")


class Station:
    """A StreamService."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._plan = RtmpPlan()
        self._here = Streams(around)
        self._studio = Studio(around.group, around.media, clock=around.clock)
        self._here.followers.append(self._began)
        self._halls: tuple[Hall, ...] = (self._here,)
        self._waiting: dict[Connection, None] = {}
        self._served: dict[Connection, None] = {}
        self._pipes: dict[PipeEnd, None] = {}
        self._desk = HandingDesk(
            around.folder, around.worker, self._take_over, group=around.group, clock=around.clock
        )

    def open(self) -> None:
        """Take clients over from other workers. Raises OSError."""
        if self._around.workers > 1:
            self._desk.open()

    def apply(self, plan: RtmpPlan) -> None:
        """As a StreamService's."""
        self._plan = plan
        for hall in self._halls:
            hall.apply(plan)

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """As a StreamService's."""
        connection = Connection(arrival, self, now=self._around.clock.monotonic())
        self._waiting[connection] = None
        return connection

    def wished(self, connection: Connection) -> None:
        """As an Office's."""
        wish, arrival = connection.wish, connection.arrival
        route = self._plan.route(Who(wish.key, arrival.client.host, arrival.port))
        if route is None:
            self._refuse(connection, None, _NOT_HERE)
            return
        key = route.known_as(wish.key)
        owner = owner_of(key, self._around.workers)
        if owner == self._around.worker:
            self._around.group.create_task(self._admit(connection, route, key))
        else:
            self._around.group.create_task(self._hand_over(connection, route, owner))

    def ended(self, connection: Connection, reason: str) -> None:
        """As an Office's."""
        self._waiting.pop(connection, None)
        if connection in self._served:
            del self._served[connection]
            self._tally(connection.route).closed[reason] += 1
        elif reason != "handed over":
            self._around.tallies.of("").closed[reason] += 1

    def sweep(self) -> None:
        """As a StreamService's."""
        due = self._around.clock.monotonic() - _WISH_SECONDS
        for connection in [one for one in self._waiting if one.opened_at < due]:
            connection.abort("silent")
        for hall in self._halls:
            hall.sweep()
        self._studio.sweep()

    def clients(self) -> int:
        """As a StreamService's."""
        return len(self._waiting) + len(self._served) + len(self._pipes)

    def streams(self) -> Sequence[StreamReport]:
        """As a StreamService's."""
        found = (stream for hall in self._halls for stream in hall.streams())
        return tuple(replace(one, packaged=self._studio.renditions(one.key)) for one in found)

    def origins(self) -> Sequence[OriginReport]:
        """As a StreamService's."""
        return tuple(origin for hall in self._halls for origin in hall.origins())

    async def check(self) -> Sequence[OriginReport]:
        """As a StreamService's."""
        answers = await asyncio.gather(*(hall.check() for hall in self._halls))
        return tuple(origin for answer in answers for origin in answer)

    async def watch(self, key: str) -> str:
        """As a StreamService's."""
        stream = self._here.stream(StreamKey.parse(key))
        return await self._studio.watch(
            StreamKey.parse(key), stream, None if stream is None else stream.options.packaging
        )

    def drain(self) -> None:
        """As a StreamService's."""
        for connection in list(self._waiting):
            connection.abort("drain")
        for hall in self._halls:
            hall.drain()

    def close(self) -> None:
        """As a StreamService's."""
        self._desk.close()
        self._studio.close()  # before streams end: viewers are to find them again in the next worker
        for hall in self._halls:
            hall.close()
        for connection in [*self._waiting, *self._served]:
            connection.abort("close")
        for pipe in list(self._pipes):
            pipe.abort()

    async def _admit(self, connection: Connection, route: RoutePlan, key: StreamKey) -> None:
        found = self._hall(route).admit(connection.wish, route, key)
        if isinstance(found, Denied):
            self._refuse(connection, route, found)
            return
        if self._waiting.pop(connection, self) is self:
            return  # it has gone meanwhile
        self._served[connection] = None
        connection.serve(route, found)

    def _began(self, stream: LiveStream) -> None:
        self._studio.began(stream.key, stream, stream.options.packaging)

    def _hall(self, route: RoutePlan) -> Hall:
        return self._here if route.is_origin else self._halls[-1]

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

    # clients of other workers

    async def _hand_over(self, connection: Connection, route: RoutePlan, owner: int) -> None:
        for _ in range(_FLUSHES):  # what it was told must have gone out before
            if connection.idle or connection.transport is None:
                break
            await self._around.clock.sleep(_FLUSH_SECONDS)
        transport, arrival = connection.transport, connection.arrival
        if transport is None:
            return
        recorded = connection.recorded
        handed = Handed(
            arrival.client.host, arrival.client.port, arrival.port, arrival.secure, arrival.certificate_user,
            piped=arrival.secure, size=len(recorded),
        )  # fmt: skip
        try:
            if arrival.secure:
                await self._pipe(connection, transport, owner, handed, recorded)
            else:
                with transport.get_extra_info("socket").dup() as client:
                    await self._desk.give(owner, handed, recorded, client)
                connection.detach()
        except (OSError, TimeoutError) as error:
            _log.error(
                "the worker that has the stream cannot be reached",
                worker=owner,
                reason=str(error) or repr(error),
            )
            denied = Denied("unreachable", Code.FAILED, "the stream cannot be reached now; try again")
            self._refuse(connection, route, denied)
            return
        self._tally(route).handed_over += 1

    async def _pipe(
        self,
        connection: Connection,
        transport: asyncio.Transport,
        owner: int,
        handed: Handed,
        recorded: bytes,
    ) -> None:
        line = await self._desk.give(owner, handed, recorded, None)
        near, far = PipeEnd(), PipeEnd()
        near.join(far, partial(self._pipes.pop, near, None))
        self._pipes[near] = None
        await asyncio.get_running_loop().connect_accepted_socket(lambda: far, line)
        self._waiting.pop(connection, None)
        transport.set_protocol(near)
        near.connection_made(transport)
        transport.resume_reading()

    def _take_over(self, handed: Handed, recorded: bytes, client: socket.socket) -> None:
        self._around.group.create_task(self._resume(handed, recorded, client))

    async def _resume(self, handed: Handed, recorded: bytes, client: socket.socket) -> None:
        arrival = Arrival(
            HostPort(handed.host, handed.port),
            handed.came_to,
            certificate_user=handed.certificate_user,
            secure=False,  # whoever accepted it does TLS
        )
        connection = Connection(arrival, self, now=self._around.clock.monotonic())
        self._waiting[connection] = None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, client)
        except OSError as error:
            del self._waiting[connection]
            client.close()
            _log.info("client gone while it was taken over", reason=error.strerror or str(error))
            return
        connection.take_over(recorded)
