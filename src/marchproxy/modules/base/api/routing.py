"""CanHandle, GetRoutes, UpdateRoutes, DeleteRoute, GetBackends, UpdateBackends."""

from collections.abc import Callable, Sequence
from typing import Any

from marchproxy.contract.convert import (
    HEALTH,
    choice_to_pb,
    page_to_pb,
    pool_to_pb,
    pools_from_pb,
    query_from_pb,
    route_from_pb,
    routes_from_pb,
    verdict_to_pb,
)
from marchproxy.contract.errors import validation_errors
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.grpc import invalid
from marchproxy.kit.grpc.calls import Context
from marchproxy.model.module import HealthStatus
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import InvalidValue, Problem, Refused
from marchproxy.model.query import Fields, select_rows
from marchproxy.model.route import Route, RouteId
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.api import reports
from marchproxy.modules.base.api.parts import Api
from marchproxy.modules.base.core import Decide
from marchproxy.modules.base.observation import EndpointSeen, PoolSeen
from marchproxy.modules.base.rules.changes import delete_route, limit_faults, put_pools, put_routes
from marchproxy.modules.base.rules.places import as_sent

ROUTE_FIELDS: Fields[Route] = {
    "route_id": lambda route: route.route_id,
    "protocol": lambda route: route.protocol.value,
    "priority": lambda route: route.priority,
    "path_pattern": lambda route: route.match.path.value,
    "destination_pattern": lambda route: ",".join(route.match.hosts),
    "hosts": lambda route: route.match.hosts,
    "methods": lambda route: route.match.methods,
    "pools": lambda route: tuple(map(str, route.answering)),
}
POOL_FIELDS: Fields[BackendPool] = {
    "name": lambda pool: pool.name,
    "version": lambda pool: pool.version,
    "endpoints": lambda pool: len(pool.endpoints),
    "protocol": lambda pool: pool.protocol.value,
}


