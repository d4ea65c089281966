from dataclasses import replace
from datetime import UTC, datetime

import pytest

from marchproxy.manager.access.errors import Denied, PasswordChangeNeeded
from marchproxy.manager.access.roles import SCOPES, check_scopes, require
from marchproxy.model.identity import Principal, Role, Session

AT = datetime(2030, 1, 1, tzinfo=UTC)
SESSION = Session("hash", "ann", "csrf", AT, AT, AT, "192.0.2.1")
PERSON = Principal("ann", "user", Role.VIEWER, (), SESSION)
LEAST = {
    "state:read": "viewer",
    "state:write": "operator",
    "live:read": "viewer",
    "live:operate": "operator",
    "certificates:read": "viewer",
    "certificates:write": "admin",
    "users:read": "admin",
    "users:write": "admin",
    "keys:read": "viewer",
    "keys:write": "viewer",
    "audit:read": "operator",
    "session": "viewer",
}


def test_the_table():
    assert {scope: role.value for scope, role in SCOPES.items()} == LEAST


@pytest.mark.parametrize("scope", LEAST)
@pytest.mark.parametrize("role", list(Role))
def test_a_role_opens_what_it_covers(scope, role):
    person = replace(PERSON, role=role)
    if role >= SCOPES[scope]:
        require(person, Role.VIEWER, scope)
    else:
        with pytest.raises(Denied, match=LEAST[scope]):
            require(person, Role.VIEWER, scope)


def test_a_caller_may_ask_for_more_than_the_table_does():
    with pytest.raises(Denied, match="admin"):
        require(PERSON, Role.ADMIN, "state:read")


def test_who_must_change_a_password_can_do_nothing_else():
    person = replace(PERSON, role=Role.ADMIN, must_change=True)
    require(person, Role.VIEWER, "session")
    for scope in LEAST.keys() - {"session"}:
        with pytest.raises(PasswordChangeNeeded):
            require(person, Role.VIEWER, scope)


def test_a_key_is_confined_to_its_scopes_and_has_no_session():
    key = Principal("ci", "key", Role.ADMIN, ("state:read",))
    require(key, Role.VIEWER, "state:read")
    with pytest.raises(Denied, match="scope live:read"):
        require(key, Role.VIEWER, "live:read")
    with pytest.raises(Denied, match="signed in"):
        require(replace(key, scopes=()), Role.VIEWER, "session")


@pytest.mark.parametrize(
    ("scopes", "role", "fault"),
    [
        ((), Role.VIEWER, None),
        (("state:read", "state:write"), Role.OPERATOR, None),
        (("state:write",), Role.VIEWER, "takes the role operator"),
        (("everything",), Role.ADMIN, 'no scope "everything"'),
        (("session",), Role.ADMIN, 'no scope "session"'),
    ],
)
def test_which_scopes_a_key_may_have(scopes, role, fault):
    if fault is None:
        check_scopes(scopes, role)
    else:
        with pytest.raises(ValueError, match=fault):
            check_scopes(scopes, role)
