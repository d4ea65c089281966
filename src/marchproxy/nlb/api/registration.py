"""RegisterModule, UnregisterModule, Heartbeat, ListModules, GetModuleInfo."""

from collections.abc import Mapping
from dataclasses import replace

from marchproxy.contract.convert.enums import HEALTH
from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.convert.instance import read_instance
from marchproxy.contract.convert.query import page_to_pb, query_from_pb
from marchproxy.contract.convert.route import read_route, route_to_pb
from marchproxy.contract.convert.times import moment_to_pb
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.kit.grpc.calls import Context
from marchproxy.kit.grpc.status import invalid
from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance
from marchproxy.model.problem import InvalidValue, Refused
from marchproxy.model.query import Fields, select_rows
from marchproxy.model.route import Route
from marchproxy.nlb.api.desk import Desk, module_type
from marchproxy.nlb.api.stats import member_to_pb, stats_from_pb, stats_to_pb
from marchproxy.nlb.rules.admission import check_instance
from marchproxy.nlb.rules.fleet import instances_sharing
from marchproxy.nlb.state.member import Member
from marchproxy.nlb.state.registry import Beat

_ANSWER_SECONDS = 1.0  # what is kept of a call's time for its answer

_FIELDS: Fields[Member] = {
    "instance_id": lambda member: member.instance.instance_id,
    "module_type": lambda member: member.instance.module_type.value,
    "address": lambda member: member.instance.address,
    "health_status": lambda member: member.effective.health.value,
    "version": lambda member: member.instance.version,
    "current_connections": lambda member: member.instance.current_connections,
    "max_connections": lambda member: member.instance.max_connections,
    "traffic_weight": lambda member: member.instance.traffic_weight,
    "registered_at": lambda member: member.registered_at.isoformat(),
}


