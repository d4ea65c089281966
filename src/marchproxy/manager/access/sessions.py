"""Sessions: people sign in, are known by a cookie, and sign out. What the store keeps lets nobody in."""

from dataclasses import dataclass, replace
from datetime import timedelta

from marchproxy.kit.clock import Clock
from marchproxy.manager.access.errors import Throttled, Unauthenticated, WeakPassword
from marchproxy.manager.access.passwords import Passwords
from marchproxy.manager.access.people import People
from marchproxy.manager.access.throttle import Throttle
from marchproxy.manager.access.tokens import csrf_of, hashed, new_token
from marchproxy.model.identity import Principal, Session, User
from marchproxy.store import Store, StoreUnavailable

_WRONG = "the name or the password is not right"
_NOT_SIGNED_IN = "sign in first"
_TOUCH_SECONDS = 60.0
_MOST_PER_USER = 100  # then the oldest ends


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who has just signed in. `token` is for the cookie and nothing else."""

    token: str
    principal: Principal

    def __repr__(self) -> str:
        return f"SignedIn({self.principal.name!r})"


class Sessions:
    """The sessions of people. They outlive the process."""

    def __init__(self, store: Store, passwords: Passwords, clock: Clock, *, hours: float) -> None:
        """`hours`: how long a session is good for, whatever is done in it."""
        self._store = store
        self._passwords = passwords
        self._clock = clock
        self._length = timedelta(hours=hours)
        self._throttle = Throttle()

    async def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """Check a password and begin a session. Raises Throttled, Unauthenticated, StoreUnavailable.

        The error does not tell, and its time neither, whether the name, the password or the user's state was the reason.
        """
        user = await self._checked(name, password, address)
        return await self._begin(await self._noted(user, password), address)

    async def sign_out(self, session: Session) -> None:
        """End a session; nothing when it has ended already."""
        await self._store.remove_session(session.token_hash)

    async def find(self, token: str) -> Principal:
        """Whose session it is. Raises Unauthenticated, StoreUnavailable."""
        session = await self._store.session(hashed(token))
        now = self._clock.now()
        if session is None or session.expires_at <= now:
            raise Unauthenticated(_NOT_SIGNED_IN)
        user = await self._store.user(session.user)
        if user is None or user.disabled:
            raise Unauthenticated(_NOT_SIGNED_IN)
        if (now - session.seen_at).total_seconds() > _TOUCH_SECONDS:
            await self._store.touch_session(session.token_hash, now)
        return _principal(user, replace(session, csrf=csrf_of(token)))

    async def change_password(self, people: People, session: Session, old: str, new: str) -> SignedIn:
        """Let the user of a session choose another password; all sessions end and another begins. Raises as `sign_in`.

        WeakPassword, too. Who found an open session tries passwords as slowly as anybody.
        """
        user = await self._checked(session.user, old, session.address)
        if old == new:
            raise WeakPassword("the new password must be another one")
        user = await people.set_password(user.name, new)
        await self._store.remove_sessions_of(user.name)
        return await self._begin(user, session.address)

    async def prune(self) -> None:
        """Forget the sessions that have expired."""
        await self._store.prune_sessions(self._clock.now())

    async def _checked(self, name: str, password: str, address: str) -> User:
        if (seconds := self._throttle.attempt(name, address, self._clock.monotonic())) > 0:
            raise Throttled(seconds)
        try:
            user = await self._store.user(name)
            matches = await self._passwords.matches(password, user.password if user else None)
        except (StoreUnavailable, Throttled):
            self._throttle.pay_back(name, address)
            raise
        if user is None or not matches or user.disabled:
            raise Unauthenticated(_WRONG)
        self._throttle.succeeded(name, address)
        return user

    async def _check_still(self, user: User, session: Session) -> None:
        """Who has lost his password or his place while it was being checked has no session; others end theirs only once."""
        now = await self._store.user(user.name)
        if now is None or now.disabled or now.password != user.password:
            await self._store.remove_session(session.token_hash)
            raise Unauthenticated(_WRONG)

    async def _noted(self, user: User, password: str) -> User:
        again = await self._passwords.hashed(password) if self._passwords.outdated(user.password) else None
        noted = replace(user, last_login=self._clock.now(), password=again or user.password)
        await self._store.change_user(noted, user)
        return noted

    async def _begin(self, user: User, address: str) -> SignedIn:
        token, now = new_token(), self._clock.now()
        session = Session(hashed(token), user.name, "", now, now + self._length, now, address)
        await self._store.add_session(session, most=_MOST_PER_USER)
        await self._check_still(user, session)
        return SignedIn(token, _principal(user, replace(session, csrf=csrf_of(token))))


def _principal(user: User, session: Session) -> Principal:
    return Principal(user.name, "user", user.role, (), session, user.must_change)
