"""Refusing: a client that may not log in is told why, and its connection ends."""

import asyncio

from marchproxy.modules.dblb.inbox import PeerGone
from marchproxy.modules.dblb.mysql.greeting import NotProven, Talk
from marchproxy.modules.dblb.mysql.login import LoginRefused
from marchproxy.modules.dblb.mysql.pool import NO_SERVER
from marchproxy.modules.dblb.mysql.session import Session
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import Refusal


class Refusing:
    """A block in which a client logs in, within its time; what goes wrong in it is told the client, and ends it."""

    def __init__(self, session: Session, talk: Talk, seconds: float) -> None:
        self._session = session
        self._talk = talk
        self._timeout = asyncio.timeout(seconds)
        self._seconds = seconds

    async def __aenter__(self) -> Talk:
        await self._timeout.__aenter__()
        return self._talk

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        try:
            await self._timeout.__aexit__(kind, error, trace)  # type: ignore[arg-type]
        except TimeoutError as late:
            error = late
        if error is None:
            return False
        if isinstance(error, PeerGone):
            self._session.transport.abort()
            return True
        refusal = self._refusal(error)
        if refusal is None:
            return False
        self._session.end(refusal, sequence=(self._talk.sequence + 1) & 0xFF)
        return True

    def _refusal(self, error: BaseException) -> Refusal | None:
        match error:
            case NotProven():
                user = self._session.login.user
                return Refusal(1045, "28000", f"Access denied for user '{user}' (using password: YES)")
            case ProtocolFault():
                return Refusal(1043, "08S01", f"Bad handshake: {error}")
            case LoginRefused():
                return error.refusal or Refusal(NO_SERVER, "HY000", str(error))
            case TimeoutError():
                return Refusal(1159, "08S01", f"not logged in within {self._seconds:g} s")
            case OSError():
                return Refusal(NO_SERVER, "HY000", f"no server can be reached: {error}")
            case _:
                return None
