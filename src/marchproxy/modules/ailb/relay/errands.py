"""Errands: what a relay asks the decider for, or brings to it, now and then: HTTP/1.1 at its socket, a connection each."""

import asyncio
from pathlib import Path

from marchproxy.kit.logs import get_logger
from marchproxy.modules.ailb import asking
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.http1_answer import Answer

_log = get_logger(__name__)
_SECONDS = 5.0
_READ = 256 * 1024
_LONGEST = 80 * 1024 * 1024


class CannotRun(OSError):
    """The decider is away, or does not have it."""


class Errands:
    """`socket`: the decider's `own.sock`; `most` at once, so that a decider that is slow does not fill our memory."""

    def __init__(self, socket: Path, *, most: int = 64) -> None:
        self._socket = socket
        self._turns = asyncio.Semaphore(most)
        self._most = most
        self._keeping = 0

    async def body(self, number: int) -> bytes:
        """What stands in place of the body of a request. Raises OSError."""
        async with self._turns:
            return await self._run(
                b"GET %b/%d HTTP/1.1\r\nhost: own\r\n\r\n" % (asking.OWN_BODY.encode(), number)
            )

    async def keep(self, number: int, content_type: bytes, data: bytes) -> None:
        """Have an answer kept. What cannot be done at once is left: it is only a cache."""
        if self._keeping >= self._most:
            return
        self._keeping += 1
        head = b"PUT %b/%d HTTP/1.1\r\nhost: own\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        try:
            await self._run(head % (asking.OWN_ANSWER.encode(), number, content_type, len(data)) + data)
        except OSError as error:
            _log.warning("an answer is not kept", reason=str(error))
        finally:
            self._keeping -= 1

    async def _run(self, request: bytes) -> bytes:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
            try:
                writer.write(request)
                await writer.drain()
                return await _read(reader)
            finally:
                writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer, parts, size = Answer(), [], 0
    while not answer.ended:
        data = await reader.read(_READ)
        if not data:
            raise CannotRun("the decider hung up")
        try:
            parts.append(answer.receive(data))
        except ProtocolFault as fault:
            raise CannotRun(f"the decider does not speak HTTP: {fault}") from fault
        size += len(parts[-1])
        if size > _LONGEST:
            raise CannotRun(f"more than {_LONGEST} bytes")
    if not 200 <= answer.status < 300:
        raise CannotRun(f"the decider answers {answer.status}")
    return b"".join(parts)
