"""Rules: what a module with an HTTP Envoy can serve, which route takes a request, and why. No I/O."""

from collections.abc import Iterator, Mapping

from marchproxy.model.ai import AiRoute
from marchproxy.model.http import AuthenticationKind
from marchproxy.model.matching import Request, find_route
from marchproxy.model.module import HTTP_FAMILY, ModuleType, Protocol
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import Problem
from marchproxy.model.route import PathMatch, Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.resources.build import is_own, own_routes

_SERVED = HTTP_FAMILY | {Protocol.HTTPS, Protocol.HTTP3}
_MOST_NAMED = 8
_POOL_PROTOCOLS = frozenset({Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC})


def faults(state: DesiredState, module: ModuleType) -> Iterator[Problem]:
    """What such a module cannot do of a sound state."""
    for index, route in enumerate(state.routes):
        if not is_own(route, module):
            continue
        path = f"routes[{index}]"
        if not (route.backends or route.redirect or route.response or route.ai):
            yield Problem(
                f"{path}.backends", "an HTTP route needs a backend pool, or a redirect or response of its own"
            )
        if route.authentication:
            yield from _ways_faults(route, state, path)
    for index, pool in enumerate(state.pools):
        if not pool.beyond_http and pool.protocol not in _POOL_PROTOCOLS:
            yield Problem(
                f"pools[{index}].protocol",
                f"the {module.name} cannot speak {pool.protocol.value} to a backend",
            )


def _ways_faults(route: Route, state: DesiredState, path: str) -> Iterator[Problem]:
    """Two ways of a route that one credential could be meant for. Which way judges it must be plain from the request."""
    known = {way.name: way for way in state.authentication}
    first: dict[object, str] = {}
    for number, name in enumerate(route.authentication):
        way = known.get(name)
        if way is None or way.kind is AuthenticationKind.JWT:
            continue
        key = (way.kind, way.header.lower() if way.kind is AuthenticationKind.API_KEY else "")
        if first.setdefault(key, name) != name:
            yield Problem(
                f"{path}.authentication[{number}]",
                f'"{name}" and "{first[key]}" are both {way.kind.value}, and a request does not tell which it means; '
                "put their entries into one file",
            )


class OwnRoutes:
    """The routes of a state that a module serves, by id, worked out once: an NLB asks about thousands, one by one."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._last: tuple[DesiredState, Mapping[RouteId, Route]] = (DesiredState(), {})

    def of(self, state: DesiredState) -> Mapping[RouteId, Route]:
        """Those of `state`; at once, where it is the same object as before."""
        if state is not self._last[0]:
            self._last = (state, {route.route_id: route for route in own_routes(state.routes, self._module)})
        return self._last[1]


def answer(
    state: DesiredState,
    own: Mapping[RouteId, Route],
    route: Route,
    context: Mapping[str, str],
    *,
    module: ModuleType,
) -> Verdict:
    """Whether a module takes traffic of `route`; `own` are those of `state` that it serves.

    A route without host, path, method and headers asks about a listener as a whole. Otherwise it is one of the module's
    own routes (by id), or it is read as a request: its first host, its path, its first method, its exact headers.
    """
    if route.protocol not in _SERVED:
        return Verdict(can_handle=False, reason=f"an {module.name} serves HTTP, not {route.protocol.value}")
    if (kind := route.only_for) not in {None, module}:
        return Verdict(can_handle=False, reason=f"the route is meant for {kind.value}")
    if route.route_id in own:
        return _yes(own[route.route_id], state, "its route of that id")
    request = _as_request(route, context)
    if request is None:
        return Verdict(can_handle=True, reason="serves HTTP", details={"routes": str(len(own))})
    found = find_route(list(own.values()), request)
    if found is None:
        return Verdict(
            can_handle=False, reason=f"no route for {request.method} {request.host or '*'}{request.path}"
        )
    return _yes(found, state, f"{_words(found)} matches {request.method} {request.host or '*'}{request.path}")


def _yes(route: Route, state: DesiredState, reason: str) -> Verdict:
    pools = state.pools_by_name()
    shares = [
        f"{backend.pool} ({pools[backend.pool].version}) {backend.weight} %"
        for backend in route.backends
        if backend.pool in pools
    ]
    limits = [
        limit
        for limit in state.rate_limits
        if limit.target in {route.route_id, "*"} and limit.enabled and limit.counts_http
    ]
    details = {"route_id": str(route.route_id), "match": _words(route), "pools": ", ".join(shares)}
    if route.ai is not None:
        details["pools"] = ", ".join(
            f"{name} ({pools[name].version})" for name in route.answering if name in pools
        )
        details["models"] = _models(route.ai)
    if limits:
        details["rate_limits"] = ", ".join(limit.limit_id for limit in limits)
    return Verdict(can_handle=True, priority=route.priority, reason=reason, details=details)


def _models(ai: AiRoute) -> str:
    names = [model.name for model in ai.models]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _as_request(route: Route, context: Mapping[str, str]) -> Request | None:
    match = route.match
    if not match.hosts and match.path == PathMatch() and not match.methods and not match.headers:
        return None
    return Request(
        host=match.hosts[0] if match.hosts else "",
        path=match.path.value,
        method=context.get("method") or (match.methods[0] if match.methods else "GET"),
        headers={header.name.lower(): header.value for header in match.headers},
        query=context.get("query", ""),
        source=context.get("client", ""),
    )


def _words(route: Route) -> str:
    match = route.match
    parts = [f'route "{route.route_id}"', f"hosts {', '.join(match.hosts) or '*'}", str(match.path)]
    if match.methods:
        parts.append(f"methods {', '.join(match.methods)}")
    if match.headers:
        parts.append(f"headers {', '.join(header.name for header in match.headers)}")
    if match.query:
        parts.append(f"query {', '.join(parameter.name for parameter in match.query)}")
    if route.sources:
        parts.append(f"clients of {', '.join(route.sources)}")
    return ", ".join(parts)