class RegistrationApi:
    """Who is there."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def RegisterModule(
        self, request: nlb_pb2.RegisterModuleRequest, _: Context
    ) -> nlb_pb2.RegisterModuleResponse:
        """Admit an instance; it gets traffic as soon as it has answered CanHandle and says it is healthy."""
        if not request.HasField("instance"):
            raise invalid("instance: is missing")
        try:
            instance, routes = _read_registration(request)
            member = self._desk.core.register(instance, routes)
        except (InvalidValue, Refused) as failure:
            return nlb_pb2.RegisterModuleResponse(success=False, **self._desk.refusal(failure))
        return nlb_pb2.RegisterModuleResponse(
            success=True,
            message=f'"{instance.instance_id}" is registered with {self._desk.settings.id}',
            registration_id=member.registration_id,
            registered_at=moment_to_pb(member.registered_at),
            instances_of_type=_sharing(self._desk, instance),
        )

    async def UnregisterModule(
        self, request: nlb_pb2.UnregisterModuleRequest, context: Context
    ) -> nlb_pb2.UnregisterModuleResponse:
        """Take an instance out of the plan at once; graceful: and wait for its open connections, as long as the call may take."""
        member = self._desk.member(request.instance_id)
        if request.drain_timeout_seconds < 0:
            raise invalid("drain_timeout_seconds: is negative")
        settings, left_of_call = self._desk.settings, context.time_remaining()
        call = settings.longest_call if left_of_call is None else left_of_call
        wait = min(float(request.drain_timeout_seconds or settings.drain_seconds), call - _ANSWER_SECONDS)
        try:
            left = await self._desk.doorkeeper.see_off(
                member.instance.instance_id,
                request.registration_id,
                max(0.0, wait) if request.graceful else 0.0,
            )
        except Refused as refused:
            return nlb_pb2.UnregisterModuleResponse(success=False, **self._desk.refusal(refused))
        late = "; the data plane has not taken it out yet" if left.in_plan else ""
        return nlb_pb2.UnregisterModuleResponse(
            success=True,
            message=f"unregistered: {left.drained} connections drained, {left.left} still open{late}",
            active_connections_drained=left.drained,
        )

    async def Heartbeat(self, request: nlb_pb2.HeartbeatRequest, _: Context) -> nlb_pb2.HeartbeatResponse:
        """Take in that an instance is alive; an unknown one is told to register."""
        desk = self._desk
        try:
            beat = _read_beat(request)
            member = desk.core.heartbeat(beat)
        except InvalidValue as error:
            raise invalid(str(error)) from error
        except Refused as refused:
            return nlb_pb2.HeartbeatResponse(
                acknowledged=False, message=refused.message, server_time=desk.now()
            )
        desk.observer.heard(beat.instance_id, beat.stats)
        wanted, running = desk.core.checksum, member.instance.config_checksum
        stale = bool(wanted and running and wanted != running)
        instances = desk.autoscaler.wanted(member.instance.module_type)
        instructions = {"config_checksum": wanted} if wanted else {}
        if instances is not None:
            instructions["instances"] = str(instances)
        return nlb_pb2.HeartbeatResponse(
            acknowledged=True,
            message="runs another configuration than this NLB" if stale else "",
            server_time=desk.now(),
            should_reload=stale,
            should_scale=instances is not None,
            instructions=instructions,
            instances_of_type=_sharing(desk, member.instance),
        )

    async def ListModules(
        self, request: nlb_pb2.ListModulesRequest, _: Context
    ) -> nlb_pb2.ListModulesResponse:
        """The members, filtered by type, health as the NLB sees it, and query."""
        kind = module_type(request.module_type_filter, "module_type_filter")
        members = self._desk.core.world.registry.members.values()
        try:
            health = HEALTH.from_pb(request.status_filter, "status_filter")
            fitting = [
                member
                for member in sorted(members, key=lambda member: member.instance.instance_id)
                if kind in {None, member.instance.module_type} and health in {None, member.effective.health}
            ]
            page = select_rows(fitting, query_from_pb(request.query), _FIELDS)
        except InvalidValue as error:
            raise invalid(str(error)) from error
        return nlb_pb2.ListModulesResponse(
            modules=[member_to_pb(member) for member in page.rows],
            total_modules=page.total_items,
            pagination=page_to_pb(page),
        )

    async def GetModuleInfo(
        self, request: nlb_pb2.GetModuleInfoRequest, _: Context
    ) -> nlb_pb2.GetModuleInfoResponse:
        """One member, the routes it says it can handle, and why it gets traffic from each listener or not."""
        member = self._desk.member(request.instance_id)
        instance_id = member.instance.instance_id
        core = self._desk.core
        verdicts = core.questions.route_verdicts()
        routes = [
            route_to_pb(entry.route)
            for route_id, entry in core.world.table.entries.items()
            if (verdict := verdicts.get((instance_id, route_id))) and verdict.can_handle
        ]
        return nlb_pb2.GetModuleInfoResponse(
            instance=member_to_pb(member),
            routes=routes,
            stats=stats_to_pb(member),
            deployment_config=_deployment(self._desk, member),
            details={
                "standing": member.standing.value,
                "registered_at": member.registered_at.isoformat(),
                **_failings(self._desk, member),
                **_traffic(self._desk, instance_id),
            },
        )


def _sharing(desk: Desk, instance: ModuleInstance) -> int:
    return instances_sharing(desk.core.applier.forwarding.plan, instance)


def _read_registration(request: nlb_pb2.RegisterModuleRequest) -> tuple[ModuleInstance, list[Route]]:
    """Raises InvalidValue with every fault of the message and of the instance."""
    faults = Faults()
    instance = read_instance(request.instance, "instance", faults)
    # clients of the earlier contract may leave the weight out
    instance = replace(instance, traffic_weight=instance.traffic_weight or 100)
    for problem in check_instance(instance):
        faults.add(problem.path, problem.message)
    routes = [
        read_route(route, f"initial_routes[{index}]", faults)
        for index, route in enumerate(request.initial_routes)
    ]
    faults.raise_any()
    return instance, routes


def _read_beat(request: nlb_pb2.HeartbeatRequest) -> Beat:
    stats = stats_from_pb(request.current_stats)
    return Beat(
        instance_id=InstanceId(request.instance_id),
        registration_id=request.registration_id,
        health=HEALTH.from_pb(request.status, "status") or HealthStatus.HEALTHY,
        stats=stats,
        connections=max(0, request.current_connections or stats.active_connections),
        config_checksum=request.config_checksum,
    )


def _failings(desk: Desk, member: Member) -> Mapping[str, str]:
    """What went wrong with it, as the NLB saw it."""
    record = desk.failings.of(member.instance.address)
    found = {f"trouble.{trouble.value}": words for trouble, words in member.troubles.items()}
    found["calls_failed"], found["calls_refused"] = str(record.failed), str(record.refused)
    if record.reason:
        found["last_call_failure"] = record.reason
    counts = desk.observer.last.of_instance(member.instance.instance_id)
    found["connects_failed"] = str(counts.failed if counts else 0)
    if reason := desk.core.watch.finding.reprieved.get(member.instance.instance_id):
        found["silence"] = reason
    return found


def _traffic(desk: Desk, instance_id: InstanceId) -> Mapping[str, str]:
    """Per listener, what the plan does with the instance."""
    found = {}
    for plan in desk.core.applier.forwarding.plan.listeners:
        key = f"listener.{plan.listener.name}"
        for version in plan.versions:
            for target in version.targets:
                if target.instance_id == instance_id:
                    found[key] = f"gets connections at {target.endpoint.address}, weight {target.weight}"
        for skipped in plan.skipped:
            if skipped.instance_id == instance_id:
                found[key] = f"gets no connections: {skipped.reason}"
    return found


def _deployment(desk: Desk, member: Member) -> types_pb2.BlueGreenConfig | None:
    """The split of the first listener that serves the type between two versions; None when there is no such split."""
    for listener in desk.core.world.desired.listeners:
        if listener.module_type is member.instance.module_type and len(listener.version_weights) == 2:
            blue, green = listener.version_weights
            return types_pb2.BlueGreenConfig(
                blue_version=blue.version,
                green_version=green.version,
                blue_weight=blue.weight,
                green_weight=green.weight,
                active_version=max(blue, green, key=lambda share: share.weight).version,
                canary_enabled=0 < green.weight < 100,
                canary_percent=green.weight,
            )
    return None
