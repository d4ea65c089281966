"""Keys: what programs show in place of a password. A key is told once, when it is made; after that nobody knows it."""

import secrets
from datetime import datetime

from marchproxy.kit.clock import Clock
from marchproxy.manager.access.errors import Denied, Unauthenticated
from marchproxy.manager.access.roles import check_scopes
from marchproxy.manager.access.tokens import hashed, new_key
from marchproxy.model.identity import ApiKey, Principal, Role
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.store import Store

_TOUCH_SECONDS = 60.0
_LONGEST_NAME = 100
_MOST_PER_USER = 100
_NOT_GOOD = "the API key is not known, has expired, or belongs to nobody who may sign in"


class Keys:
    """API keys. One may never more than who made it may now. Raises StoreUnavailable besides what is named."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def seen_by(self, principal: Principal) -> tuple[ApiKey, ...]:
        """The keys a principal may know of: his own; all, for an admin."""
        keys = await self._store.keys()
        return tuple(key for key in keys if _concerns(key, principal))

    async def make(
        self,
        principal: Principal,
        name: str,
        role: Role,
        *,
        scopes: tuple[str, ...] = (),
        expires_at: datetime | None = None,
        owner: str | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key that belongs to a person: to the principal, or, where an admin says so, to `owner`.

        Returns it with the text that is shown once. Raises InvalidValue with every fault, Denied and Refused.
        """
        self._check(principal, name, role, scopes, expires_at)
        whose = owner or principal.name
        if whose != principal.name and principal.role is not Role.ADMIN:
            raise Denied("only an admin makes keys for others")
        if await self._store.user(whose) is None:
            raise InvalidValue([Problem("owner", f'no user "{whose}"; a key belongs to a user')])
        if sum(key.owner == whose for key in await self._store.keys()) >= _MOST_PER_USER:
            words = f"{whose} has {_MOST_PER_USER} keys; remove some first"
            raise Refused(RefusalCode.RESOURCE_EXHAUSTED, words)
        secret = new_key()
        key_id = "key-" + secrets.token_hex(6)
        key = ApiKey(key_id, name, hashed(secret), role, scopes, whose, self._clock.now(), expires_at)
        await self._store.add_key(key)
        return key, secret

    async def remove(self, principal: Principal, key_id: str) -> None:
        """End a key. Raises Refused where the principal has none of that id."""
        if not any(key.id == key_id for key in await self.seen_by(principal)):
            raise Refused(RefusalCode.NOT_FOUND, f'no API key "{key_id}"')
        await self._store.remove_key(key_id)

    async def find(self, secret: str) -> Principal:
        """Whose key it is, with what both it and its owner may. Raises Unauthenticated."""
        key, now = await self._store.key_by_hash(hashed(secret)), self._clock.now()
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            raise Unauthenticated(_NOT_GOOD)
        owner = await self._store.user(key.owner)
        if owner is None or owner.disabled:
            raise Unauthenticated(_NOT_GOOD)
        if key.last_used is None or (now - key.last_used).total_seconds() > _TOUCH_SECONDS:
            await self._store.touch_key(key.id, now)
        # the owner's name is no choice of whoever made the key, who could else call it like somebody else
        name = f"{key.owner}/{key.name}"
        return Principal(name, "key", min(key.role, owner.role), key.scopes, key_id=key.id)

    def _check(
        self,
        principal: Principal,
        name: str,
        role: Role,
        scopes: tuple[str, ...],
        expires_at: datetime | None,
    ) -> None:
        problems = []
        if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
            problems.append(Problem("name", f"1 to {_LONGEST_NAME} printable characters"))
        if role > principal.role:
            problems.append(Problem("role", f"a key may not more than you do: {principal.role.value}"))
        if principal.scopes and (not scopes or not set(scopes) <= set(principal.scopes)):
            problems.append(Problem("scopes", f"some of {', '.join(principal.scopes)}, which this key has"))
        if expires_at is not None and (expires_at.tzinfo is None or expires_at <= self._clock.now()):
            problems.append(Problem("expires_at", "a time to come, with its zone"))
        try:
            check_scopes(scopes, role)
        except ValueError as error:
            problems.append(Problem("scopes", str(error)))
        if problems:
            raise InvalidValue(problems)


def _concerns(key: ApiKey, principal: Principal) -> bool:
    if principal.kind == "key" and key.id == principal.key_id:
        return True  # whoever shows a key may end it
    return principal.role is Role.ADMIN or (principal.kind == "user" and key.owner == principal.name)
