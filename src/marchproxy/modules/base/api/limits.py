"""GetRateLimits, SetRateLimit, RemoveRateLimit, ApplyRateLimit."""

from marchproxy.contract.convert import limit_from_pb, limit_to_pb
from marchproxy.contract.pb import module_pb2
from marchproxy.kit.grpc.calls import Context
from marchproxy.model.limit import NLB_SCOPES, LimitId, RateLimit
from marchproxy.modules.base.api.parts import Api
from marchproxy.modules.base.core import Decide
from marchproxy.modules.base.rules.changes import limit_faults, limit_route, put_limit, remove_limit


class LimitsApi(Api):
    """Rate limits on routes, or on everything that the module serves."""

    async def GetRateLimits(
        self, request: module_pb2.GetRateLimitsRequest, _: Context
    ) -> module_pb2.GetRateLimitsResponse:
        """The limits that hold here now; `target` empty: all of them. Those that the NLB keeps are its own to tell."""
        self._parts.expect(request.instance_id)
        limits = [
            limit
            for limit in self._parts.core.desired.rate_limits
            if request.target in {"", limit.target} and limit.scope not in NLB_SCOPES
        ]
        return module_pb2.GetRateLimitsResponse(
            limits=[limit_to_pb(limit) for limit in limits],
            total_limits=len(limits),
            instances_of_type=self._parts.core.engine.instances,
        )

    async def SetRateLimit(
        self, request: module_pb2.SetRateLimitRequest, _: Context
    ) -> module_pb2.SetRateLimitResponse:
        """Set a limit; answers when it holds."""
        self._parts.expect(request.instance_id)
        limit = limit_from_pb(request.limit)
        work = self._change(lambda state: put_limit(state, limit), f'limit "{limit.limit_id}" set')
        return await self._parts.answer(module_pb2.SetRateLimitResponse, work)

    async def RemoveRateLimit(
        self, request: module_pb2.RemoveRateLimitRequest, _: Context
    ) -> module_pb2.RemoveRateLimitResponse:
        """Remove a limit; answers when it no longer holds."""
        self._parts.expect(request.instance_id)
        limit_id = LimitId(request.limit_id)
        work = self._change(lambda state: remove_limit(state, limit_id), f'limit "{limit_id}" removed')
        return await self._parts.answer(module_pb2.RemoveRateLimitResponse, work)

    async def ApplyRateLimit(
        self, request: module_pb2.ApplyRateLimitRequest, _: Context
    ) -> module_pb2.ApplyRateLimitResponse:
        """The short form: the limit of a route, which takes the route's id, in place of any other limit on it."""
        self._parts.expect(request.instance_id)
        limit = RateLimit(
            limit_id=LimitId(request.route_id),
            target=request.route_id,
            per_second=request.requests_per_second,
            burst=request.burst_size,
            enabled=request.enabled,
        )
        work = self._change(lambda state: limit_route(state, limit), f'route "{limit.target}" limited')
        return await self._parts.answer(module_pb2.ApplyRateLimitResponse, work)

    async def _change(self, decide: Decide, done: str) -> str:
        await self._parts.core.change(decide, check=limit_faults)
        return done
