"""Sight: what a look at a server tells, and who is therefore the primary. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from marchproxy.kit.settings import HostPort
from marchproxy.wire.mysql.results import Row

#: From this version on, MySQL has SHOW REPLICA STATUS; MariaDB has kept SHOW SLAVE STATUS.
_REPLICA_WORD = (8, 0, 22)


class Role(Enum):
    """What a server is to its pool."""

    PRIMARY = "primary"
    REPLICA = "replica"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sight:
    """A server at one time. `lag` in seconds, None: not known; `latency` of a query, in seconds.

    `writable`: it takes writes, though it follows another one: of another pool, as before a switch of writes.
    """

    role: Role = Role.UNKNOWN
    lag: float | None = None
    latency: float | None = None
    fault: str = ""
    odd: bool = False
    """Whether it reads texts in a way of its own (`sql_mode`), so that nobody here can say what they mean."""
    writable: bool = False


def is_mariadb(version: str) -> bool:
    """Whether a server with this version is a MariaDB."""
    return "mariadb" in version.lower()


def status_statement(version: str) -> bytes:
    """What asks a server of this version how its replication goes."""
    numbers = tuple(int(part) for part in version.split("-", maxsplit=1)[0].split(".")[:3] if part.isdigit())
    return (
        b"SHOW REPLICA STATUS"
        if not is_mariadb(version) and numbers >= _REPLICA_WORD
        else b"SHOW SLAVE STATUS"
    )


def see(variables: Row, status: Sequence[Row]) -> Sight:
    """What a server says of itself: `@@read_only` as `ro`, and the rows of its replication's status.

    Who takes writes and follows nobody says to be the primary. How far a replica is behind is known only while both
    its threads run.
    """
    mode = (variables.get("mode") or b"").upper()
    odd = b"ANSI_QUOTES" in mode or b"NO_BACKSLASH_ESCAPES" in mode
    follows = any(_field(row, thread) != b"No" for row in status for thread in ("io_running", "sql_running"))
    if variables.get("ro") == b"0" and not follows:
        return Sight(Role.PRIMARY, 0.0)
    if not status:
        return Sight(Role.UNKNOWN)
    behind = [_field(row, "behind") for row in status]
    lag = max((float(text) for text in behind if text), default=None)
    return Sight(Role.REPLICA, None if None in behind else lag, writable=variables.get("ro") == b"0", odd=odd)


def elect(sights: Mapping[HostPort, Sight], current: HostPort | None) -> HostPort | None:
    """Who takes writes from now on.

    The present primary stays as long as it says to be one, or says nothing while nobody else does: of two, one follows
    a history that the other does not have. A server that follows one elsewhere is the primary where it takes writes and is
    the only one: among others it could be a replica that was left writable by mistake.
    """
    claims = [
        address
        for address, sight in sights.items()
        if not sight.fault and (sight.role is Role.PRIMARY or (sight.writable and len(sights) == 1))
    ]
    if current in claims:
        return current
    if claims:
        return claims[0]
    silent = current is not None and current in sights and bool(sights[current].fault)
    return current if silent else None


def failed(sight: Sight, reason: str) -> Sight:
    """The same server when it does not answer."""
    return replace(sight, lag=None, latency=None, fault=reason or "no answer")


_FIELDS = {
    "io_running": ("slave_io_running", "replica_io_running"),
    "sql_running": ("slave_sql_running", "replica_sql_running"),
    "behind": ("seconds_behind_master", "seconds_behind_source"),
}


def _field(row: Row, name: str) -> bytes | None:
    return next((row[key] for key in _FIELDS[name] if key in row), None)
