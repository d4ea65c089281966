"""Scale, GetInstances."""

from marchproxy.contract.convert import HEALTH, MODULE_TYPES, instance_to_pb
from marchproxy.contract.pb import module_pb2
from marchproxy.kit.grpc import invalid
from marchproxy.kit.grpc.calls import Context
from marchproxy.model.module import HealthStatus, ModuleType
from marchproxy.model.problem import InvalidValue, RefusalCode, Refused
from marchproxy.model.scaling import ScalingLimits
from marchproxy.modules.base.api import reports
from marchproxy.modules.base.api.parts import Api


class ScalingApi(Api):
    """How many instances there are."""

    async def Scale(self, request: module_pb2.ScaleRequest, _: Context) -> module_pb2.ScaleResponse:
        """Set between which numbers the module may scale; `immediate` gets there now; drains go on after the answer."""
        parts = self._parts
        parts.expect(request.instance_id)
        limits = ScalingLimits(
            minimum=request.config.min_instances or 1,
            maximum=request.config.max_instances or max(1, request.config.min_instances),
        )
        try:
            problems = tuple(limits.faults())
            if problems:
                raise InvalidValue(problems)
            current, desired = await self._scale(limits, immediate=request.immediate)
        except (Refused, InvalidValue) as failure:
            return module_pb2.ScaleResponse(success=False, **parts.error_fields(failure))
        return module_pb2.ScaleResponse(
            success=True,
            message=f"{current} of {desired} instances{self._draining()}",
            current_instances=current,
            desired_instances=desired,
        )

    async def GetInstances(
        self, request: module_pb2.GetInstancesRequest, _: Context
    ) -> module_pb2.GetInstancesResponse:
        """Every instance of this module type that an NLB knows; this one alone when none answers."""
        parts = self._parts
        own = parts.core.engine.module_type
        try:
            wanted_type: ModuleType | None = MODULE_TYPES.from_pb(request.module_type, "module_type")
            wanted_status: HealthStatus | None = HEALTH.from_pb(request.status_filter, "status_filter")
        except InvalidValue as error:
            raise invalid(str(error)) from error
        if wanted_type not in {None, own}:
            return module_pb2.GetInstancesResponse()
        known = await parts.fleet.instances()
        me = instance_to_pb(reports.instance(parts))
        instances = [me, *(item for item in known if item.instance_id != me.instance_id)]
        if wanted_status is not None:
            instances = [item for item in instances if item.health_status == HEALTH.to_pb(wanted_status)]
        return module_pb2.GetInstancesResponse(instances=instances, total_instances=len(instances))

    def _draining(self) -> str:
        launcher = self._parts.launcher
        return f"; {launcher.draining} are draining" if launcher and launcher.draining else ""

    async def _scale(self, limits: ScalingLimits, *, immediate: bool) -> tuple[int, int]:
        parts = self._parts
        current = parts.launcher.instances if parts.launcher else 1
        desired = limits.clamp(current)
        if immediate and desired != current:
            if parts.launcher is None:
                raise Refused(
                    RefusalCode.UNAVAILABLE,
                    "this instance was started without a launcher, so it cannot start others; "
                    "start them yourself, they register by themselves",
                )
            current = await parts.launcher.scale_to(desired)
        parts.scaling = limits
        return current, desired
