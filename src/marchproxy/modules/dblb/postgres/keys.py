"""Keys: what clients are given to interrupt their queries with. A request is passed on to the owner's server, or to nobody."""

import asyncio
import hmac
import os
from contextlib import suppress

from marchproxy.kit.logs import get_logger
from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.postgres.dialling import interrupt
from marchproxy.modules.dblb.postgres.link import Link
from marchproxy.modules.dblb.postgres.login import LoginRefused
from marchproxy.modules.dblb.postgres.session import Session
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.startup import CancelRequest, read_opening

_log = get_logger(__name__)
#: The number that a key begins with: 7 bits for the worker, and 24 for the client.
_SHIFT = 24
_MOST_WORKERS = 1 << 7
_SECONDS = 5.0
_MOST_AT_ONCE = 200


class Keys:
    """Those of the clients of one worker."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._known: dict[int, tuple[bytes, Session]] = {}
        self._numbers: dict[Session, int] = {}
        self._at_once = asyncio.Semaphore(_MOST_AT_ONCE)

    def give(self, session: Session, *, long: bool) -> bytes:
        """A BackendKeyData for a client; `long`: it speaks 3.2."""
        worker = self._around.worker % _MOST_WORKERS
        while True:
            number = worker << _SHIFT | int.from_bytes(os.urandom(3))
            if number and number not in self._known:
                break
        secret = os.urandom(32 if long else 4)
        self._known[number] = (secret, session)
        self._numbers[session] = number
        return encode.key(number, secret)

    def take(self, session: Session) -> None:
        """The client is gone."""
        self._known.pop(self._numbers.pop(session, 0), None)

    async def cancel(self, request: CancelRequest) -> None:
        """Interrupt whoever has this key, here or in another worker."""
        owner = request.process_id >> _SHIFT
        if owner == self._around.worker % _MOST_WORKERS:
            await self._cancel(request)
        elif owner < self._around.workers:
            await self._around.elsewhere(owner, encode.cancel(request.process_id, request.key))

    async def told(self, message: bytes) -> None:
        """What another worker passes on."""
        with suppress(ProtocolFault):
            match read_opening(message):
                case (CancelRequest() as request, _):
                    await self._cancel(request)

    async def interrupt(self, link: Link) -> None:
        """Until the server has heard it the link is nobody else's, or a neighbour's query would be interrupted."""
        link.cancelling += 1
        try:
            async with asyncio.timeout(_SECONDS), self._at_once:
                await interrupt(link)
        except (OSError, TimeoutError, LoginRefused, PeerGone) as error:
            _log.warning(
                "a server did not take a request to interrupt a query", reason=str(error) or "no answer"
            )
        finally:
            link.cancel_heard()

    async def _cancel(self, request: CancelRequest) -> None:
        known = self._known.get(request.process_id)
        if known is None or not hmac.compare_digest(known[0], request.key):
            return
        link = known[1].link
        if link is not None and not link.state.flow.free:
            await self.interrupt(link)
