"""What every store does with users, sessions and keys."""

from dataclasses import replace
from datetime import timedelta

import pytest

from marchproxy.model.identity import Role
from marchproxy.model.problem import Refused
from marchproxy.store import Store
from tests.store_suite.place import NOW, key, session, user


class IdentitySuite:
    async def test_users(self, store: Store):
        ada, bob = user(), user("bob", Role.ADMIN, disabled=True, must_change=True)
        await store.add_user(bob)
        await store.add_user(ada)
        assert await store.users() == (ada, bob)
        assert await store.user("bob") == bob
        assert await store.user("eve") is None

        changed = replace(
            ada, role=Role.VIEWER, password="other", last_login=NOW, created_at=NOW + timedelta(1)
        )
        await store.change_user(changed, replace(ada, created_at=changed.created_at))
        assert await store.user("ada") == replace(changed, created_at=NOW)

        disabled = replace(ada, disabled=True)  # by somebody who has not seen the other change
        await store.change_user(disabled, ada)
        assert await store.user("ada") == replace(changed, created_at=NOW, disabled=True)

        await store.remove_user("ada")
        assert await store.users() == (bob,)

    async def test_users_who_are_there_or_not(self, store: Store):
        await store.add_user(user())
        with pytest.raises(Refused, match="ada exists already"):
            await store.add_user(user())
        with pytest.raises(Refused, match="eve does not exist"):
            await store.change_user(user("eve"), user("eve"))
        with pytest.raises(Refused, match="eve does not exist"):
            await store.remove_user("eve")

    async def test_sessions(self, store: Store):
        await store.add_user(user())
        one = session("one")
        await store.add_session(one)
        assert await store.session("one") == one
        assert await store.session("two") is None
        later = NOW + timedelta(minutes=5)
        await store.touch_session("one", later)
        assert await store.session("one") == replace(one, seen_at=later)
        await store.remove_session("one")
        await store.remove_session("one")
        await store.touch_session("one", later)
        assert await store.session("one") is None

    async def test_sessions_go_with_time_and_by_their_user(self, store: Store):
        for name in ("ada", "bob"):
            await store.add_user(user(name))
        for token, of, hours in (("a", "ada", 1), ("b", "ada", 3), ("c", "ada", 4), ("d", "bob", 5)):
            await store.add_session(session(token, of, hours))
        assert await store.prune_sessions(NOW + timedelta(hours=1)) == 1
        assert await self._there(store) == "bcd"
        await store.remove_sessions_of("ada", but="c")
        assert await self._there(store) == "cd"
        await store.remove_sessions_of("ada")
        assert await self._there(store) == "d"

    async def test_of_too_many_sessions_the_oldest_end(self, store: Store):
        for name in ("ada", "bob"):
            await store.add_user(user(name))
        for number, token in enumerate("bcda"):
            started = NOW + timedelta(minutes=number)
            one = replace(session(token, "bob" if token == "b" else "ada"), created_at=started)
            await store.add_session(one, most=2)
        assert await self._there(store) == "abd"

    async def test_a_session_needs_its_user(self, store: Store):
        with pytest.raises(Refused, match="eve does not exist"):
            await store.add_session(session("one", "eve"))

    async def test_keys(self, store: Store):
        first, second = key(1), key(2, "bob", expires_at=NOW)
        await store.add_key(second)
        await store.add_key(first)
        assert await store.keys() == (first, second)
        assert await store.key_by_hash("hash-2") == second
        assert await store.key_by_hash("hash-3") is None
        await store.touch_key("key-1", NOW)
        await store.touch_key("key-3", NOW)
        assert await store.key_by_hash("hash-1") == replace(first, last_used=NOW)
        await store.remove_key("key-1")
        assert await store.keys() == (second,)

    @pytest.mark.parametrize("twin", [replace(key(2), id="key-1"), replace(key(2), hash="hash-1")])
    async def test_keys_that_are_there_or_not(self, store: Store, twin):
        await store.add_key(key(1))
        with pytest.raises(Refused, match="exists already"):
            await store.add_key(twin)
        with pytest.raises(Refused, match="key-9 does not exist"):
            await store.remove_key("key-9")

    async def test_what_a_user_had_goes_too(self, store: Store):
        for name in ("ada", "bob"):
            await store.add_user(user(name))
        await store.add_session(session("a", "ada"))
        await store.add_session(session("b", "bob"))
        await store.add_key(key(1, "ada"))
        await store.add_key(key(2, "bob"))
        await store.remove_user("ada")
        assert await self._there(store) == "b"
        assert await store.keys() == (key(2, "bob"),)

    @staticmethod
    async def _there(store: Store) -> str:
        return "".join([token for token in "abcd" if await store.session(token) is not None])
