"""SetTrafficWeight, GetActiveVersion, Rollback and PromoteVersion of ModuleService, for the modules behind listeners.

NLBService's RPCs are fixed; these four mean here what they mean in a module, one level up (docs/adr/0009). `route_id` is
a listener's name, empty: every listener whose modules come in that version.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

from grpc import StatusCode

from marchproxy.contract.convert import blue_green_to_pb, rollout_limits_from_pb, rollout_to_pb
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.grpc import not_found
from marchproxy.kit.grpc.calls import Context
from marchproxy.kit.grpc.status import Misuse
from marchproxy.model.module import Version
from marchproxy.model.problem import InvalidValue, RefusalCode, Refused
from marchproxy.nlb.api.desk import Desk

R = TypeVar("R")


class VersionsApi:
    """The part of ModuleService that an NLB answers; for the rest it says so."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def SetTrafficWeight(
        self, request: module_pb2.SetTrafficWeightRequest, _: Context
    ) -> module_pb2.SetTrafficWeightResponse:
        """Give a version its share of new connections; answered when the data plane splits them that way."""
        self._expect(request.instance_id)
        answer = await self._answer(module_pb2.SetTrafficWeightResponse, self._set(request))
        if answer.success:
            answer.current_config.CopyFrom(self._blue_green(request.route_id))
        return answer

    async def GetActiveVersion(
        self, request: module_pb2.GetActiveVersionRequest, _: Context
    ) -> module_pb2.GetActiveVersionResponse:
        """The split between versions, and the promotions under way or decided."""
        self._expect(request.instance_id)
        target = request.route_id
        try:
            split = self._desk.rollouts.split(target)
        except Refused as refused:
            raise not_found(refused.message) from refused
        ramps = self._desk.core.world.progress.ramps
        return module_pb2.GetActiveVersionResponse(
            active_version=split.active,
            config=self._blue_green(target),
            version_weights=dict(split.shares),
            rollouts=[
                rollout_to_pb(ramp.rollout, ramp.updated_at)
                for key, ramp in ramps.items()
                if target in {"", key} or not key
            ],
        )

    async def Rollback(self, request: module_pb2.RollbackRequest, _: Context) -> module_pb2.RollbackResponse:
        """Give everything back to a version; without a name to the one before the last shift."""
        self._expect(request.instance_id)
        wanted = Version(request.target_version)
        try:
            before, after = await self._desk.rollouts.roll_back(wanted, request.route_id)
        except Refused as refused:
            return module_pb2.RollbackResponse(success=False, **self._desk.refusal(refused))
        return module_pb2.RollbackResponse(
            success=True,
            message=f'rolled back from "{before}" to "{after}"; open connections stay where they are',
            previous_version=before,
            current_version=after,
        )

    async def PromoteVersion(
        self, request: module_pb2.PromoteVersionRequest, _: Context
    ) -> module_pb2.PromoteVersionResponse:
        """Give a version everything: at once, or step by step with an eye on its errors and latency."""
        self._expect(request.instance_id)
        answer = await self._answer(module_pb2.PromoteVersionResponse, self._promote(request))
        if answer.success:
            answer.promoted_version = request.version
        return answer

    def __getattr__(self, name: str) -> Callable[[Any, Context], Awaitable[NoReturn]]:
        """The other RPCs of ModuleService, which the server finds here by name."""
        if name.startswith("_"):
            raise AttributeError(name)

        async def refuse(_: Any, __: Context) -> NoReturn:
            raise Misuse(
                StatusCode.UNIMPLEMENTED,
                f"{name}: this is an NLB; of ModuleService it answers SetTrafficWeight, GetActiveVersion, Rollback and "
                "PromoteVersion",
            )

        return refuse

    async def _set(self, request: module_pb2.SetTrafficWeightRequest) -> str:
        if request.weights:
            message = "weights: listeners have no backend pools; give version and weight"
            raise Refused(RefusalCode.INVALID_ARGUMENT, message)
        version = _version(request.version)
        await self._desk.rollouts.set_weight(version, request.weight, request.route_id)
        return f'version "{version}" has {request.weight} % of new connections'

    async def _promote(self, request: module_pb2.PromoteVersionRequest) -> str:
        version = _version(request.version)
        if request.immediate:
            await self._desk.rollouts.set_weight(version, 100, request.route_id)
            return f'version "{version}" has 100 % of new connections'
        limits = rollout_limits_from_pb(request)
        ramp = await self._desk.rollouts.promote_gradually(version, limits, request.route_id)
        return f'version "{version}" has {ramp.rollout.percent} % now; {limits.in_words}'

    async def _answer(self, response: Callable[..., R], work: Awaitable[str]) -> R:
        try:
            message = await work
        except (Refused, InvalidValue) as failure:
            return response(success=False, **self._desk.refusal(failure))
        return response(success=True, message=message)

    def _blue_green(self, target: str) -> types_pb2.BlueGreenConfig:
        shift = self._desk.core.world.progress.shift_of(target)
        return blue_green_to_pb(self._desk.rollouts.split(target), shift.started_at if shift else None)

    def _expect(self, instance_id: str) -> None:
        own = self._desk.settings.id
        if instance_id not in {"", own}:
            raise not_found(f'instance_id: this is the NLB "{own}", not "{instance_id}"')


def _version(text: str) -> Version:
    if not text:
        raise Refused(RefusalCode.INVALID_ARGUMENT, "version: which one? it is empty")
    return Version(text)
