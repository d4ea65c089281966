"""Identities: who may do what with the manager, and what is kept to know them again. Never a password or a token itself."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import total_ordering
from typing import Literal

#: How a caller proved who it is: a person's session, a program's key, or the file that only this machine can read.
PrincipalKind = Literal["user", "key", "local"]


@total_ordering
class Role(Enum):
    """What one may do: a viewer looks, an operator also changes what runs, an admin also who may. Each covers those before."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Role):
            return NotImplemented
        return _RANKS[self] < _RANKS[other]


_RANKS = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class User:
    """A person. `password` is argon2's encoded hash; `must_change`: the password was given by somebody else."""

    name: str
    role: Role
    password: str
    created_at: datetime
    disabled: bool = False
    must_change: bool = False
    last_login: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A person who has signed in. `token_hash` is the SHA-256 of the cookie in hexadecimal; `csrf` goes with every change."""

    token_hash: str
    user: str
    csrf: str
    created_at: datetime
    expires_at: datetime
    seen_at: datetime
    address: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program's key. `hash` is the SHA-256 of the whole key in hexadecimal; `owner` is the user who made it."""

    id: str
    name: str
    hash: str
    role: Role
    scopes: tuple[str, ...]
    owner: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request. `scopes` bound what a key may touch (none: all that its role may); `session` is a person's.

    `key_id`: the id of the API key that was shown; empty: none was. `name` is a key's after its owner's: `ann/ci`.
    """

    name: str
    kind: PrincipalKind
    role: Role
    scopes: tuple[str, ...] = ()
    session: Session | None = None
    must_change: bool = False
    key_id: str = ""
