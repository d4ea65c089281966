"""RebalanceLoad, GetLoadDistribution, TriggerScaling."""

from collections.abc import Mapping, Sequence

from marchproxy.contract.convert.scaling import scaling_from_pb
from marchproxy.contract.pb import nlb_pb2
from marchproxy.kit.grpc.calls import Context
from marchproxy.kit.grpc.status import invalid, not_found
from marchproxy.model.module import HealthStatus, InstanceId, ModuleType
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.problem import InvalidValue, RefusalCode, Refused
from marchproxy.model.scaling import MOST_INSTANCES
from marchproxy.nlb.api.desk import Desk, module_type
from marchproxy.nlb.rules.load import Load, alike, excess, favour_idle, measure, spread
from marchproxy.nlb.rules.scaling import counted
from marchproxy.nlb.state.member import Member
from marchproxy.nlb.state.world import Rebalance

_REBALANCE_SECONDS = 60.0
_BALANCED = 0.9
_APPLY_SECONDS = 10.0


class LoadApi:
    """How load is spread, and changed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def GetLoadDistribution(
        self, request: nlb_pb2.GetLoadDistributionRequest, _: Context
    ) -> nlb_pb2.GetLoadDistributionResponse:
        """The load of each instance now, and how evenly connections are spread; those that are gone do not count for that."""
        kind = module_type(request.module_type_filter, "module_type_filter")
        loads = await self._loads(kind)
        shown = list(loads)
        if request.include_historical:
            gone = self._desk.observer.gone()
            shown += measure([m for m in gone if kind in {None, m.instance.module_type}], {})
        return nlb_pb2.GetLoadDistributionResponse(
            distribution={load.member.instance.instance_id: _info(load) for load in shown},
            balance_score=spread(self._alike(loads)),
            measured_at=self._desk.now(),
        )

    async def RebalanceLoad(
        self, request: nlb_pb2.RebalanceLoadRequest, _: Context
    ) -> nlb_pb2.RebalanceLoadResponse:
        """For a minute, new connections favour the less loaded; force: the connections an instance has too many are closed."""
        core = self._desk.core
        chosen = {self._desk.member(name).instance.instance_id for name in request.target_instances}
        groups = self._alike(
            [
                load
                for load in await self._loads(None)
                if not chosen or load.member.instance.instance_id in chosen
            ]
        )
        before = {
            str(load.member.instance.instance_id): _weight(load.member, core.world.rebalance)
            for group in groups
            for load in group
        }
        try:
            self._check_strategy(request.strategy)
            if not request.force and spread(groups) >= _BALANCED:
                message = "the load is balanced already; nothing was changed"
                return nlb_pb2.RebalanceLoadResponse(
                    success=True, message=message, previous_distribution=before, new_distribution=before
                )
            weights = _new_weights(groups)
            until = core.now().monotonic + _REBALANCE_SECONDS
            merged = {**core.world.rebalance.weights, **weights}
            await core.rebalance(Rebalance(merged, until), timeout=_APPLY_SECONDS)
        except Refused as refused:
            return nlb_pb2.RebalanceLoadResponse(
                success=False,
                previous_distribution=before,
                new_distribution=before,
                **self._desk.refusal(refused),
            )
        closed, left = await self._shed(groups) if request.force else ({}, {})
        return nlb_pb2.RebalanceLoadResponse(
            success=True,
            message=_told(request.force, closed, left),
            previous_distribution=before,
            new_distribution=before | _by_text(weights),
            connections_closed=closed,
            connections_left=left,
        )

    async def TriggerScaling(
        self, request: nlb_pb2.TriggerScalingRequest, _: Context
    ) -> nlb_pb2.TriggerScalingResponse:
        """Ask an instance of the type to have its launcher run more or fewer."""
        kind = self._kind(request)
        scaler = self._desk.autoscaler
        current = len(counted(self._desk.core.world.registry.members.values(), kind))
        try:
            target = _target(request, current)
            if request.HasField("config"):
                scaler.override(scaling_from_pb(request.config, kind))
            if config := scaler.config(kind):
                target = config.limits.clamp(target)
            scaled = await scaler.request(kind, target)
        except (Refused, InvalidValue) as refused:
            return nlb_pb2.TriggerScalingResponse(
                success=False, current_instances=current, scaling_action="none", **self._desk.refusal(refused)
            )
        way = "scale_up" if scaled.desired > scaled.current else "scale_down"
        return nlb_pb2.TriggerScalingResponse(
            success=True,
            message=scaled.message,
            current_instances=scaled.current,
            target_instances=scaled.desired,
            scaling_action=way if scaled.desired != scaled.current else "none",
        )

    async def _loads(self, kind: ModuleType | None) -> list[Load]:
        members = [
            member
            for member in self._desk.core.world.registry.members.values()
            if kind in {None, member.instance.module_type}
            and member.effective.health is not HealthStatus.STOPPED
        ]
        return measure(members, await self._desk.observer.connections())

    def _kind(self, request: nlb_pb2.TriggerScalingRequest) -> ModuleType:
        if request.instance_id:
            return self._desk.member(request.instance_id).instance.module_type
        kind = module_type(request.module_type, "module_type")
        if kind is None:
            raise invalid("module_type: name a type, or an instance of it")
        if kind is ModuleType.NLB:
            raise not_found("module_type: NLBs do not register here, so none can be scaled")
        return kind

    def _check_strategy(self, strategy: str) -> None:
        known = {policy.value for policy in BalancePolicy}
        listeners = self._desk.core.world.desired.listeners
        other = [listener.name for listener in listeners if strategy and listener.balance.value != strategy]
        if strategy and strategy not in known:
            raise Refused(
                RefusalCode.INVALID_ARGUMENT,
                f'strategy: "{strategy}" is unknown; known: {", ".join(sorted(known))}',
            )
        if other:
            raise Refused(
                RefusalCode.INVALID_ARGUMENT,
                f"strategy: listener {', '.join(other)} has another one; change its `balance` in the configuration",
            )

    def _alike(self, loads: Sequence[Load]) -> list[list[Load]]:
        return alike(loads, self._desk.core.world.desired.listeners)

    async def _shed(self, groups: Sequence[Sequence[Load]]) -> tuple[dict[str, int], dict[str, int]]:
        """Close what instances have too many: how many were closed, and how many could not be, by instance."""
        closed, left = {}, {}
        for group in groups:
            for instance_id, count in excess(group).items():
                done = await self._desk.plane.shed(instance_id, count)
                closed[str(instance_id)], left[str(instance_id)] = done, count - done
        self._desk.gauges.shed(closed=sum(closed.values()), left=sum(left.values()))
        return _positive(closed), _positive(left)


def _new_weights(groups: Sequence[Sequence[Load]]) -> dict[InstanceId, int]:
    """Weights group by group: instances of different types do not stand in for one another. Raises Refused."""
    weights: dict[InstanceId, int] = {}
    for group in groups:
        connections = {load.member.instance.instance_id: load.connections for load in group}
        weights |= favour_idle([load.member.instance for load in group], connections)
    if not weights:
        raise Refused(RefusalCode.UNAVAILABLE, "no instance has a weight that could be changed")
    return weights


def _told(force: bool, closed: Mapping[str, int], left: Mapping[str, int]) -> str:  # noqa: FBT001 - as in the request
    if not force:
        return f"new connections favour the less loaded for {_REBALANCE_SECONDS:g} s; open ones stay"
    rest = f", {sum(left.values())} could not be closed" if left else ""
    return (
        f"new connections favour the less loaded for {_REBALANCE_SECONDS:g} s; "
        f"{sum(closed.values())} connections too many were closed{rest}"
    )


def _positive(counts: Mapping[str, int]) -> dict[str, int]:
    return {key: count for key, count in counts.items() if count > 0}


def _target(request: nlb_pb2.TriggerScalingRequest, current: int) -> int:
    """How many instances are wanted. Raises Refused."""
    match request.scaling_action:
        case "scale_up":
            target = current + 1
        case "scale_down":
            target = current - 1
        case "set":
            target = request.target_instances
        case other:
            message = f'scaling_action: "{other}" is not scale_up, scale_down or set'
            raise Refused(RefusalCode.INVALID_ARGUMENT, message)
    if not 0 <= target <= MOST_INSTANCES:
        message = f"target_instances: {target} is not between 0 and {MOST_INSTANCES}"
        raise Refused(RefusalCode.INVALID_ARGUMENT, message)
    return target


def _by_text(weights: Mapping[InstanceId, int]) -> dict[str, int]:
    return {str(key): weight for key, weight in weights.items()}


def _weight(member: Member, rebalance: Rebalance) -> int:
    return rebalance.weights.get(member.instance.instance_id, member.instance.traffic_weight)


def _info(load: Load) -> nlb_pb2.LoadInfo:
    member = load.member
    return nlb_pb2.LoadInfo(
        instance_id=member.instance.instance_id,
        active_connections=load.connections,
        cpu_usage_percent=member.stats.cpu_usage_percent,
        memory_usage_mb=member.stats.memory_usage_mb,
        requests_per_second=round(member.requests_per_second),
        avg_latency_ms=member.stats.avg_latency_ms,
        queue_depth=_queue_depth(member),
        load_score=load.score,
    )


def _queue_depth(member: Member) -> int:
    """Requests that wait, where a module tells; `custom_stats` is its own free text."""
    text = member.stats.custom.get("queue_depth", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
