"""Scaling: what the members of a type say of its load, and whom to ask for how many."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from marchproxy.model.autoscaling import Observation
from marchproxy.model.module import HealthStatus, InstanceId, ModuleType
from marchproxy.nlb.state.member import Member, Standing, Stats

_ENDING = {HealthStatus.STOPPING, HealthStatus.STOPPED}


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom to ask for how many instances, and how many there are beside those it launches."""

    member: Member
    count: int
    others: int


def counted(members: Iterable[Member], kind: ModuleType) -> list[Member]:
    """The members of a type that are here to stay."""
    return [
        member
        for member in members
        if member.instance.module_type is kind and member.effective.health not in _ENDING
    ]


def observe(members: Iterable[Member], before: Mapping[str, Stats]) -> list[Observation]:
    """What each member reported; errors are those since its stats in `before`, by registration."""
    return [_observe(member, before.get(member.registration_id)) for member in members]


def _observe(member: Member, before: Stats | None) -> Observation:
    heard = member.standing is Standing.ACTIVE and member.last_heard.wall > member.registered_at
    ready = member.effective.health.takes_traffic
    if not heard:
        return Observation(ready=ready)
    stats = member.stats
    return Observation(
        ready=ready,
        cpu_percent=stats.cpu_usage_percent,
        memory_mb=stats.memory_usage_mb,
        connections=float(member.instance.current_connections),
        latency_ms=stats.avg_latency_ms,
        error_percent=None if before is None else _error_percent(before, stats),
    )


def _error_percent(before: Stats, now: Stats) -> float | None:
    requests = now.total_requests - before.total_requests
    failed = now.failed_requests - before.failed_requests
    # no traffic says nothing; counters that went back are those of a new process
    return None if requests <= 0 or failed < 0 else 100 * failed / requests


def to_ask(members: Sequence[Member], target: int, refused: Mapping[str, str]) -> list[Asking]:
    """Healthy members in the order to ask, for as many instances as make `target` in all.

    A launcher counts itself and its replicas, which are named after it: "alb-1.2". Those that refused come last; for
    fewer instances, those with the most replicas come first.
    """
    down = target < len(members)
    sizes = {member.registration_id: len(_family(member.instance.instance_id, members)) for member in members}

    def place(member: Member) -> tuple[bool, int, str]:
        size = sizes[member.registration_id]
        return member.registration_id in refused, -size if down else 0, member.instance.instance_id

    asked = []
    for member in sorted(members, key=place):
        size = sizes[member.registration_id]
        others = len(members) - size
        count = max(1, target - others)
        if member.effective.health.takes_traffic and (count != size or target == len(members)):
            asked.append(Asking(member, count, others))
    return asked


def _family(instance_id: InstanceId, members: Iterable[Member]) -> list[Member]:
    replica = f"{instance_id}."
    return [
        member
        for member in members
        if member.instance.instance_id == instance_id or member.instance.instance_id.startswith(replica)
    ]
