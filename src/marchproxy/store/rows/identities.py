"""Users, sessions and keys as rows."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from marchproxy.model.identity import ApiKey, Role, Session, User
from marchproxy.model.problem import RefusalCode
from marchproxy.store.rows.base import Rows, found, refusing
from marchproxy.store.store import IdentityStore
from marchproxy.store.tables import keys, sessions, users


class IdentityRows(Rows, IdentityStore):
    """See `IdentityStore`."""

    async def users(self) -> tuple[User, ...]:
        async with self._database.reading() as connection:
            return tuple(
                _to_user(row) for row in await connection.execute(select(users).order_by(users.c.name))
            )

    async def user(self, name: str) -> User | None:
        async with self._database.reading() as connection:
            row = (await connection.execute(select(users).where(users.c.name == name))).one_or_none()
        return None if row is None else _to_user(row)

    async def add_user(self, user: User) -> None:
        with refusing(RefusalCode.ALREADY_EXISTS, f"user {user.name} exists already"):
            async with self._database.writing("users") as connection:
                await connection.execute(insert(users).values(**_of_user(user)))

    async def change_user(self, user: User, before: User) -> None:
        old = _of_user(before)
        values = {name: value for name, value in _of_user(user).items() if value != old[name]}
        values["name"] = user.name  # also where nothing differs it is told whether there is one
        async with self._database.writing("users") as connection:
            result = await connection.execute(update(users).where(users.c.name == user.name).values(values))
            found(result, f"user {user.name}")

    async def remove_user(self, name: str) -> None:
        async with self._database.writing("users", "keys") as connection:
            await connection.execute(delete(keys).where(keys.c.owner == name))
            found(await connection.execute(delete(users).where(users.c.name == name)), f"user {name}")

    async def add_session(self, session: Session, *, most: int = 100) -> None:
        values = asdict(session)
        values["user_name"] = values.pop("user")
        of_user = sessions.c.user_name == session.user
        newest = select(sessions.c.token_hash).where(of_user).order_by(sessions.c.created_at.desc())
        too_many = sessions.c.token_hash.not_in(newest.limit(most - 1))
        with refusing(RefusalCode.NOT_FOUND, f"user {session.user} does not exist"):
            async with self._database.writing() as connection:
                await connection.execute(delete(sessions).where(of_user, too_many))
                await connection.execute(insert(sessions).values(**values))

    async def session(self, token_hash: str) -> Session | None:
        query = select(sessions).where(sessions.c.token_hash == token_hash)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _to_session(row)

    async def touch_session(self, token_hash: str, seen_at: datetime) -> None:
        change = update(sessions).where(sessions.c.token_hash == token_hash).values(seen_at=seen_at)
        async with self._database.writing() as connection:
            await connection.execute(change)

    async def remove_session(self, token_hash: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash))

    async def remove_sessions_of(self, user: str, *, but: str = "") -> None:
        which = (sessions.c.user_name == user, sessions.c.token_hash != but)
        async with self._database.writing() as connection:
            await connection.execute(delete(sessions).where(*which))

    async def prune_sessions(self, now: datetime) -> int:
        async with self._database.writing() as connection:
            return (await connection.execute(delete(sessions).where(sessions.c.expires_at <= now))).rowcount

    async def add_key(self, key: ApiKey) -> None:
        with refusing(RefusalCode.ALREADY_EXISTS, f"key {key.id} exists already"):
            async with self._database.writing("keys") as connection:
                await connection.execute(insert(keys).values(**{**asdict(key), "role": key.role.value}))

    async def keys(self) -> tuple[ApiKey, ...]:
        query = select(keys).order_by(keys.c.created_at, keys.c.id)
        async with self._database.reading() as connection:
            return tuple(_to_key(row) for row in await connection.execute(query))

    async def key_by_hash(self, key_hash: str) -> ApiKey | None:
        async with self._database.reading() as connection:
            row = (await connection.execute(select(keys).where(keys.c.hash == key_hash))).one_or_none()
        return None if row is None else _to_key(row)

    async def touch_key(self, key_id: str, last_used: datetime) -> None:
        async with self._database.writing() as connection:
            await connection.execute(update(keys).where(keys.c.id == key_id).values(last_used=last_used))

    async def remove_key(self, key_id: str) -> None:
        async with self._database.writing("keys") as connection:
            found(await connection.execute(delete(keys).where(keys.c.id == key_id)), f"key {key_id}")


def _of_user(user: User) -> dict[str, Any]:
    return {**asdict(user), "role": user.role.value}


def _to_user(row: Row[*tuple[Any, ...]]) -> User:
    return User(**{**row._mapping, "role": Role(row.role)})  # noqa: SLF001 - public, its name avoids columns'


def _to_session(row: Row[*tuple[Any, ...]]) -> Session:
    values = dict(row._mapping)  # noqa: SLF001 - see above
    return Session(user=values.pop("user_name"), **values)


def _to_key(row: Row[*tuple[Any, ...]]) -> ApiKey:
    return ApiKey(**{**row._mapping, "role": Role(row.role)})  # noqa: SLF001 - see above
