"""Access: who asks, and whether he may. What the API and the UI ask before they do anything."""

from pathlib import Path

from marchproxy.kit.clock import Clock
from marchproxy.kit.logs import get_logger
from marchproxy.manager.access import roles
from marchproxy.manager.access.auditing import NOBODY, Auditor
from marchproxy.manager.access.errors import Unauthenticated
from marchproxy.manager.access.keys import Keys
from marchproxy.manager.access.local import LOCAL_PREFIX, LocalKey
from marchproxy.manager.access.passwords import Passwords
from marchproxy.manager.access.people import People
from marchproxy.manager.access.sessions import Sessions, SignedIn
from marchproxy.model.identity import Principal, Role
from marchproxy.store import Store, StoreUnavailable

_log = get_logger(__name__)
_NOBODY = "sign in, or show an API key as `Authorization: Bearer mp_…`"


class Access:
    """Everything about who may do what. `users` and `keys` change who may; `audited` and `audit` write down who did."""

    def __init__(self, store: Store, clock: Clock, directory: Path, *, session_hours: float = 12.0) -> None:
        """`directory`: where the local key and the first password are put. Raises OSError."""
        passwords = Passwords()
        self.users = People(store, passwords, clock, directory)
        self.keys = Keys(store, clock)
        self.local = LocalKey(directory)
        auditor = Auditor(store, clock)
        self.audit = auditor.write
        self.audited = auditor.audited
        self._store = store
        self._passwords = passwords
        self._sessions = Sessions(store, passwords, clock, hours=session_hours)

    async def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """Check a password and begin a session. Raises Throttled, Unauthenticated, StoreUnavailable.

        It is on record, but for attempts that had to wait: a flood of them is not to become one in the store.
        """
        try:
            signed_in = await self._sessions.sign_in(name, password, address)
        except Unauthenticated as error:
            who = NOBODY if await self._store.user(name) is None else name
            await self.audit(
                who, "session.open", "session", outcome="denied", detail=str(error), address=address
            )
            raise
        await self.audit(signed_in.principal, "session.open", "session")
        return signed_in

    async def sign_out(self, principal: Principal) -> None:
        """End the principal's session."""
        if principal.session is not None:
            await self._sessions.sign_out(principal.session)
            await self.audit(principal, "session.close", "session")

    async def change_password(self, principal: Principal, old: str, new: str) -> SignedIn:
        """Change one's own password; all of one's sessions end, and another begins.

        Raises Unauthenticated when `old` is not right, WeakPassword, Throttled and StoreUnavailable.
        """
        session = principal.session
        if session is None:
            raise Unauthenticated(_NOBODY)
        async with self.audited(principal, "session.password", f"users/{principal.name}"):
            return await self._sessions.change_password(self.users, session, old, new)

    async def who(self, *, cookie: str | None = None, bearer: str | None = None) -> Principal:
        """Who shows a session's cookie, an API key or the local key. Raises Unauthenticated, StoreUnavailable."""
        if bearer is not None:
            if bearer.startswith(LOCAL_PREFIX) and (found := self.local.find(bearer)) is not None:
                return found
            return await self.keys.find(bearer)
        if cookie is not None:
            return await self._sessions.find(cookie)
        raise Unauthenticated(_NOBODY)

    def require(self, principal: Principal, role: Role, scope: roles.Scope) -> None:
        """Raise Denied when the principal may not. Nothing is written down; the callers know what was attempted."""
        roles.require(principal, role, scope)

    async def prune(self) -> None:
        """Forget the sessions that have expired, and a first password that is no good; to be called now and then."""
        try:
            await self._sessions.prune()
            await self.users.forget_initial()
        except StoreUnavailable as error:
            _log.warning("expired sessions are forgotten later", reason=str(error))
