"""Filters: what stands in every listener, turned off, and how a route turns on what it needs.

So a change of a route, a limit or an authentication changes routes only and drains no connection.
https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/http_filters
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.config.rbac.v3 import rbac_pb2 as rules_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.compression.brotli.compressor.v3 import brotli_pb2
from envoy.extensions.compression.gzip.compressor.v3 import gzip_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.compressor.v3 import compressor_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.grpc_web.v3 import grpc_web_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.http.stateful_session.v3 import stateful_session_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.http.stateful_session.cookie.v3 import cookie_pb2 as state_pb2
from envoy.type.http.v3 import cookie_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.messages import cidr, duration, pack
from marchproxy.model.http import Cors, Sticky, StickyKind
from marchproxy.model.route import Route
from marchproxy.modules.http.resources.authentication import authentication_filters
from marchproxy.modules.http.resources.events import event_stream_filter
from marchproxy.modules.http.resources.limits import limit_filters
from marchproxy.modules.http.resources.route_stats import copy_statistics

_CORS = "envoy.filters.http.cors"
_ACCESS = "marchproxy.access"
_BODY = "marchproxy.body"
_BROTLI = "marchproxy.brotli"
_GRPC_WEB = "envoy.filters.http.grpc_web"
_GZIP = "marchproxy.gzip"
_STICKY = "marchproxy.sticky"
# a buffered request needs a limit to be valid; it stands where the filter is off
_NO_BODY = 1


def http_filters(added: Iterable[Any] = ()) -> Iterator[Any]:
    """The filters of every listener, in the order in which a request meets them.

    `added`: a module's own, the last before the router.

    Cross-origin answers come first, so that a browser can read even a refusal; then the cheap refusals, and
    authentication after the limits, so that nobody guesses passwords without one.
    """
    yield _off(_CORS, cors_pb2.Cors())
    yield _off(_ACCESS, rbac_pb2.RBAC())
    yield from limit_filters()
    yield from authentication_filters()
    yield _off(_GRPC_WEB, grpc_web_pb2.GrpcWeb())
    yield _off(_BODY, _buffer(_NO_BODY))
    yield _off(_GZIP, _compressor("gzip", gzip_pb2.Gzip()))
    yield _off(_BROTLI, _compressor("brotli", brotli_pb2.Brotli()))
    yield _off(_STICKY, stateful_session_pb2.StatefulSession())
    yield event_stream_filter()
    yield from added
    yield _on("envoy.filters.http.router", _router())


def route_filters(route: Route) -> dict[str, any_pb2.Any]:
    """The filters that a route turns on, by name; what depends on more than the route is not among them."""
    found: dict[str, Message] = {}
    if route.cors is not None:
        found[_CORS] = _cors_policy(route.cors)
    if route.allow or route.deny:
        found[_ACCESS] = _access(route.allow, route.deny)
    if route.compression:
        overrides = compressor_pb2.CompressorOverrides(
            response_direction_config=compressor_pb2.ResponseDirectionOverrides()
        )
        found[_GZIP] = found[_BROTLI] = compressor_pb2.CompressorPerRoute(overrides=overrides)
    if route.sticky is not None and route.sticky.kind is StickyKind.COOKIE:
        found[_STICKY] = _session(route.sticky)
    return {name: pack(config) for name, config in found.items()}


def body_limit(limit: int) -> dict[str, any_pb2.Any]:
    """The filter that holds a body back until it is known to be no longer than `limit` bytes."""
    return {_BODY: pack(buffer_pb2.BufferPerRoute(buffer=_buffer(limit)))}


def grpc_web() -> dict[str, any_pb2.Any]:
    """The filter that makes gRPC of gRPC-Web. It has no settings; an empty one turns it on."""
    return {_GRPC_WEB: pack(route_pb2.FilterConfig(config=any_pb2.Any()))}


def _on(name: str, config: Message) -> Any:
    return hcm_pb2.HttpFilter(name=name, typed_config=pack(config))


def _router() -> Any:
    """Pools are counted by `route_stats`, and Envoy's own headers tell backends and clients what they did not ask for."""
    return router_pb2.Router(
        dynamic_stats=wrappers_pb2.BoolValue(value=False),
        suppress_envoy_headers=True,
        upstream_log=copy_statistics(),
    )


def _off(name: str, config: Message) -> Any:
    return hcm_pb2.HttpFilter(name=name, typed_config=pack(config), disabled=True)


def _buffer(limit: int) -> Any:
    return buffer_pb2.Buffer(max_request_bytes=wrappers_pb2.UInt32Value(value=limit))


def _compressor(name: str, library: Message) -> Any:
    return compressor_pb2.Compressor(
        compressor_library=extension_pb2.TypedExtensionConfig(name=name, typed_config=pack(library))
    )


def _cors_policy(cors: Cors) -> Any:
    everyone = base_pb2.RuntimeFractionalPercent()
    everyone.default_value.numerator = 100
    return cors_pb2.CorsPolicy(
        allow_origin_string_match=[_origin(origin) for origin in cors.origins],
        allow_methods=", ".join(cors.methods),
        allow_headers=", ".join(cors.headers),
        expose_headers=", ".join(cors.expose_headers),
        max_age=str(cors.max_age),
        allow_credentials=wrappers_pb2.BoolValue(value=cors.credentials),
        filter_enabled=everyone,
        # of an origin that is not allowed, a backend is not asked
        forward_not_matching_preflights=wrappers_pb2.BoolValue(value=False),
    )


def _origin(origin: str) -> Any:
    if origin == "*":
        return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=".*"))
    if "*" not in origin:
        return string_pb2.StringMatcher(exact=origin)
    before, _, after = origin.partition("*")
    pattern = f"{re.escape(before)}[A-Za-z0-9.-]+{re.escape(after)}"
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=pattern))


def _access(allow: Sequence[str], deny: Sequence[str]) -> Any:
    principal = rules_pb2.Principal
    wanted = [_anyone_of(allow)] if allow else []
    unwanted = [principal(not_id=_anyone_of(deny))] if deny else []
    policy = rules_pb2.Policy(
        permissions=[rules_pb2.Permission(any=True)],
        principals=[principal(and_ids=principal.Set(ids=[*unwanted, *wanted]))],
    )
    rules = rules_pb2.RBAC(action=rules_pb2.RBAC.ALLOW, policies={"clients": policy})
    return rbac_pb2.RBACPerRoute(rbac=rbac_pb2.RBAC(rules=rules))


def _anyone_of(networks: Sequence[str]) -> Any:
    principal = rules_pb2.Principal
    ids = [principal(remote_ip=cidr(network)) for network in networks]
    return principal(or_ids=principal.Set(ids=ids))


def _session(sticky: Sticky) -> Any:
    cookie = cookie_pb2.Cookie(name=sticky.name, ttl=duration(sticky.ttl), path="/")
    state = extension_pb2.TypedExtensionConfig(
        name="envoy.http.stateful_session.cookie",
        typed_config=pack(state_pb2.CookieBasedSessionState(cookie=cookie)),
    )
    session = stateful_session_pb2.StatefulSession(session_state=state)
    return stateful_session_pb2.StatefulSessionPerRoute(stateful_session=session)
