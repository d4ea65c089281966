"""Parts: a route as the messages that Envoy tries one after the other. Most are one message.

A limit of the request's size needs three, because a body that says its length can be judged at once and then streamed,
and one that does not must be held back until it ends. Cross-origin needs one more: a browser asks with OPTIONS first,
and sends none of the headers that it asks about. A session that a cookie keeps needs one for each of several pools.
"""

import re
from collections.abc import Iterator
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.type.v3 import range_pb2
from google.protobuf import any_pb2

from marchproxy.engines.envoy.matching import connection_match, route_match
from marchproxy.model.http import Cors, DirectResponse, StickyKind
from marchproxy.model.route import HeaderKind, HeaderMatch, Route, RouteMatch
from marchproxy.modules.http.resources.actions import respond, set_action
from marchproxy.modules.http.resources.clusters import cluster_name
from marchproxy.modules.http.resources.edits import edit_headers
from marchproxy.modules.http.resources.filters import body_limit, route_filters

_TOO_LARGE = DirectResponse(413, "the request is too large\n")
_LONGEST = 2**63 - 1


def parts(route: Route, filters: dict[str, any_pb2.Any], *, hashed: bool) -> Iterator[Any]:
    """The messages of a route, in order; `filters` are those that it turns on beside its own.

    `hashed`: a pool or a session of it asks for a hash.
    """
    message = route_pb2.Route(name=route.route_id, match=route_match(route.match))
    message.match.filter_state.extend(connection_match(route))
    edit_headers(message, route.request_headers, route.response_headers)
    set_action(message, route, hashed=hashed)
    _turn_on(message, {**route_filters(route), **filters})
    if route.cors is not None:
        yield _preflight(message, route, route.cors)
    for part in _by_pool(message, route):
        if route.max_request_bytes:
            yield from _by_size(part, route)
        else:
            yield part


def _turn_on(message: Any, filters: dict[str, any_pb2.Any]) -> None:
    for name, config in filters.items():
        message.typed_per_filter_config[name].CopyFrom(config)


def _by_pool(message: Any, route: Route) -> Iterator[Any]:
    """Sessions stay with the pool that their cookie names, as long as it has a share; the others are divided."""
    sticky = route.sticky
    if sticky is not None and sticky.kind is StickyKind.COOKIE and len(route.backends) > 1:
        for backend in route.backends:
            if backend.weight:
                kept = _copy(message)
                kept.route.cluster = cluster_name(backend.pool)
                pattern = rf"(?:.*;\s*)?{re.escape(f'{sticky.name}-pool={backend.pool}')}(?:;.*)?"
                kept.match.headers.add(name="cookie").string_match.safe_regex.regex = pattern
                yield kept
    yield message


def _by_size(message: Any, route: Route) -> Iterator[Any]:
    limit = route.max_request_bytes
    too_long = _copy(message)
    _length(too_long, limit + 1, _LONGEST)
    respond(too_long, _TOO_LARGE)
    yield too_long
    announced = _copy(message)
    _length(announced, 0, limit + 1)
    yield announced
    for protocol in route.upgrades:  # not a body: both sides speak as they like
        upgrade = _copy(message)
        pattern = rf"(?i){re.escape(protocol)}"
        upgrade.match.headers.add(name="upgrade").string_match.safe_regex.regex = pattern
        upgrade.match.headers.add(name="connection").string_match.safe_regex.regex = r"(?i).*\bupgrade\b.*"
        yield upgrade
    held = _copy(message)
    _turn_on(held, body_limit(limit))
    yield held


def _length(message: Any, start: int, end: int) -> None:
    message.match.headers.add(name="content-length", range_match=range_pb2.Int64Range(start=start, end=end))


def _preflight(message: Any, route: Route, cors: Cors) -> Any:
    """The question of a browser: the route itself, without the method and headers that only the request will have."""
    wanted = "|".join(re.escape(method) for method in route.match.methods or cors.methods)
    asking = RouteMatch(
        path=route.match.path,
        methods=("OPTIONS",),
        query=route.match.query,
        headers=(
            HeaderMatch("origin", HeaderKind.PRESENT),
            HeaderMatch("access-control-request-method", HeaderKind.REGEX, wanted),
        ),
    )
    question = _copy(message)
    question.match.CopyFrom(route_match(asking))
    question.match.filter_state.extend(connection_match(route))
    return question


def _copy(message: Any) -> Any:
    copied = route_pb2.Route()
    copied.CopyFrom(message)
    return copied
