"""Checks of routes of databases: which sessions they take, and what they have in common with no other route."""

import re
from collections.abc import Iterator, Mapping

from marchproxy.model.checks.firewall import check_firewall
from marchproxy.model.checks.mirrors import check_mirrors
from marchproxy.model.checks.patterns import check_patterns
from marchproxy.model.checks.protocols import check_no_requests, in_words
from marchproxy.model.database import DATABASE_PROTOCOLS, REDIS_NEEDS, DatabaseRoute, ReadTarget
from marchproxy.model.module import Protocol
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rules import check_duration, known

#: Those whose statements are SQL.
SQL_PROTOCOLS = frozenset({Protocol.POSTGRES, Protocol.MYSQL})
_NUMBERS = re.compile(r"[0-9*?\[\]!-]+")
_PLAIN_DATABASE = DatabaseRoute()
#: What of `database` only some protocols have.
_OF_SOME: Mapping[str, frozenset[Protocol]] = {
    "prefixes": frozenset({Protocol.REDIS}),
    "needs": frozenset({Protocol.REDIS}),
    "writes": SQL_PROTOCOLS,
    "firewall": SQL_PROTOCOLS,
}


def check_database_route(route: Route, path: str, pool_names: frozenset[str]) -> Iterator[Problem]:
    """Faults of a route of a database; that its authentication is there is `check_authentication`'s to say."""
    word = route.protocol.value
    yield from check_no_requests(route, path)
    if route.protocol is Protocol.REDIS:
        yield from check_mirrors(route, f"{path}.mirrors", pool_names)
    elif route.mirrors:
        yield Problem(f"{path}.mirrors", f"is for HTTP and Redis; {word} has no such thing: remove it")
    if route.database is not None:
        yield from _check_options(route.database, route, f"{path}.database")


def check_no_database(route: Route, path: str) -> Iterator[Problem]:
    """Faults of a route of another protocol that has what only those of databases have."""
    if route.database is not None:
        yield Problem(
            f"{path}.database", f"is for {in_words(DATABASE_PROTOCOLS)}, not for {route.protocol.value}"
        )


def _check_options(options: DatabaseRoute, route: Route, path: str) -> Iterator[Problem]:
    protocol = route.protocol
    for key, protocols in _OF_SOME.items():
        if getattr(options, key) != getattr(_PLAIN_DATABASE, key) and protocol not in protocols:
            words = f"is for {in_words(protocols)}; {protocol.value} has no such thing: remove it"
            yield Problem(f"{path}.{key}", words)
    for key in ("databases", "users", "applications", "prefixes"):
        yield from check_patterns(getattr(options, key), f"{path}.{key}")
    if protocol is Protocol.REDIS:
        yield from _check_numbers(options, path)
    yield from check_duration(options.switch_timeout, f"{path}.switch_timeout")
    yield from check_duration(options.catch_up, f"{path}.catch_up")
    yield from _check_reads(options, route, path)
    for number, need in enumerate(options.needs):
        if need not in REDIS_NEEDS:
            yield Problem(f"{path}.needs[{number}]", f'"{need}" is nothing that is known{known(REDIS_NEEDS)}')
    yield from check_firewall(options.firewall, f"{path}.firewall")


def _check_numbers(options: DatabaseRoute, path: str) -> Iterator[Problem]:
    for number, name in enumerate(options.databases):
        if not _NUMBERS.fullmatch(name):
            yield Problem(f"{path}.databases[{number}]", f'"{name}" is not a number; Redis has 0, 1, 2 …')
    if options.rename and not options.rename.isdecimal():
        yield Problem(f"{path}.rename", f'"{options.rename}" is not a number; Redis has 0, 1, 2 …')


def _check_reads(options: DatabaseRoute, route: Route, path: str) -> Iterator[Problem]:
    """Who reads where, and who writes."""
    names = frozenset(str(backend.pool) for backend in route.backends)
    if options.writes and options.writes not in names:
        yield Problem(
            f"{path}.writes", f'"{options.writes}" is not one of the route\'s backends{known(names)}'
        )
    if options.writes and options.target is ReadTarget.REPLICA:
        yield Problem(f"{path}.writes", "nothing is written with target: replica; leave one of them out")
    if options.split_reads and options.target is not ReadTarget.AUTO:
        yield Problem(
            f"{path}.split_reads", f"all reads go to one kind of server with target: {options.target.value}"
        )
