"""Answering: an HTTP/1.1 server on a Unix socket, for an Envoy that asks one thing at a time on each connection."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias, cast

from marchproxy.kit.logs import get_logger
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.http1 import Request, Requests, answer

#: Gives the bytes of an answer, at once or later.
Handler: TypeAlias = Callable[[Request], bytes | Coroutine[Any, Any, bytes]]

_log = get_logger(__name__)
_HEAD = 96 * 1024
_BODY = 65 * 1024 * 1024
_BROKEN = answer(500)


class Answering(asyncio.Protocol):
    """One connection. An answer that takes time is waited for in a task of `group`, and given up when Envoy hangs up."""

    def __init__(self, handler: Handler, group: asyncio.TaskGroup, connections: set["Answering"]) -> None:
        self._handler = handler
        self._group = group
        self._connections = connections
        self._requests = Requests(head=_HEAD, body=_BODY)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._due: list[Request] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and let go of what is waited for."""
        del exc
        self._connections.discard(self)
        self._transport = None
        self._due.clear()
        if self._waiting is not None:
            # in the next turn: a task that is cancelled before it has begun gives nothing back
            asyncio.get_running_loop().call_soon(self._waiting.cancel)

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        try:
            self._due += self._requests.receive(data)
        except ProtocolFault as fault:
            _log.warning("Envoy asked something that is no request", reason=str(fault))
            self.close(answer(400, [(b"connection", b"close")]))
            return
        self._answer_due()
        if self._due and self._transport is not None:
            # who asks before being answered waits; otherwise read on, or nobody would see that Envoy hangs up
            self._transport.pause_reading()

    def close(self, last: bytes = b"") -> None:
        """Hang up, with a last word."""
        if self._transport is not None:
            self._transport.write(last)
            self._transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked."""
        return self._waiting is None and not self._due and self._requests.between

    def _answer_due(self) -> None:
        while self._due and self._waiting is None and self._transport is not None:
            request = self._due.pop(0)
            try:
                found = self._handler(request)
            except Exception:  # noqa: BLE001 - one request is not to end the others of its connection; it is logged in full
                _log.exception("a request could not be decided")
                found = _BROKEN
            if isinstance(found, bytes):
                self._transport.write(found)
            else:
                self._waiting = self._group.create_task(self._later(found))
                self._waiting.add_done_callback(partial(_forget, found))

    async def _later(self, coming: Coroutine[Any, Any, bytes]) -> None:
        try:
            found = await coming
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a request could not be decided")
            found = _BROKEN
        finally:
            self._waiting = None
        if self._transport is not None:
            self._transport.write(found)
            self._transport.resume_reading()
            self._answer_due()


def _forget(coming: Coroutine[Any, Any, bytes], _: object) -> None:
    coming.close()  # which nobody awaits when its task is cancelled before it begins
