"""Roles: which server takes writes and which may be read, from what each says of itself. Pure.

https://redis.io/docs/latest/commands/role/. When in doubt the primary: a replica counts only while it is connected to
the primary that is used, and not too far behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from marchproxy.kit.settings import HostPort
from marchproxy.wire.redis.values import Failure, Value


@dataclass(frozen=True, slots=True)
class Primary:
    """A server that takes writes; the replication offset in bytes."""

    offset: int


@dataclass(frozen=True, slots=True)
class Replica:
    """A server that follows another; `connected`: whether it has a link to it that works."""

    offset: int
    connected: bool


Seen = Primary | Replica | None


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is used for what."""

    primary: HostPort | None = None
    replicas: tuple[HostPort, ...] = ()


def read_role(value: Value) -> Seen:
    """What an answer to ROLE says; None: nothing that is of use, such as an error while it loads."""
    match value:
        case Failure():
            return None
        case [b"master", int(offset), *_]:
            return Primary(offset)
        case [b"slave", _, _, state, int(offset), *_]:
            return Replica(offset, connected=state == b"connected")
    return None


def judge(before: Roles, seen: Mapping[HostPort, Seen], *, most_behind: int) -> Roles:
    """Roles after a look at all servers; `most_behind`: bytes that a replica may lack.

    Two that say they take writes: the one that was used before stays, so that writes go to one of them only; when it is
    gone, the one that has most.
    """
    primaries = {address: one for address, one in seen.items() if isinstance(one, Primary)}
    if not primaries:
        return Roles()
    most = max(primaries, key=lambda address: primaries[address].offset)
    primary = before.primary if before.primary is not None and before.primary in primaries else most
    newest = primaries[primary].offset
    replicas = tuple(
        address
        for address, one in seen.items()
        if isinstance(one, Replica) and one.connected and newest - one.offset <= most_behind
    )
    return Roles(primary, replicas)
