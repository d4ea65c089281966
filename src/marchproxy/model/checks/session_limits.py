"""Checks of what a limit counts: some of it only clients of databases have, some only those that stay connected."""

from collections.abc import Collection, Iterator
from enum import Enum

from marchproxy.model.database import DATABASE_PROTOCOLS
from marchproxy.model.limit import PER_OF_DATABASES, LimitScope, LimitUnit, RateLimit
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rtmp import STREAMING_PROTOCOLS


class Takes(Enum):
    """What a route takes."""

    REQUESTS = "requests"
    SESSIONS = "sessions"
    """Of databases."""
    STREAMS = "streams"


#: What the clients of a limit's route have no headers, but have.
_INSTEAD_OF_HEADERS = {
    Takes.SESSIONS: "a database's client has no headers; give client, user, database or application",
    Takes.STREAMS: "a stream's client has no headers; give client",
}


def taken_by(route: Route) -> Takes:
    """What the route takes."""
    if route.protocol in DATABASE_PROTOCOLS:
        return Takes.SESSIONS
    return Takes.STREAMS if route.protocol in STREAMING_PROTOCOLS else Takes.REQUESTS


def check_sessions(limit: RateLimit, counted: Collection[Takes], path: str) -> Iterator[Problem]:
    """Faults of a limit, given what all the routes take that it is for."""
    if limit.per in PER_OF_DATABASES and Takes.SESSIONS not in counted:
        yield Problem(
            f"{path}.per",
            f'{limit.per} is for limits on routes of databases, and on "*" where there are some',
        )
    if not {Takes.SESSIONS, Takes.STREAMS}.intersection(counted):
        remedy = 'is for limits on routes of databases and of streams, and on "*" where there are some'
        if limit.counts is not LimitUnit.REQUESTS:
            yield Problem(f"{path}.counts", f"{limit.counts.value} {remedy}")
        if limit.max_concurrent:
            yield Problem(f"{path}.max_concurrent", remedy)
    if limit.scope is not LimitScope.ROUTE:
        return
    for takes in counted:
        if limit.per.startswith("header:") and takes in _INSTEAD_OF_HEADERS:
            yield Problem(f"{path}.per", _INSTEAD_OF_HEADERS[takes])
        if takes is Takes.STREAMS and limit.has_rate and limit.counts is LimitUnit.REQUESTS:
            yield Problem(f"{path}.counts", "a stream has no requests; write connections")
