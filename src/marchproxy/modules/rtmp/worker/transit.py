"""Transit: clients that go from a worker to the one that has their stream, and those that come so."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.modules.reception.client import Arrival
from marchproxy.modules.rtmp.handing.desk import HandingDesk
from marchproxy.modules.rtmp.handing.giving import Giver
from marchproxy.modules.rtmp.handing.handed import Handed
from marchproxy.modules.rtmp.handing.pipe import PipeEnd, joined
from marchproxy.modules.rtmp.service import Surroundings
from marchproxy.modules.rtmp.session.connection import Connection

_log = get_logger(__name__)
#: How a connection ends that another worker has now.
HANDED_OVER: Final = "handed over"
_FLUSH_SECONDS = 2.0
_POLL_SECONDS = 0.005


class Transit:
    """Of one worker. `accept` makes the connection of a client that comes from another one."""

    def __init__(self, around: Surroundings, accept: Callable[[Arrival], Connection]) -> None:
        self._around = around
        self._accept = accept
        self._giver = Giver(around.folder, clock=around.clock)
        self._pipes: dict[PipeEnd, None] = {}
        self._desk = HandingDesk(
            around.folder, around.worker, self._take, group=around.group, clock=around.clock
        )

    def __len__(self) -> int:
        """How many clients are piped to others."""
        return len(self._pipes)

    def open(self) -> None:
        """Take clients over from now on. Raises OSError."""
        self._desk.open()

    def close(self) -> None:
        """Take nobody over any more."""
        self._desk.close()

    def abort(self) -> None:
        """End those that are piped."""
        for pipe in list(self._pipes):
            pipe.abort()

    async def move(self, connection: Connection, owner: int) -> None:
        """Give a client, whose wish is known, to the worker that has the stream; it has left us when this returns.

        Raises OSError, TimeoutError: the other one cannot be reached, and it is still ours.
        """
        await self._flushed(connection)
        transport, arrival, recorded = connection.transport, connection.arrival, connection.recorded
        if transport is None:
            return
        handed = Handed(
            *(arrival.client.host, arrival.client.port, arrival.port),
            secure=arrival.secure,
            certificate_user=arrival.certificate_user,
            size=len(recorded),
        )
        if arrival.secure:
            line = await self._giver.pipe(owner, replace(handed, piped=True), recorded)
            await self._join(connection, line)
            return
        with transport.get_extra_info("socket").dup() as client:
            await self._giver.give(owner, handed, recorded, client)
        if connection.part(HANDED_OVER) is not None:
            transport.abort()

    async def _flushed(self, connection: Connection) -> None:
        """Wait until the client has been sent all that it was told. Raises TimeoutError."""
        async with asyncio.timeout(_FLUSH_SECONDS):
            while connection.queued():
                await self._around.clock.sleep(_POLL_SECONDS)

    async def _join(self, connection: Connection, line: socket.socket) -> None:
        transport = connection.part(HANDED_OVER)
        if transport is None:
            line.close()
            return
        near, far = joined(lambda: self._pipes.pop(near, None))
        self._pipes[near] = None
        transport.set_protocol(near)
        near.connection_made(transport)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: far, line)
        except OSError:
            line.close()
            near.abort()
            return
        transport.resume_reading()

    def _take(self, handed: Handed, recorded: bytes, client: socket.socket) -> None:
        task = self._around.group.create_task(self._begin(handed, recorded, client))
        task.add_done_callback(partial(_closed, client))

    async def _begin(self, handed: Handed, recorded: bytes, client: socket.socket) -> None:
        arrival = Arrival(
            HostPort(handed.host, handed.port),
            handed.came_to,
            certificate_user=handed.certificate_user,
            secure=handed.secure,
        )
        connection = self._accept(arrival)
        connection.take_over(recorded)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, client)
        except OSError as error:
            client.close()
            connection.ended("client")
            _log.info("client gone while it was taken over", reason=error.strerror or str(error))
            return
        if connection.role is None and not connection.reason:
            connection.pause()  # uvloop begins to read after `connection_made`, whatever was said there


def _closed(client: socket.socket, task: asyncio.Task[None]) -> None:
    if task.cancelled():  # perhaps before it began
        client.close()