class RoutingApi(Api):
    """Routes and the pools behind them."""

    async def CanHandle(
        self, request: module_pb2.CanHandleRequest, _: Context
    ) -> module_pb2.CanHandleResponse:
        """Whether traffic of a route is taken here, with what priority, and why."""
        try:
            route = route_from_pb(request.route)
        except InvalidValue as error:
            raise invalid(str(error)) from error
        core, context = self._parts.core, dict(request.context)
        verdict = core.engine.can_handle(core.desired, route, context)
        answer = verdict_to_pb(verdict)
        taken_by = verdict.details.get("route_id", "")
        if verdict.can_handle and taken_by and context.get("explain"):
            try:
                choices = await core.engine.choices(core.desired, RouteId(taken_by), route, context)
                answer.choices.extend(choice_to_pb(choice) for choice in choices)
            except Refused as refused:
                answer.metadata["choices"] = refused.message
        return answer

    async def GetRoutes(
        self, request: module_pb2.GetRoutesRequest, _: Context
    ) -> module_pb2.GetRoutesResponse:
        """The routes that run now, and the streams that are live."""
        self._parts.expect(request.instance_id)
        routes, query = self._parts.core.desired.routes, query_from_pb(request.query)
        try:
            found = self._parts.routes.answer(routes, query, lambda: select_rows(routes, query, ROUTE_FIELDS))
        except InvalidValue as error:
            raise invalid(str(error)) from error
        streams = self._parts.sampler.last.streams
        if not streams:
            return found  # without a copy
        live = module_pb2.GetRoutesResponse(streams=reports.streams(self._parts), total_streams=len(streams))
        live.MergeFrom(found)
        return live

    async def UpdateRoutes(
        self, request: module_pb2.UpdateRoutesRequest, _: Context
    ) -> module_pb2.UpdateRoutesResponse:
        """Add or replace routes; answers when traffic goes by them."""
        self._parts.expect(request.instance_id)

        def decide(state: DesiredState) -> DesiredState:
            routes = routes_from_pb(request.routes)
            return put_routes(state, routes, replace_all=request.replace_all)

        def place(problem: Problem, state: DesiredState) -> Problem:
            sent = [route.route_id for route in request.routes]
            return as_sent(problem, "routes", [route.route_id for route in state.routes], sent)

        problems = await self._apply(decide, place, validate_only=request.validate_only)
        if problems is not None:
            return module_pb2.UpdateRoutesResponse(success=False, **problems)
        count = len(request.routes)
        verb = "would be updated" if request.validate_only else "updated"
        return module_pb2.UpdateRoutesResponse(
            success=True,
            message=f"{count} routes {verb}",
            routes_updated=0 if request.validate_only else count,
        )

    async def DeleteRoute(
        self, request: module_pb2.DeleteRouteRequest, _: Context
    ) -> module_pb2.DeleteRouteResponse:
        """Remove a route and the limits on it."""
        self._parts.expect(request.instance_id)
        return await self._parts.answer(module_pb2.DeleteRouteResponse, self._delete(request.route_id))

    async def GetBackends(
        self, request: module_pb2.GetBackendsRequest, _: Context
    ) -> module_pb2.GetBackendsResponse:
        """The backend pools that run now, with the health and load of their endpoints at the last look."""
        self._parts.expect(request.instance_id)
        wanted = set(request.names)
        pools = [pool for pool in self._parts.core.desired.pools if not wanted or pool.name in wanted]
        try:
            page = select_rows(pools, query_from_pb(request.query), POOL_FIELDS)
        except InvalidValue as error:
            raise invalid(str(error)) from error
        seen = self._parts.sampler.last.pools
        return module_pb2.GetBackendsResponse(
            pools=[_with_health(pool_to_pb(pool), seen.get(pool.name)) for pool in page.rows],
            total_pools=page.total_items,
            pagination=page_to_pb(page),
        )

    async def UpdateBackends(
        self, request: module_pb2.UpdateBackendsRequest, _: Context
    ) -> module_pb2.UpdateBackendsResponse:
        """Add or replace backend pools; answers when traffic goes by them."""
        self._parts.expect(request.instance_id)

        def decide(state: DesiredState) -> DesiredState:
            return put_pools(state, pools_from_pb(request.pools), replace_all=request.replace_all)

        def place(problem: Problem, state: DesiredState) -> Problem:
            sent = [pool.name for pool in request.pools]
            return as_sent(problem, "pools", [pool.name for pool in state.pools], sent)

        problems = await self._apply(decide, place, validate_only=request.validate_only)
        if problems is not None:
            return module_pb2.UpdateBackendsResponse(success=False, **problems)
        count = len(request.pools)
        verb = "would be updated" if request.validate_only else "updated"
        return module_pb2.UpdateBackendsResponse(
            success=True, message=f"{count} pools {verb}", pools_updated=0 if request.validate_only else count
        )

    async def _delete(self, route_id: str) -> str:
        await self._parts.core.change(
            lambda state: delete_route(state, RouteId(route_id)), check=limit_faults
        )
        return f'route "{route_id}" deleted'

    async def _apply(
        self, decide: Decide, place: Callable[[Problem, DesiredState], Problem], *, validate_only: bool
    ) -> dict[str, Any] | None:
        """Apply, or only validate; the fields that a refusal fills, or None. `place` words a fault of the new state."""
        core = self._parts.core
        decided: list[DesiredState] = []

        def decide_once(state: DesiredState) -> DesiredState:
            decided.append(decide(state))
            return decided[-1]

        try:
            if not validate_only:
                await core.change(decide_once)
            else:
                await core.rehearse(decide_once)
        except (InvalidValue, Refused) as refused:
            failure: InvalidValue | Refused = refused
            if decided and failure.problems:
                failure = InvalidValue(place(problem, decided[-1]) for problem in failure.problems)
            found = failure.problems or (Problem("", str(failure)),)
            return {**self._parts.error_fields(failure), "validation_errors": validation_errors(found)}
        return None


def _with_health(pool: types_pb2.BackendPool, seen: PoolSeen | None) -> types_pb2.BackendPool:
    """What was seen of each listed endpoint; a host name is as healthy as the best address that it stands for."""
    if seen is None:
        return pool
    pool.trouble = seen.trouble
    for endpoint in pool.endpoints:
        _fill(endpoint, [look for look in seen.endpoints if endpoint.address in {look.address, look.name}])
    listed = {endpoint.address for endpoint in pool.endpoints}
    for look in seen.endpoints:
        if look.address not in listed:
            _fill(pool.found.add(address=look.address), [look])
    return pool


def _fill(endpoint: types_pb2.BackendEndpoint, looks: Sequence[EndpointSeen]) -> None:
    if looks:
        healthy = any(look.healthy for look in looks)
        endpoint.health_status = HEALTH.to_pb(HealthStatus.HEALTHY if healthy else HealthStatus.UNHEALTHY)
        endpoint.active_requests = sum(look.active_requests for look in looks)
        endpoint.total_requests = sum(look.total_requests for look in looks)
