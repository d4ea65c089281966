"""Actions: what becomes of a request that a route took. It is forwarded, sent elsewhere, or answered.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration, pack
from marchproxy.model.http import DirectResponse, Mirror, Redirect, Sticky, StickyKind
from marchproxy.model.route import BackendRef, PathMatch, RetryPolicy, Route
from marchproxy.modules.http.resources.clusters import cluster_name
from marchproxy.modules.http.resources.edits import added_header, replaced_header
from marchproxy.modules.http.resources.paths import replace_prefix, rewrite_path

_RETRY_ON = {
    "connect_failure": "connect-failure",
    "refused_stream": "refused-stream",
    "reset_before_request": "reset-before-request",
    "reset": "reset",
    "gateway_error": "gateway-error",
    "5xx": "5xx",
    "retriable_4xx": "retriable-4xx",
}
# A dead endpoint has no requests and so looks like the least busy one: of two, it is drawn three times in four. With
# Envoy's usual 5 draws for a retry, 1 request in 40 would meet nobody else.
_OTHER_HOST_ATTEMPTS = 32
_CODES = {
    301: route_pb2.RedirectAction.MOVED_PERMANENTLY,
    302: route_pb2.RedirectAction.FOUND,
    303: route_pb2.RedirectAction.SEE_OTHER,
    307: route_pb2.RedirectAction.TEMPORARY_REDIRECT,
    308: route_pb2.RedirectAction.PERMANENT_REDIRECT,
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREVIOUS_HOSTS = pack(previous_hosts_pb2.PreviousHostsPredicate())
_HashPolicy = route_pb2.RouteAction.HashPolicy
_Upgrade = route_pb2.RouteAction.UpgradeConfig
#: What Envoy does for a route that does not say: `timeout` of its routes, `stream_idle_timeout` of its listeners.
_ENVOYS_TIMEOUT, _ENVOYS_IDLE_TIMEOUT = 15.0, 300.0
#: The retries of every route that asks for no others, said once in each virtual host.
COMMON_RETRY = RetryPolicy()
#: The upgrade that every listener allows and a route may refuse.
COMMON_UPGRADE = "websocket"


def set_action(message: Any, route: Route, *, hashed: bool) -> None:
    """Give a route message the one action of the route. `hashed`: a pool or a session of it asks for a hash."""
    if route.redirect is not None:
        message.redirect.CopyFrom(_redirect(route.redirect, route.match.path))
    elif route.response is not None:
        respond(message, route.response)
    else:
        message.route.CopyFrom(_forward(route, hashed=hashed))


def respond(message: Any, response: DirectResponse) -> None:
    """Make a route message answer by itself."""
    message.direct_response.status = response.status
    if response.body:
        message.direct_response.body.CopyFrom(base_pb2.DataSource(inline_string=response.body))
        # Envoy says text/plain of every answer of its own; the route's own edits come after this one
        message.response_headers_to_add.insert(0, replaced_header("content-type", response.content_type))


def _forward(route: Route, *, hashed: bool) -> Any:
    """Says only what differs: whatever thousands of routes repeat, Envoy reads and builds again at each change of one."""
    action = route_pb2.RouteAction(
        timeout=None if route.timeout == _ENVOYS_TIMEOUT else duration(route.timeout),
        idle_timeout=None if route.idle_timeout == _ENVOYS_IDLE_TIMEOUT else duration(route.idle_timeout),
        retry_policy=None if route.retry == COMMON_RETRY else retry_policy(route.retry),
        hash_policy=[_hash_policy(route.sticky)] if hashed else [],
        request_mirror_policies=_mirrors(route.mirrors),
        upgrade_configs=_upgrades(route.upgrades),
    )
    _set_backends(action, route.backends, route.sticky)
    if route.rewrite is not None:
        rewrite_path(action, route.match.path, route.rewrite)
        if route.rewrite.host:
            action.host_rewrite_literal = route.rewrite.host
    return action


def _set_backends(action: Any, backends: Sequence[BackendRef], sticky: Sticky | None) -> None:
    if len(backends) == 1:
        action.cluster = cluster_name(backends[0].pool)
        return
    for backend in backends:
        share = action.weighted_clusters.clusters.add(
            name=cluster_name(backend.pool), weight=wrappers_pb2.UInt32Value(value=backend.weight)
        )
        if sticky is not None and sticky.kind is StickyKind.COOKIE:
            share.response_headers_to_add.append(added_header("set-cookie", pool_cookie(sticky, backend)))
    if sticky is not None and sticky.kind is not StickyKind.COOKIE:
        action.weighted_clusters.use_hash_policy.value = True  # the pool is chosen by the session as well


def pool_cookie(sticky: Sticky, backend: BackendRef) -> str:
    """The cookie that keeps a session with one of several pools; which endpoint of it, the session's own cookie says."""
    age = f"; Max-Age={round(sticky.ttl)}" if sticky.ttl else ""
    return f"{sticky.name}-pool={backend.pool}; Path=/; HttpOnly{age}"


