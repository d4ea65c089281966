"""Matching: which route takes a request. The order here is the order in which Envoy is given the routes.

Ties are broken as in the Gateway API (https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule): after
priority, the more specific host, then exact before template before regex before prefix, the longer path (of templates
the more specific one), a method, more headers, more query parameters.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from marchproxy.model.network import is_among
from marchproxy.model.route import HeaderKind, HeaderMatch, PathKind, PathMatch, QueryMatch, Route, RouteMatch
from marchproxy.model.template import template_pattern, template_rank

_KIND_ORDER = {PathKind.EXACT: 0, PathKind.TEMPLATE: 1, PathKind.REGEX: 2, PathKind.PREFIX: 3}


@dataclass(frozen=True, slots=True)
class Request:
    """What routing looks at. `host` without port, `path` without query string, header names in lower case.

    `query` is the query string without its question mark; `source` is the client's address, empty: not known.
    """

    host: str
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    query: str = ""
    source: str = ""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises re.error."""
    return re.compile(pattern)


def host_matches(pattern: str, host: str) -> bool:
    """Whether `pattern` (exact, `*.suffix`, or `*`) covers `host`; a wildcard covers any number of labels."""
    pattern, host = pattern.lower(), host.lower()
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return pattern == host


def path_matches(match: PathMatch, path: str) -> bool:
    """Whether a path, without its query string, is matched."""
    match match.kind:
        case PathKind.EXACT:
            return path == match.value
        case PathKind.REGEX:
            return compiled(match.value).fullmatch(path) is not None
        case PathKind.PREFIX:
            prefix = match.value.rstrip("/")
            return path == prefix or path.startswith(prefix + "/")
        case PathKind.TEMPLATE:
            return compiled(template_pattern(match.value)).fullmatch(path) is not None


def header_matches(match: HeaderMatch, headers: Mapping[str, str]) -> bool:
    """Whether the headers (names in lower case) satisfy one header match."""
    value = headers.get(match.name.lower())
    match match.kind:
        case HeaderKind.PRESENT:
            found = value is not None
        case HeaderKind.EXACT:
            found = value == match.value
        case HeaderKind.PREFIX:
            found = value is not None and value.startswith(match.value)
        case HeaderKind.REGEX:
            found = value is not None and compiled(match.value).fullmatch(value) is not None
    return found != match.invert


def query_matches(match: QueryMatch, query: str) -> bool:
    """Whether a query string satisfies one match; the first of several equal names counts, as in Envoy."""
    pairs = (pair.partition("=") for pair in query.split("&"))
    value = next((value for name, _, value in pairs if name == match.name), None)
    return header_matches(
        HeaderMatch("value", match.kind, match.value), {} if value is None else {"value": value}
    )


def request_matches(match: RouteMatch, request: Request) -> bool:
    """Whether every part of `match` accepts the request."""
    return (
        (not match.hosts or any(host_matches(pattern, request.host) for pattern in match.hosts))
        and (not match.methods or request.method.upper() in match.methods)
        and path_matches(match.path, request.path)
        and all(header_matches(header, request.headers) for header in match.headers)
        and all(query_matches(parameter, request.query) for parameter in match.query)
    )


def route_matches(route: Route, request: Request) -> bool:
    """Whether a route takes the request as long as no other does; one with `sources` only from a client that is known."""
    return request_matches(route.match, request) and (
        not route.sources or is_among(route.sources, request.source)
    )


def host_rank(pattern: str) -> tuple[int, int]:
    """Sort key of a host pattern, the most specific first: exact, then the longer wildcard, then any host."""
    if pattern == "*":
        return (2, 0)
    return (1, -len(pattern)) if pattern.startswith("*.") else (0, -len(pattern))


def path_rank(path: PathMatch) -> tuple[int, int]:
    """Sort key among paths of one kind, the most specific first."""
    return template_rank(path.value) if path.kind is PathKind.TEMPLATE else (-len(path.value), 0)


Rank: TypeAlias = tuple[int, tuple[int, int], int, tuple[int, int], int, int, int, str]


def best_pattern(patterns: Sequence[str], host: str) -> str | None:
    """The most specific of `patterns` that covers `host`, which may itself be a pattern; None: none of them does."""
    covering = [p for p in patterns if p in {"*", host} or host_matches(p, host)]
    return min(covering, key=host_rank, default=None)


def rank(route: Route, host_pattern: str) -> Rank:
    """Sort key of a route under one of its host patterns, the winner first. The id makes the order total."""
    match = route.match
    return (
        -route.priority,
        host_rank(host_pattern),
        _KIND_ORDER[match.path.kind],
        path_rank(match.path),
        0 if match.methods else 1,
        -len(match.headers),
        -len(match.query),
        route.route_id,
    )


def in_order(routes: Iterable[Route], host: str | None = None) -> list[Route]:
    """The routes that can answer for `host` (None: all of them), the first to be tried first.

    `host` may itself be a wildcard pattern: then a route counts when it covers everything the pattern covers.
    """
    ranked = []
    for route in routes:
        patterns = route.match.hosts or ("*",)
        best = min(patterns, key=host_rank) if host is None else best_pattern(patterns, host)
        if best is not None:
            ranked.append((rank(route, best), route))
    return [route for _, route in sorted(ranked, key=lambda pair: pair[0])]


def find_route(routes: Sequence[Route], request: Request) -> Route | None:
    """The route that takes the request, or None."""
    for route in in_order(routes, request.host):
        if route_matches(route, request):
            return route
    return None
