"""Auth query: the secrets of users, asked of the primary, or of another server while that does not answer. A user is asked about
once at a time, and not again for a while.

On a session of the monitor's own, with no setting of any client's (CVE-2025-12819). A password whose time is over is none
(CVE-2025-2291).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import HostPort
from marchproxy.model.http import Authentication
from marchproxy.model.module import PoolName
from marchproxy.modules.dblb.plan import Upstream
from marchproxy.modules.dblb.postgres.inquiry import FAULTS, Inquiry, open_inquiry
from marchproxy.modules.dblb.postgres.login import Credentials
from marchproxy.modules.dblb.serverside import addresses_of

_log = get_logger(__name__)
#: Whether the time of a user's password is over, whatever the query made of that.
_OVER = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1 AND rolvaliduntil < pg_catalog.now()"
_KEPT_SECONDS = 5.0
_MOST_KEPT = 10_000
_SECONDS = 5.0


class CannotAsk(Exception):
    """There is no answer now; says why."""


class AuthQueries:
    """Those of one worker. `close` ends its sessions on servers."""

    def __init__(self, clock: Clock, primary_of: Callable[[PoolName], HostPort | None]) -> None:
        """`primary_of`: which server of a pool takes writes, and so knows of a new password first; None: nobody has seen."""
        self._clock = clock
        self._primary_of = primary_of
        self._kept: OrderedDict[tuple[str, str], tuple[float, str | None]] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Lock] = {}
        self._sessions: dict[tuple[str, str, str, str], Inquiry] = {}
        self._one_by_one = asyncio.Lock()

    async def secret(self, way: Authentication, upstream: Upstream, user: str) -> str | None:
        """The secret of a user; None: there is none. Raises CannotAsk; the caller sets the deadline."""
        key = (way.name, user)
        lock = self._asking.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                kept = self._kept.get(key)
                if kept is not None and kept[0] > self._clock.monotonic():
                    return kept[1]
                found = await self._ask(way, upstream, user)
                self._kept[key] = (self._clock.monotonic() + _KEPT_SECONDS, found)
                while len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
                return found
        finally:
            if not lock.locked():
                self._asking.pop(key, None)

    def forget(self) -> None:
        """Ask again about everybody: the plan has changed."""
        self._kept.clear()

    def close(self) -> None:
        """End the sessions."""
        for session in self._sessions.values():
            session.end()
        self._sessions.clear()

    async def _ask(self, way: Authentication, upstream: Upstream, user: str) -> str | None:
        queries = [query.replace("$1", _literal(user)) for query in (way.query, _OVER)]
        try:
            async with asyncio.timeout(_SECONDS), self._one_by_one:
                session = await self._session(upstream)
                rows, over = [await session.ask(query) for query in queries]
        except FAULTS as error:
            reason = str(error) or f"no answer within {_SECONDS:g} s"
            _log.error("users cannot be looked up", way=way.name, pool=upstream.name, reason=reason)
            raise CannotAsk(reason) from error
        if over:
            return None
        return next((row[1] or None for row in rows if len(row) >= 2 and row[0] == user), None)

    async def _session(self, upstream: Upstream) -> Inquiry:
        options = upstream.options
        password = upstream.passwords.get(options.monitor, "")
        credentials = Credentials(options.monitor, options.monitor_database, password)
        failure: Exception | None = None
        primary = self._primary_of(upstream.name)
        # sorted keeps the others as the document has them
        for address in sorted(addresses_of(upstream.pool), key=lambda one: one != primary):
            key = (credentials.user, credentials.database, password, str(address))
            session = self._sessions.get(key)
            if session is not None and session.open:
                return session
            try:
                self._sessions[key] = session = await open_inquiry(address, credentials, upstream.pool.tls)
            except FAULTS as error:
                failure = error
                continue
            return session
        raise failure or OSError("the pool has no servers")


def _literal(text: str) -> str:
    """A text as it stands in a query, whatever the session's settings."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\0", "")
    return f" E'{escaped}'"
