"""Checks of pools of database servers: how connections are kept, and how it is found out who is primary."""

from collections.abc import Iterator

from marchproxy.model.checks.databases import SQL_PROTOCOLS
from marchproxy.model.checks.protocols import in_words
from marchproxy.model.database import DATABASE_PROTOCOLS, DatabasePool
from marchproxy.model.module import Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.rules import check_duration, check_file, check_wait

_LARGEST_SIZE = 100_000
_PLAIN = DatabasePool()


def check_database_pool(pool: BackendPool, path: str) -> Iterator[Problem]:
    """Faults of a pool of a database protocol, or of one that has what only those have."""
    if pool.protocol not in DATABASE_PROTOCOLS:
        yield Problem(
            f"{path}.database",
            f"is for {in_words(DATABASE_PROTOCOLS)}, not for {pool.protocol.value}; set protocol",
        )
        return
    if pool.health_check is not None and pool.health_check.path:
        yield Problem(
            f"{path}.health_check.path", f"is for HTTP; {pool.protocol.value} has no such thing: remove it"
        )
    options = pool.database or _PLAIN
    if pool.protocol in SQL_PROTOCOLS and len(pool.endpoints) > 1 and not options.monitor:
        yield Problem(
            f"{path}.database.monitor",
            "is needed of several servers: a user of the file `users`, as whom it is found out who is primary",
        )
    yield from _check_options(options, pool.protocol, f"{path}.database")


def _check_options(options: DatabasePool, protocol: Protocol, path: str) -> Iterator[Problem]:
    if not 1 <= options.size <= _LARGEST_SIZE:
        yield Problem(f"{path}.size", f"{options.size} is not between 1 and {_LARGEST_SIZE:,}")
    yield from check_wait(options.wait, f"{path}.wait")
    yield from check_wait(options.probe_interval, f"{path}.probe_interval")
    for key in ("idle", "lifetime", "max_lag"):
        yield from check_duration(getattr(options, key), f"{path}.{key}")
    if options.users:
        yield from check_file(options.users, f"{path}.users")
    elif options.monitor:
        yield Problem(f"{path}.monitor", "goes with users, the file with its password, which is not set")
    if protocol is Protocol.POSTGRES and not options.monitor_database:
        yield Problem(f"{path}.monitor_database", "is needed: a database that the monitor may connect to")
    if options.cluster and protocol is not Protocol.REDIS:
        yield Problem(f"{path}.cluster", f"is for redis; {protocol.value} has no such thing: remove it")
    if options.reset != _PLAIN.reset and protocol not in SQL_PROTOCOLS:
        yield Problem(
            f"{path}.reset",
            f"is for {in_words(SQL_PROTOCOLS)}; {protocol.value} has no such thing: remove it",
        )
