"""SetTrafficWeight, GetActiveVersion, Rollback, PromoteVersion."""

from marchproxy.contract.convert import blue_green_to_pb, rollout_limits_from_pb, rollout_to_pb
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.grpc import not_found
from marchproxy.kit.grpc.calls import Context
from marchproxy.model.module import PoolName, Version
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.model.route import BackendRef
from marchproxy.model.weights import Split
from marchproxy.modules.base.api.parts import Api
from marchproxy.modules.base.leave import take_leave, take_part


class VersionsApi(Api):
    """Blue/green between versions of the backend pools."""

    async def SetTrafficWeight(
        self, request: module_pb2.SetTrafficWeightRequest, _: Context
    ) -> module_pb2.SetTrafficWeightResponse:
        """Give a version its share, on one route or on all; answers when traffic is split that way. Or drain the instance."""
        self._parts.expect(request.instance_id)
        if request.HasField("draining"):
            drain = take_leave if request.draining else take_part
            return await self._parts.answer(module_pb2.SetTrafficWeightResponse, drain(self._parts))
        answer = await self._parts.answer(module_pb2.SetTrafficWeightResponse, self._set(request))
        if answer.success:
            target = request.route_id
            answer.current_config.CopyFrom(self._blue_green(self._parts.deployment.split(target), target))
        return answer

    async def GetActiveVersion(
        self, request: module_pb2.GetActiveVersionRequest, _: Context
    ) -> module_pb2.GetActiveVersionResponse:
        """The split between versions, and the promotions under way or decided."""
        self._parts.expect(request.instance_id)
        try:
            split = self._parts.deployment.split(request.route_id)
        except Refused as refused:
            raise not_found(refused.message) from refused
        running = self._parts.core.running
        return module_pb2.GetActiveVersionResponse(
            active_version=split.active,
            config=self._blue_green(split, request.route_id),
            version_weights=dict(split.shares),
            rollouts=[
                rollout_to_pb(ramp.rollout, ramp.updated_at)
                for target, ramp in running.ramps.items()
                if request.route_id in {"", target}
            ],
        )

    async def Rollback(self, request: module_pb2.RollbackRequest, _: Context) -> module_pb2.RollbackResponse:
        """Give everything back to a version; without a name to the one before the last shift."""
        parts = self._parts
        parts.expect(request.instance_id)
        try:
            before, after = await parts.deployment.roll_back(
                Version(request.target_version), request.route_id
            )
        except Refused as refused:
            return module_pb2.RollbackResponse(success=False, **parts.error_fields(refused))
        return module_pb2.RollbackResponse(
            success=True,
            message=f'rolled back from "{before}" to "{after}"',
            previous_version=before,
            current_version=after,
        )

    async def PromoteVersion(
        self, request: module_pb2.PromoteVersionRequest, _: Context
    ) -> module_pb2.PromoteVersionResponse:
        """Give a version everything: at once, or step by step with an eye on its errors and latency."""
        self._parts.expect(request.instance_id)
        answer = await self._parts.answer(module_pb2.PromoteVersionResponse, self._promote(request))
        if answer.success:
            answer.promoted_version = request.version
        return answer

    def _blue_green(self, split: Split, target: str) -> types_pb2.BlueGreenConfig:
        shift = self._parts.core.running.shift_of(target)
        return blue_green_to_pb(split, shift.started_at if shift else None)

    async def _set(self, request: module_pb2.SetTrafficWeightRequest) -> str:
        deployment, target = self._parts.deployment, request.route_id
        if request.weights:
            weights = tuple(BackendRef(PoolName(item.pool), item.weight) for item in request.weights)
            await deployment.set_weights(target, weights)
            return f'route "{target}": ' + ", ".join(f"{item.pool} {item.weight} %" for item in weights)
        _expect_version(request.version, "version")
        await deployment.set_weight(Version(request.version), request.weight, target)
        return f'version "{request.version}" has {request.weight} %'

    async def _promote(self, request: module_pb2.PromoteVersionRequest) -> str:
        deployment, version = self._parts.deployment, Version(request.version)
        _expect_version(request.version, "version")
        if request.immediate:
            await deployment.promote(version, request.route_id)
            return f'version "{version}" has 100 %'
        limits = rollout_limits_from_pb(request)
        ramp = await deployment.promote_gradually(version, limits, request.route_id)
        return f'version "{version}" has {ramp.rollout.percent} % now; {limits.in_words}'


def _expect_version(version: str, field: str) -> None:
    if not version:
        raise Refused(RefusalCode.INVALID_ARGUMENT, f"{field}: which one? it is empty")
