"""Scaling: what the members of a type say of its load, and whom to ask for how many."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.model.autoscaling import Observation
from marchproxy.model.module import HealthStatus, InstanceId, ModuleType
from marchproxy.nlb.dataplane.plane import ConnectionCounts, TrafficCounts
from marchproxy.nlb.rules.connects import failed_percent
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


@dataclass(frozen=True, slots=True)
class Failures:
    """What the data plane saw go wrong since the last look, in percent of what was attempted.

    `connects` by instance; `unserved`: connections to the type's listeners, and RouteRequests, that led to nobody.
    """

    connects: Mapping[InstanceId, float] = field(default_factory=dict)
    unserved: float = 0.0


def failures(before: TrafficCounts, now: TrafficCounts, listeners: Collection[str]) -> Failures:
    """The failures of the instances behind these listeners, and of the listeners themselves, between two counts."""
    connects: dict[InstanceId, float] = {}
    for (name, instance), counts in now.endpoints.items():
        percent = failed_percent(before.endpoints.get((name, instance), ConnectionCounts()), counts)
        if name in listeners and percent:
            connects[instance] = max(percent, connects.get(instance, 0.0))
    nothing = ConnectionCounts()
    old = sum((before.listeners.get(name, nothing) for name in listeners), nothing)
    new = sum((now.listeners.get(name, nothing) for name in listeners), nothing)
    # those that reached nobody were accepted like all others
    accepted, failed = new.total - old.total, new.failed - old.failed
    return Failures(connects, 100 * failed / accepted if accepted >= failed > 0 else 0.0)


def observe(
    members: Iterable[Member], before: Mapping[str, Stats], seen: Failures | None = None
) -> list[Observation]:
    """What each member reported since its stats in `before`, by registration; errors are the worst of all sources."""
    worst = seen or Failures()
    return [_observe(member, before.get(member.registration_id), worst) for member in members]


def _observe(member: Member, before: Stats | None, worst: Failures) -> Observation:
    heard = member.standing is Standing.ACTIVE and member.last_heard.wall > member.registered_at
    ready = member.effective.health.takes_traffic
    told = None if before is None or not heard else _error_percent(before, member.stats)
    errors = max(told or 0.0, worst.connects.get(member.instance.instance_id, 0.0), worst.unserved)
    error_percent = errors if errors or told is not None else None
    if not heard:
        return Observation(ready=ready, error_percent=error_percent)
    stats = member.stats
    return Observation(
        ready=ready,
        cpu_percent=stats.cpu_usage_percent,
        memory_mb=stats.memory_usage_mb,
        connections=float(member.instance.current_connections),
        latency_ms=_latency(before, stats),
        error_percent=error_percent,
    )


def _latency(before: Stats | None, now: Stats) -> float:
    """The module's own mean over its last window; where nothing was asked since the last look, that is an old one."""
    idle = before is not None and now.total_requests == before.total_requests
    return 0.0 if idle else now.avg_latency_ms


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
