"""Registry: who is registered. Steps are pure: a registry and an event in, a registry and an answer out."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from marchproxy.model.module import HealthStatus, InstanceId, ModuleInstance
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.nlb.rules.admission import check_instance
from marchproxy.nlb.state.member import Member, Moment, Standing, Stats, Trouble

MAX_MEMBERS = 1000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence is borne: heartbeat interval in seconds, and how many may be missed."""

    interval: float = 10.0
    missed_unhealthy: int = 3
    missed_removed: int = 6


@dataclass(frozen=True, slots=True)
class Registry:
    """The members by instance id."""

    members: Mapping[InstanceId, Member] = field(default_factory=dict)

    def instances(self) -> list[ModuleInstance]:
        """Every member as the plan sees it."""
        return [member.effective for member in self.members.values()]


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat."""

    instance_id: InstanceId
    registration_id: str
    health: HealthStatus
    stats: Stats = field(default_factory=Stats)
    connections: int = 0
    config_checksum: str = ""


class Change(Enum):
    """What happened to a member."""

    REGISTERED = "registered"
    REPLACED = "replaced"
    HEALTH = "health changed"
    MISSING = "missed its heartbeats"
    RETURNED = "is heard again"
    REMOVED = "removed"
    TROUBLED = "is in trouble"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Changed:
    """A change worth a log line and a new plan."""

    instance_id: InstanceId
    change: Change
    detail: str = ""


def register(
    registry: Registry, instance: ModuleInstance, registration_id: str, now: Moment
) -> tuple[Registry, Changed]:
    """Admit an instance, or raise Refused with every fault of it.

    An id that is taken is given up when the newcomer has the same gRPC address, or the old one no longer takes
    traffic or was only remembered; otherwise two live processes claim one id, and the second is refused.
    """
    problems = tuple(check_instance(instance))
    if problems:
        raise Refused(RefusalCode.INVALID_ARGUMENT, "the registration has faults", problems)
    old = registry.members.get(instance.instance_id)
    if old is not None and _defends_its_id(old, instance):
        raise Refused(
            RefusalCode.ALREADY_EXISTS,
            f'"{instance.instance_id}" is registered from {old.instance.address} and alive; '
            f"{instance.address} needs another instance_id",
        )
    if old is None and len(registry.members) >= MAX_MEMBERS:
        raise Refused(RefusalCode.RESOURCE_EXHAUSTED, f"{MAX_MEMBERS} instances are registered already")
    member = Member(instance, registration_id, now.wall, now)
    change = Change.REGISTERED if old is None else Change.REPLACED
    return _with(registry, member), Changed(instance.instance_id, change, f"at {instance.address}")


def heartbeat(registry: Registry, beat: Beat, now: Moment) -> tuple[Registry, tuple[Changed, ...]]:
    """Take in a heartbeat. Raises Refused when the sender has to register (again)."""
    old = registry.members.get(beat.instance_id)
    if old is None:
        raise Refused(RefusalCode.NOT_FOUND, f'"{beat.instance_id}" is not registered; register it')
    if old.standing is Standing.PROVISIONAL:
        raise Refused(RefusalCode.NOT_FOUND, "this NLB was restarted; register again")
    if old.registration_id != beat.registration_id:
        raise Refused(RefusalCode.NOT_FOUND, "the registration was replaced by another one; register again")
    instance = replace(
        old.instance,
        health=beat.health,
        current_connections=beat.connections,
        config_checksum=beat.config_checksum or old.instance.config_checksum,
    )
    standing = Standing.ACTIVE if old.standing is Standing.MISSING else old.standing
    rate = _rate(old, beat.stats, now)
    member = replace(
        old,
        instance=instance,
        standing=standing,
        last_heard=now,
        stats=beat.stats,
        requests_per_second=rate,
    )
    return _with(registry, member), tuple(_differences(old, member))


def leave(registry: Registry, instance_id: InstanceId, registration_id: str) -> Registry:
    """Take a member out of the plan; it stays known while its connections end. Raises Refused.

    An empty `registration_id` is an operator's wish and always honoured.
    """
    member = registry.members.get(instance_id)
    if member is None:
        raise Refused(RefusalCode.NOT_FOUND, f'"{instance_id}" is not registered')
    if registration_id and registration_id != member.registration_id:
        raise Refused(
            RefusalCode.PERMISSION_DENIED,
            f'registration_id: not the one "{instance_id}" is registered with; it may have registered again',
        )
    return _with(registry, replace(member, standing=Standing.LEAVING))


def remove(registry: Registry, instance_id: InstanceId, registration_id: str) -> Registry:
    """Forget a member, unless it has registered anew since."""
    member = registry.members.get(instance_id)
    if member is None or member.registration_id != registration_id:
        return registry
    return Registry({key: value for key, value in registry.members.items() if key != instance_id})


def note_trouble(
    registry: Registry, instance_id: InstanceId, trouble: Trouble, reason: str
) -> tuple[Registry, tuple[Changed, ...]]:
    """Remember what is wrong with a member; an empty reason: nothing any more. An unknown member changes nothing."""
    member = registry.members.get(instance_id)
    if member is None or (not reason and trouble not in member.troubles):
        return registry, ()
    others = {kind: words for kind, words in member.troubles.items() if kind is not trouble}
    changed = _with(registry, replace(member, troubles=others | ({trouble: reason} if reason else {})))
    if reason and trouble in member.troubles:
        return changed, ()  # only the words are new
    change = Change.TROUBLED if reason else Change.RECOVERED
    return changed, (Changed(instance_id, change, reason or trouble.value),)


def silence(member: Member, now: Moment, patience: Patience) -> float:
    """For how many heartbeat intervals a member has not been heard."""
    return (now.monotonic - member.last_heard.monotonic) / patience.interval


def tick(
    registry: Registry, now: Moment, patience: Patience, reprieved: Collection[InstanceId] = ()
) -> tuple[Registry, tuple[Changed, ...]]:
    """Time has passed: members that were silent for too long lose their traffic, then their place; not the reprieved."""
    kept: dict[InstanceId, Member] = {}
    changes: list[Changed] = []
    for key, member in registry.members.items():
        missed = int(silence(member, now, patience))
        detail = f"{missed} heartbeats missed"
        if member.standing is Standing.LEAVING or key in reprieved:
            kept[key] = member  # a drain has a deadline of its own
        elif missed >= patience.missed_removed:
            changes.append(Changed(key, Change.REMOVED, detail))
        elif missed >= patience.missed_unhealthy and member.standing is not Standing.MISSING:
            kept[key] = replace(member, standing=Standing.MISSING)
            changes.append(Changed(key, Change.MISSING, detail))
        else:
            kept[key] = member
    return (Registry(kept) if changes else registry), tuple(changes)


def restore(members: Iterable[Member], now: Moment) -> Registry:
    """A registry from before a restart: everybody keeps its place, with a fresh timer, until it registers again."""
    return Registry(
        {
            member.instance.instance_id: replace(member, standing=Standing.PROVISIONAL, last_heard=now)
            for member in members
            if member.standing is not Standing.LEAVING
        }
    )


def _defends_its_id(old: Member, newcomer: ModuleInstance) -> bool:
    return (
        old.instance.address != newcomer.address
        and old.standing is Standing.ACTIVE
        and old.instance.health is not HealthStatus.UNHEALTHY
        and old.instance.health is not HealthStatus.STOPPED
    )


def _differences(old: Member, new: Member) -> Iterable[Changed]:
    key = new.instance.instance_id
    if old.standing is not new.standing:
        yield Changed(key, Change.RETURNED)
    if old.instance.health is not new.instance.health:
        yield Changed(key, Change.HEALTH, f"{old.instance.health.value} → {new.instance.health.value}")


def _rate(old: Member, stats: Stats, now: Moment) -> float:
    elapsed = now.monotonic - old.last_heard.monotonic
    requests = stats.total_requests - old.stats.total_requests
    # a module that restarted counts from 0 again
    return requests / elapsed if elapsed > 0 and requests > 0 else 0.0


def _with(registry: Registry, member: Member) -> Registry:
    return Registry({**registry.members, member.instance.instance_id: member})
