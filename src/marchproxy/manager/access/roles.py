"""Roles and scopes: who may do what. Pure; ADR 44 has the table in words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from marchproxy.manager.access.errors import Denied, PasswordChangeNeeded
from marchproxy.model.identity import Principal, Role

Scope: TypeAlias = Literal[
    "state:read",
    "state:write",
    "live:read",
    "live:operate",
    "certificates:read",
    "certificates:write",
    "users:read",
    "users:write",
    "keys:read",
    "keys:write",
    "audit:read",
    "session",
]
"""What an API key can be confined to. `session` is one's own session and password, which no key has."""

SCOPES: Mapping[Scope, Role] = MappingProxyType(
    {
        "state:read": Role.VIEWER,  # the desired state and its revisions, without secrets
        "state:write": Role.OPERATOR,  # proposals, applied or as a dry run
        "live:read": Role.VIEWER,  # modules, instances, metrics, events, explain
        "live:operate": Role.OPERATOR,  # weights, rollouts, drains, instances
        "certificates:read": Role.VIEWER,  # what they say, never a key
        "certificates:write": Role.ADMIN,
        "users:read": Role.ADMIN,
        "users:write": Role.ADMIN,
        "keys:read": Role.VIEWER,  # one's own; an admin sees all
        "keys:write": Role.VIEWER,  # one's own; an admin also ends others'
        "audit:read": Role.OPERATOR,
        "session": Role.VIEWER,
    }
)
"""The least role that may do it."""


def require(principal: Principal, role: Role, scope: Scope) -> None:
    """Raise Denied when the principal may not. Whoever must change a password may do nothing but that."""
    if principal.must_change and scope != "session":
        raise PasswordChangeNeeded
    least = max(role, SCOPES[scope])
    if principal.role < least:
        raise Denied(f"this takes the role {least.value}; {principal.name} is {principal.role.value}")
    if scope == "session" and principal.kind != "user":
        raise Denied("this is for people who have signed in")
    if principal.scopes and scope not in principal.scopes:
        raise Denied(f"the API key {principal.name} has no scope {scope}")


def check_scopes(scopes: tuple[str, ...], role: Role) -> None:
    """Raise ValueError when a key of that role cannot have these scopes."""
    known: dict[str, Role] = {name: least for name, least in SCOPES.items() if name != "session"}
    for scope in scopes:
        if (least := known.get(scope)) is None:
            raise ValueError(f'no scope "{scope}"; known: {", ".join(known)}')
        if role < least:
            raise ValueError(f'the scope "{scope}" takes the role {least.value}, the key has {role.value}')
