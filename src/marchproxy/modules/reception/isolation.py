"""Isolation: a state of which some files are of no use is served without the routes that need these. Pure."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from marchproxy.model.checks.session_limits import check_sessions, taken_by
from marchproxy.model.limit import LimitScope
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState


def without(
    state: DesiredState, problems: Iterable[Problem], ways_of: Callable[[Route], Collection[str] | None]
) -> DesiredState:
    """The state without the own routes that a problem is about, or the pool or way to authenticate that they name.

    `ways_of`: the names of the ways of an own route; None: it is another module's. Nobody is let in by a way that cannot be
    read; so a route goes even where others of its ways could.
    """
    paths = {problem.path.partition(".")[0] for problem in problems}
    pools = {pool.name for index, pool in enumerate(state.pools) if f"pools[{index}]" in paths}
    ways = {way.name for index, way in enumerate(state.authentication) if f"authentication[{index}]" in paths}

    def goes(index: int, route: Route) -> bool:
        own = ways_of(route)
        return own is not None and (
            f"routes[{index}]" in paths
            or not ways.isdisjoint(own)
            or any(ref.pool in pools for ref in route.backends)
        )

    routes = tuple(route for index, route in enumerate(state.routes) if not goes(index, route))
    gone = {route.route_id for route in state.routes} - {route.route_id for route in routes}
    # what limits only sessions or streams is no sound limit on everything where there are none
    left = {taken_by(route) for route in routes}
    limits = tuple(
        limit
        for limit in state.rate_limits
        if limit.target not in gone
        and (limit.scope is not LimitScope.EVERYTHING or not any(check_sessions(limit, left, "")))
    )
    return replace(state, routes=routes, rate_limits=limits)
