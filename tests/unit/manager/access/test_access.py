"""Who gets in, against a real store; time is the test's."""

import asyncio

import pytest

from marchproxy.manager.access import Access, Throttled, Unauthenticated, WeakPassword
from marchproxy.manager.access.throttle import PAIR
from marchproxy.model.identity import Principal, Role
from marchproxy.model.problem import InvalidValue, RefusalCode, Refused
from marchproxy.store import StoreUnavailable

HERE = "192.0.2.1"
GOOD = "correct horse battery"


async def outcomes(store) -> list[tuple[str, str, str]]:
    return [(entry.action, entry.who, entry.outcome) for entry in reversed(await store.audit())]


async def test_the_first_admin_must_choose_a_password_and_the_file_goes(access, initial_password):
    file = access.users.initial_password_file
    assert file.stat().st_mode & 0o777 == 0o600
    first = await access.sign_in("admin", initial_password(access), HERE)
    assert (first.principal.role, first.principal.must_change) == (Role.ADMIN, True)
    second = await access.change_password(first.principal, initial_password(access), GOOD)
    assert not second.principal.must_change
    assert not file.exists()
    with pytest.raises(Unauthenticated):
        await access.who(cookie=first.token)  # other sessions have ended
    assert (await access.who(cookie=second.token)).name == "admin"


async def test_there_is_one_first_admin(access, initial_password):
    before = initial_password(access)
    assert not await access.users.ensure_first()
    assert initial_password(access) == before


async def test_of_two_managers_that_start_at_once_one_makes_the_first_admin(
    store, clock, tmp_path, initial_password
):
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    managers = [Access(store, clock, folder) for folder in folders]
    async with asyncio.TaskGroup() as group:
        made = [group.create_task(manager.users.ensure_first()) for manager in managers]
    assert sorted(task.result() for task in made) == [False, True]
    (told,) = [manager for manager in managers if manager.users.initial_password_file.exists()]
    (other,) = [manager for manager in managers if manager is not told]
    first = await other.sign_in("admin", initial_password(told), HERE)
    await told.prune()
    assert initial_password(told)
    await other.change_password(first.principal, initial_password(told), GOOD)
    await told.prune()
    assert not told.users.initial_password_file.exists()


async def test_a_first_password_whose_user_is_being_made_stays(store, clock, tmp_path):
    access = Access(store, clock, tmp_path)
    access.users.initial_password_file.write_text("made a moment ago")
    await access.prune()
    assert access.users.initial_password_file.exists()


async def test_what_has_expired_is_forgotten(access, store, clock, signed_in):
    session = await signed_in(access)
    clock.advance(12 * 3600 + 1)
    assert await store.session(session.principal.session.token_hash) is not None
    await access.prune()
    assert await store.session(session.principal.session.token_hash) is None


@pytest.mark.parametrize(("name", "password"), [("admin", "wrong password"), ("nobody", GOOD), ("", "")])
async def test_an_error_does_not_say_what_was_wrong(access, store, name, password):
    with pytest.raises(Unauthenticated, match=r"^the name or the password is not right$"):
        await access.sign_in(name, password, HERE)
    (entry,) = await store.audit()
    assert (entry.who, entry.outcome) == ("admin" if name == "admin" else "-", "denied")


async def test_a_user_who_is_disabled_is_out_at_once(access, signed_in):
    session = await signed_in(access, "ann")
    await access.users.change("ann", disabled=True)
    with pytest.raises(Unauthenticated):
        await access.who(cookie=session.token)
    with pytest.raises(Unauthenticated, match="not right"):
        await access.sign_in("ann", GOOD, HERE)


async def test_who_guesses_waits_and_waiting_is_no_entry(access, store, clock, initial_password):
    for _ in range(PAIR.free):
        with pytest.raises(Unauthenticated):
            await access.sign_in("admin", "wrong password", HERE)
    for _ in range(3):
        with pytest.raises(Throttled) as caught:
            await access.sign_in("admin", initial_password(access), HERE)
    assert caught.value.seconds == 1.0
    assert len(await store.audit()) == PAIR.free
    clock.advance(1.0)
    assert await access.sign_in("admin", initial_password(access), HERE)


async def test_a_session_ends_when_its_time_is_over(access, clock, signed_in):
    session = await signed_in(access)
    clock.advance(12 * 3600 - 1)
    assert (await access.who(cookie=session.token)).name == "admin"
    clock.advance(1)
    with pytest.raises(Unauthenticated):
        await access.who(cookie=session.token)


async def test_signing_out_ends_one_session(access, signed_in):
    one = await signed_in(access)
    other = await access.sign_in("admin", GOOD, HERE)
    await access.sign_out(one.principal)
    with pytest.raises(Unauthenticated):
        await access.who(cookie=one.token)
    assert (await access.who(cookie=other.token)).name == "admin"