def _hash_policy(sticky: Sticky | None) -> Any:
    """What a request is hashed by, where its pool or its session asks for a hash."""
    if sticky is not None and sticky.kind is StickyKind.HEADER:
        return _HashPolicy(header=_HashPolicy.Header(header_name=sticky.name))
    return _HashPolicy(connection_properties=_HashPolicy.ConnectionProperties(source_ip=True))


def _mirrors(mirrors: Iterable[Mirror]) -> Iterator[Any]:
    for mirror in mirrors:
        share = percent_pb2.FractionalPercent(
            numerator=round(mirror.percent * 10_000), denominator=percent_pb2.FractionalPercent.MILLION
        )
        yield route_pb2.RouteAction.RequestMirrorPolicy(
            cluster=cluster_name(mirror.pool),
            runtime_fraction=base_pb2.RuntimeFractionalPercent(default_value=share),
            disable_shadow_host_suffix_append=True,  # the copy is for a backend that knows the real host only
        )


def _upgrades(protocols: Sequence[str]) -> Iterator[Any]:
    if COMMON_UPGRADE not in protocols:
        yield _Upgrade(upgrade_type=COMMON_UPGRADE, enabled=wrappers_pb2.BoolValue(value=False))
    yield from (_Upgrade(upgrade_type=protocol) for protocol in protocols if protocol != COMMON_UPGRADE)


def retry_policy(policy: RetryPolicy) -> Any:
    """The message; of a policy that retries nothing, one that says so."""
    if policy.attempts == 0 or not policy.on:
        return route_pb2.RetryPolicy(num_retries=wrappers_pb2.UInt32Value(value=0))
    message = route_pb2.RetryPolicy(
        retry_on=",".join(_RETRY_ON[condition] for condition in policy.on),
        num_retries=wrappers_pb2.UInt32Value(value=policy.attempts),
        host_selection_retry_max_attempts=_OTHER_HOST_ATTEMPTS,
    )
    message.retry_host_predicate.add(
        name="envoy.retry_host_predicates.previous_hosts", typed_config=_PREVIOUS_HOSTS
    )
    if policy.per_try_timeout:
        message.per_try_timeout.CopyFrom(duration(policy.per_try_timeout))
    return message


def _redirect(redirect: Redirect, path: PathMatch) -> Any:
    # beside a host that is given, Envoy leaves the port out by itself
    needless = bool(redirect.host) and redirect.port == _DEFAULT_PORTS.get(redirect.scheme)
    action = route_pb2.RedirectAction(
        scheme_redirect=redirect.scheme,
        host_redirect=redirect.host,
        port_redirect=0 if needless else redirect.port,
        response_code=_CODES[redirect.code],
        strip_query=redirect.strip_query,
    )
    if redirect.path:
        action.path_redirect = redirect.path
    elif redirect.prefix:
        replace_prefix(action, path.value, redirect.prefix)
    return action
