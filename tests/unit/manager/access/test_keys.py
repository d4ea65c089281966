"""API keys, against a real store; time is the test's."""

from dataclasses import replace
from datetime import timedelta

import pytest

from marchproxy.manager.access import Unauthenticated
from marchproxy.model.identity import Principal, Role
from marchproxy.model.problem import InvalidValue, Refused


async def test_a_key_may_no_more_than_its_owner_may_now(access, signed_in):
    session = await signed_in(access, "ann")
    key, secret = await access.keys.make(session.principal, "ci", Role.OPERATOR, scopes=("state:read",))
    assert await access.who(bearer=secret) == Principal(
        "ann/ci", "key", Role.OPERATOR, ("state:read",), key_id=key.id
    )
    await access.users.change("ann", role=Role.VIEWER)
    assert (await access.who(bearer=secret)).role is Role.VIEWER
    await access.users.change("ann", disabled=True)
    with pytest.raises(Unauthenticated):
        await access.who(bearer=secret)


async def test_a_key_expires(access, clock, signed_in):
    session = await signed_in(access)
    later = clock.now() + timedelta(hours=1)
    _, secret = await access.keys.make(session.principal, "ci", Role.VIEWER, expires_at=later)
    assert (await access.who(bearer=secret)).name == "admin/ci"
    clock.advance(3600)
    with pytest.raises(Unauthenticated):
        await access.who(bearer=secret)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"role": Role.ADMIN}, "role"),
        ({"scopes": ("users:write",)}, "scopes"),
        ({"owner": "nobody"}, "owner"),
    ],
)
async def test_keys_that_cannot_be_made(access, options, path, signed_in):
    session = await signed_in(access, "ann")
    name, role = options.pop("name", "ci"), options.pop("role", Role.OPERATOR)
    who = replace(session.principal, role=Role.ADMIN) if "owner" in options else session.principal
    with pytest.raises(InvalidValue) as caught:
        await access.keys.make(who, name, role, **options)
    assert [problem.path for problem in caught.value.problems] == [path]


async def test_a_key_cannot_make_one_that_may_more(access, signed_in):
    session = await signed_in(access, "ann")
    confined = replace(session.principal, scopes=("keys:write", "state:read"))
    with pytest.raises(InvalidValue, match="scopes"):
        await access.keys.make(confined, "wider", Role.OPERATOR)
    await access.keys.make(confined, "as wide", Role.OPERATOR, scopes=("state:read",))


async def test_people_see_and_end_their_own_keys(access, signed_in):
    ann, admin = await signed_in(access, "ann"), await signed_in(access)
    key, _ = await access.keys.make(ann.principal, "hers", Role.VIEWER)
    other, _ = await access.keys.make(admin.principal, "his", Role.VIEWER)
    assert [one.id for one in await access.keys.seen_by(ann.principal)] == [key.id]
    assert {one.id for one in await access.keys.seen_by(admin.principal)} == {key.id, other.id}
    with pytest.raises(Refused, match=other.id):
        await access.keys.remove(ann.principal, other.id)
    await access.keys.remove(admin.principal, key.id)
    assert await access.keys.seen_by(ann.principal) == ()


async def test_a_key_ends_itself_and_no_other(access, signed_in):
    ann = await signed_in(access, "ann")
    key, secret = await access.keys.make(ann.principal, "laptop", Role.OPERATOR)
    other, _ = await access.keys.make(ann.principal, "ci", Role.OPERATOR)
    shown = await access.who(bearer=secret)
    assert [one.id for one in await access.keys.seen_by(shown)] == [key.id]
    with pytest.raises(Refused, match=other.id):
        await access.keys.remove(shown, other.id)
    await access.keys.remove(shown, key.id)
    with pytest.raises(Unauthenticated):
        await access.who(bearer=secret)
