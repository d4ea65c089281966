"""Matching: routes as Envoy's route matches and virtual hosts, in the order of `marchproxy.model.matching`.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.type.matcher.v3 import filter_state_pb2, regex_pb2, string_pb2
from xds.core.v3 import cidr_pb2

from marchproxy.engines.envoy.messages import cidr, inline
from marchproxy.model.matching import in_order
from marchproxy.model.route import (
    HeaderKind,
    HeaderMatch,
    PathKind,
    PathMatch,
    QueryMatch,
    Route,
    RouteId,
    RouteMatch,
)
from marchproxy.model.template import template_pattern

_FilterState = filter_state_pb2.FilterStateMatcher
# what a listener keeps of each connection for the routes that ask for it: from the connection, by no header
_CLIENT, _SOURCE_PORT, _PORT = "marchproxy.client", "marchproxy.source-port", "marchproxy.port"


def virtual_hosts(
    routes: Sequence[Route],
    messages: Mapping[RouteId, Sequence[route_pb2.Route]],
    *,
    rest: route_pb2.Route | None = None,
) -> Iterator[route_pb2.VirtualHost]:
    """One virtual host per host pattern, its routes in order; `rest` takes what none of them does, of any host.

    A route may be several messages, tried in that order.

    A virtual host repeats the routes of the broader patterns that cover it, because Envoy looks in one virtual host only.
    """
    by_pattern: dict[str, list[Route]] = {} if rest is None else {"*": []}
    for route in routes:
        for host in {host.lower() for host in route.match.hosts} or {"*"}:
            by_pattern.setdefault(host, []).append(route)
    last = [] if rest is None else [rest]
    for pattern in sorted(by_pattern):
        found_by_id = {
            route.route_id: route for wider in covering(pattern) for route in by_pattern.get(wider, ())
        }
        found = [
            part for route in in_order(found_by_id.values(), pattern) for part in messages[route.route_id]
        ]
        yield route_pb2.VirtualHost(name=pattern, domains=[pattern], routes=found + last)


def covering(pattern: str) -> Iterator[str]:
    """A host pattern in lower case, and every one that covers all of it."""
    yield pattern
    labels = pattern.removeprefix("*.").split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])
    if pattern != "*":
        yield "*"


def route_match(match: RouteMatch) -> route_pb2.RouteMatch:
    """What a request must look like, except for its host."""
    message = route_pb2.RouteMatch(
        headers=[_header(header) for header in match.headers],
        query_parameters=[_parameter(parameter) for parameter in match.query],
    )
    if match.methods:
        methods = "|".join(re.escape(method) for method in match.methods)
        message.headers.add(name=":method", string_match=_regex_string(methods))
    _set_path(message, match.path)
    return message


def connection_match(route: Route) -> Iterator[filter_state_pb2.FilterStateMatcher]:
    """What the connection of a request must be, for a listener that keeps `connection_values`."""
    if route.sources:
        matcher = _FilterState(key=_CLIENT)
        for network in map(cidr, route.sources):
            matcher.address_match.ranges.append(
                cidr_pb2.CidrRange(address_prefix=network.address_prefix, prefix_len=network.prefix_len)
            )
        yield matcher
    for key, port in ((_SOURCE_PORT, route.source_port), (_PORT, route.destination_port)):
        if port:
            yield _FilterState(key=key, string_match=string_pb2.StringMatcher(exact=str(port)))


def connection_values() -> Iterator[value_pb2.FilterStateValue]:
    """What a connection keeps: its client and both ports, as PROXY protocol told them or else the kernel does."""
    for key, factory, text in (
        (_CLIENT, "envoy.network.ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        (_SOURCE_PORT, "envoy.string", "%DOWNSTREAM_REMOTE_PORT%"),
        (_PORT, "envoy.string", "%DOWNSTREAM_LOCAL_PORT%"),
    ):
        yield value_pb2.FilterStateValue(object_key=key, factory_key=factory, format_string=inline(text))


def _set_path(message: route_pb2.RouteMatch, path: PathMatch) -> None:
    match path.kind:
        case PathKind.EXACT:
            message.path = path.value
        case PathKind.REGEX:
            message.safe_regex.regex = path.value
        case PathKind.PREFIX:
            prefix = path.value.rstrip("/")
            if prefix:
                message.path_separated_prefix = prefix
            else:
                message.prefix = "/"
        case PathKind.TEMPLATE:
            message.safe_regex.regex = template_pattern(path.value)
        case _ as other:
            assert_never(other)


def _header(header: HeaderMatch) -> route_pb2.HeaderMatcher:
    message = route_pb2.HeaderMatcher(name=header.name, invert_match=header.invert)
    _set_condition(message, header)
    if header.kind is not HeaderKind.PRESENT and header.invert:
        # "is not X" holds for a request without the header
        message.treat_missing_header_as_empty = True
    return message


def _parameter(parameter: QueryMatch) -> route_pb2.QueryParameterMatcher:
    message = route_pb2.QueryParameterMatcher(name=parameter.name)
    _set_condition(message, parameter)
    return message


def _set_condition(
    message: route_pb2.HeaderMatcher | route_pb2.QueryParameterMatcher, match: HeaderMatch | QueryMatch
) -> None:
    match match.kind:
        case HeaderKind.PRESENT:
            message.present_match = True
        case HeaderKind.EXACT:
            message.string_match.exact = match.value
        case HeaderKind.PREFIX:
            message.string_match.prefix = match.value
        case HeaderKind.REGEX:
            message.string_match.CopyFrom(_regex_string(match.value))
        case _ as other:
            assert_never(other)


def _regex_string(pattern: str) -> string_pb2.StringMatcher:
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=pattern))
