"""Load: how busy each instance is, how evenly it is spread, and weights that favour the idle. Pure."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, ModuleInstance, ModuleType
from marchproxy.nlb.state.member import Member

#: A rebalanced weight is at most this many times, and at least this fraction of, the configured one.
_MOST = 4.0
_LARGEST_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class Load:
    """The load of one instance. `score`: 0 idle, 1 at its limit."""

    member: Member
    connections: int
    score: float


def measure(members: Collection[Member], connections: Mapping[InstanceId, int]) -> list[Load]:
    """The load of each member; `connections` are live counts, where known, in place of the last heartbeat's."""
    live = [(m, connections.get(m.instance.instance_id, m.instance.current_connections)) for m in members]
    most = max((count for _, count in live), default=0)
    return [Load(member, count, _score(member, count, most)) for member, count in live]


def balance_score(counts: Sequence[float]) -> float:
    """1 minus the coefficient of variation, not below 0. Nothing to spread, or one instance: 1."""
    if len(counts) < 2 or not any(counts):
        return 1.0
    return max(0.0, 1.0 - pstdev(counts) / fmean(counts))


def alike(loads: Sequence[Load], listeners: Sequence[Listener]) -> list[list[Load]]:
    """Loads in groups that stand in for one another: of one type, and of one version where versions have shares."""
    split = {listener.module_type for listener in listeners if listener.version_weights}
    groups: dict[tuple[ModuleType, str], list[Load]] = {}
    for load in loads:
        instance = load.member.instance
        version = instance.version if instance.module_type in split else ""
        groups.setdefault((instance.module_type, version), []).append(load)
    return list(groups.values())


def spread(groups: Sequence[Sequence[Load]]) -> float:
    """The balance score of the group that is spread worst, by connections for each configured weight."""
    return min(
        (
            balance_score(
                [load.connections * 100 / max(load.member.instance.traffic_weight, 1) for load in group]
            )
            for group in groups
        ),
        default=1.0,
    )


def excess(group: Sequence[Load]) -> dict[InstanceId, int]:
    """Connections that instances have beyond their share by weight, rounded up; an instance of weight 0 has no share."""
    taking = [load for load in group if load.member.instance.traffic_weight > 0]
    weights = sum(load.member.instance.traffic_weight for load in taking)
    total = sum(load.connections for load in taking)
    found = {}
    for load in taking:
        share = math.ceil(total * load.member.instance.traffic_weight / weights)
        if load.connections > share:
            found[load.member.instance.instance_id] = load.connections - share
    return found


def favour_idle(
    instances: Sequence[ModuleInstance], connections: Mapping[InstanceId, int]
) -> dict[InstanceId, int]:
    """A weight for each instance, in inverse proportion to its connections per configured weight.

    At most fourfold either way, within 1 and 100; an instance of weight 0 keeps it.
    """
    taking = [instance for instance in instances if instance.traffic_weight > 0]
    busy = {i.instance_id: (connections.get(i.instance_id, 0) + 1) / i.traffic_weight for i in taking}
    if not busy:
        return {}
    mean = fmean(busy.values())
    factors = {key: min(_MOST, max(1 / _MOST, mean / value)) for key, value in busy.items()}
    wanted = {i.instance_id: i.traffic_weight * factors[i.instance_id] for i in taking}
    # weights end at 100; scaling all of them down keeps their proportions
    scale = min(1.0, _LARGEST_WEIGHT / max(wanted.values()))
    return {key: max(1, round(weight * scale)) for key, weight in wanted.items()}


def _score(member: Member, count: int, most: int) -> float:
    """The larger of connection share and processor share; without a limit of its own, the busiest peer is the measure."""
    limit = member.instance.max_connections or most
    share = count / limit if limit else 0.0
    return min(1.0, max(share, member.stats.cpu_usage_percent / 100))