@pytest.mark.parametrize("moment", ["change_user", "add_session"])
@pytest.mark.parametrize("change", ["disable", "demote", "reset", "remove"])
async def test_what_is_changed_while_a_password_is_checked_counts(
    access, store, signed_in, change, moment, monkeypatch
):
    await signed_in(access)
    await signed_in(access, "ada", GOOD)
    changes = {
        "disable": lambda: access.users.change("ada", disabled=True),
        "demote": lambda: access.users.change("ada", role=Role.VIEWER),
        "reset": lambda: access.users.reset_password("ada"),
        "remove": lambda: access.users.remove("ada"),
    }
    does = getattr(store, moment)

    async def late(*args, **options):
        monkeypatch.undo()
        await changes[change]()
        await does(*args, **options)

    monkeypatch.setattr(store, moment, late)
    if change == "demote":
        signed = await access.sign_in("ada", GOOD, HERE)
        assert (await access.who(cookie=signed.token)).role is Role.VIEWER
        return
    with pytest.raises((Unauthenticated, Refused)):
        await access.sign_in("ada", GOOD, HERE)
    left = await store.user("ada")
    assert left is None or left.disabled or left.must_change


async def test_a_change_of_role_counts_in_open_sessions(access, signed_in):
    session = await signed_in(access, "ann")
    await access.users.change("ann", role=Role.VIEWER)
    assert (await access.who(cookie=session.token)).role is Role.VIEWER


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("wrong password", "another password", Unauthenticated),
        (GOOD, "short", WeakPassword),
        (GOOD, GOOD, WeakPassword),
    ],
)
async def test_a_password_that_is_not_changed(access, store, old, new, error, signed_in):
    session = await signed_in(access)
    with pytest.raises(error):
        await access.change_password(session.principal, old, new)
    assert (await access.who(cookie=session.token)).name == "admin"
    assert (await outcomes(store))[-1][0] == "session.password"
    assert (await outcomes(store))[-1][2] in {"denied", "refused"}


async def test_nothing_that_lets_anybody_in_is_kept(access, store, tmp_path, signed_in):
    session = await signed_in(access)
    key, secret = await access.keys.make(session.principal, "ci", Role.VIEWER)
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("manager.db*"))
    assert key.hash.encode() in kept
    for told in (GOOD, session.token, session.principal.session.csrf, secret, access.local._key):
        assert told.encode() not in kept
    assert session.token not in repr(session)


async def test_the_last_admin_stays(access):
    for attempt in (
        access.users.remove("admin"),
        access.users.change("admin", role=Role.VIEWER),
        access.users.change("admin", disabled=True),
    ):
        with pytest.raises(Refused, match="last admin"):
            await attempt
    await access.users.add("bob", Role.ADMIN)
    await access.users.remove("admin")
    assert [user.name for user in await access.users.all()] == ["bob"]
    assert not access.users.initial_password_file.exists()


async def test_a_reset_password_ends_sessions_and_must_be_changed(access, signed_in):
    session = await signed_in(access, "ann")
    given = await access.users.reset_password("ann")
    with pytest.raises(Unauthenticated):
        await access.who(cookie=session.token)
    assert (await access.sign_in("ann", given, HERE)).principal.must_change


@pytest.mark.parametrize("name", ["", "local", "System", "a b", "-a", "a" * 64, "ä"])
async def test_names_that_no_user_has(access, name):
    with pytest.raises(InvalidValue, match=r"^name: "):
        await access.users.add(name, Role.VIEWER)


async def test_the_local_key_opens_everything_until_the_next_start(access, tmp_path):
    shown = (tmp_path / "local.key").read_text().strip()
    assert (tmp_path / "local.key").stat().st_mode & 0o777 == 0o600
    assert await access.who(bearer=shown) == Principal("local", "local", Role.ADMIN)
    for other in (shown[:-1], "mpl_", "", "mp_unknown"):
        with pytest.raises(Unauthenticated):
            await access.who(bearer=other)


async def test_an_attempt_is_on_record_however_it_ends(access, store):
    who = Principal("ann", "key", Role.OPERATOR)
    async with access.audited(who, "routes.update", "routes/shop", address=HERE) as noted:
        noted.detail = "revision 7"
    with pytest.raises(Refused):
        async with access.audited(who, "routes.delete", "routes/shop"):
            await access.users.get("nobody")
    with pytest.raises(Unauthenticated):
        async with access.audited(who, "users.create", "users/x"):
            await access.who()
    entries = await store.audit()
    assert [(one.action, one.outcome, one.detail) for one in reversed(entries)] == [
        ("routes.update", "done", "revision 7"),
        ("routes.delete", "refused", 'no user "nobody"'),
        ("users.create", "denied", "sign in, or show an API key as `Authorization: Bearer mp_…`"),
    ]
    assert (entries[-1].who, entries[-1].how, entries[-1].address) == ("ann", "key", HERE)


async def test_what_a_refusal_quotes_is_kept_without_its_password(access, store):
    words = 'endpoints[0]: "http://u:hush@h:1" is a URL; see https://marchproxy.dev or a@b'
    with pytest.raises(Refused):
        async with access.audited(Principal("ann", "key", Role.OPERATOR), "pools.update", "pools/x"):
            raise Refused(RefusalCode.INVALID_ARGUMENT, words)
    (entry,) = await store.audit()
    assert entry.detail == words.replace("u:hush", "***")


async def test_what_was_done_stays_done_where_it_cannot_be_written_down(access, store, monkeypatch):
    async def away(_entry):
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(store, "write_audit", away)
    async with access.audited(Principal("ann", "key", Role.OPERATOR), "routes.update", "routes/shop"):
        pass
