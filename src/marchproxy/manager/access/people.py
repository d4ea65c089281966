"""People: the users, who is first, and the rules that keep somebody able to let others in."""

import re
from dataclasses import replace
from pathlib import Path

from marchproxy.kit.clock import Clock
from marchproxy.kit.files import write_atomically
from marchproxy.manager.access.passwords import Passwords, check_password, one_time_password
from marchproxy.manager.places import FIRST_USER, INITIAL_PASSWORD
from marchproxy.model.identity import Role, User
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.store import Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_RESERVED = frozenset({"local", "system", "file", "rollout"})


class People:
    """Users, as admins change them. Raises Refused, InvalidValue and StoreUnavailable."""

    def __init__(self, store: Store, passwords: Passwords, clock: Clock, directory: Path) -> None:
        self._store = store
        self._passwords = passwords
        self._clock = clock
        self.initial_password_file = directory / INITIAL_PASSWORD

    async def ensure_first(self) -> bool:
        """Make the first admin where nobody is, with a password in a file that only its owner reads; whether it did.

        The file comes first: a crash in between leaves no user whose password nobody knows.
        """
        if await self._store.users():
            return False
        password = one_time_password()
        write_atomically(self.initial_password_file, password.encode() + b"\n")
        user = User(FIRST_USER, Role.ADMIN, await self._passwords.hashed(password), self._clock.now())
        try:
            await self._store.add_user(replace(user, must_change=True))
        except Refused:  # another manager of the same database was quicker
            self.initial_password_file.unlink(missing_ok=True)
            return False
        return True

    async def forget_initial(self) -> None:
        """Remove the file with the first password where that is no good any more: changed at another manager, say."""
        if self.initial_password_file.exists() and (users := await self._store.users()):
            first = next((user for user in users if user.name == FIRST_USER), None)
            if (
                first is None or not first.must_change
            ):  # where nobody is yet, the first one is just being made
                self._forget_initial(FIRST_USER)

    async def all(self) -> tuple[User, ...]:
        """Every user, by name."""
        return await self._store.users()

    async def get(self, name: str) -> User:
        """One user."""
        user = await self._store.user(name)
        if user is None:
            raise Refused(RefusalCode.NOT_FOUND, f'no user "{name}"')
        return user

    async def add(self, name: str, role: Role, password: str | None = None) -> tuple[User, str]:
        """Add a user; the password must be changed at the first login. None given: one is made, and returned."""
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            words = 'letters, digits, ".", "_", "@" and "-", at most 63, and none of '
            raise InvalidValue([Problem("name", words + ", ".join(sorted(_RESERVED)))])
        given = password or one_time_password()
        user = User(name, role, await self._hashed(given, name), self._clock.now(), must_change=True)
        await self._store.add_user(user)
        return user, given

    async def change(self, name: str, *, role: Role | None = None, disabled: bool | None = None) -> User:
        """Change what a user may do; a user who is disabled is signed out."""
        user = await self.get(name)
        changed = replace(
            user,
            role=user.role if role is None else role,
            disabled=user.disabled if disabled is None else disabled,
        )
        await self._check_admins(user, changed)
        await self._store.change_user(changed, user)
        if changed.disabled:
            await self._store.remove_sessions_of(name)
        return changed

    async def reset_password(self, name: str, password: str | None = None) -> str:
        """Give a user another password, which must be changed, and end all sessions; the password."""
        user = await self.get(name)
        given = password or one_time_password()
        changed = replace(user, password=await self._hashed(given, name), must_change=True)
        await self._store.change_user(changed, user)
        await self._store.remove_sessions_of(name)
        self._forget_initial(name)
        return given

    async def set_password(self, name: str, password: str) -> User:
        """Give a user the password that he chose."""
        user = await self.get(name)
        changed = replace(user, password=await self._hashed(password, name), must_change=False)
        await self._store.change_user(changed, user)
        self._forget_initial(name)
        return changed

    async def remove(self, name: str) -> None:
        """Remove a user, with sessions and keys."""
        await self._check_admins(await self.get(name), None)
        await self._store.remove_user(name)
        self._forget_initial(name)

    async def _hashed(self, password: str, name: str) -> str:
        check_password(password, name)
        return await self._passwords.hashed(password)

    async def _check_admins(self, before: User, after: User | None) -> None:
        """Refuse what would leave nobody who may change users."""
        if not _manages(before) or (after is not None and _manages(after)):
            return
        if not any(_manages(user) for user in await self._store.users() if user.name != before.name):
            words = f'"{before.name}" is the last admin; make another one first'
            raise Refused(RefusalCode.INVALID_ARGUMENT, words)

    def _forget_initial(self, name: str) -> None:
        if name == FIRST_USER:
            self.initial_password_file.unlink(missing_ok=True)


def _manages(user: User) -> bool:
    return user.role is Role.ADMIN and not user.disabled
