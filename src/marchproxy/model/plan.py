"""Plan: what the NLB forwards where. Compiled when something changes, never per connection."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from marchproxy.model.listener import Listener
from marchproxy.model.module import (
    HTTP_FAMILY,
    InstanceId,
    ModuleInstance,
    Protocol,
    TrafficEndpoint,
    Version,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An instance's answer to CanHandle. A higher `priority` wins between module types; `details` explain the answer."""

    can_handle: bool
    priority: int = 0
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Target:
    """An instance that takes traffic, and where; `weight` is its share within its version."""

    instance_id: InstanceId
    version: Version
    endpoint: TrafficEndpoint
    weight: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """An instance of the right type that takes no traffic, and why."""

    instance_id: InstanceId
    reason: str


@dataclass(frozen=True, slots=True)
class VersionTargets:
    """The instances of one version, and the version's share of new connections, relative to the others."""

    version: Version
    weight: int
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class ListenerPlan:
    """Where one listener's connections go. No versions: nobody can take them, and `skipped` says why."""

    listener: Listener
    versions: tuple[VersionTargets, ...]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class ForwardingPlan:
    """Every listener's plan. Data planes carry it; RouteRequest and `explain` answer from it."""

    listeners: tuple[ListenerPlan, ...] = ()


def compile_plan(
    listeners: Iterable[Listener],
    instances: Sequence[ModuleInstance],
    verdicts: Mapping[tuple[InstanceId, str], Verdict],
) -> ForwardingPlan:
    """The plan for these listeners and instances; `verdicts` are CanHandle answers by instance and listener name."""
    ordered = sorted(instances, key=lambda instance: instance.instance_id)
    return ForwardingPlan(tuple(_plan_listener(listener, ordered, verdicts) for listener in listeners))


def endpoint_for(instance: ModuleInstance, protocol: Protocol) -> TrafficEndpoint | None:
    """The instance's endpoint for a listener's protocol; one that carries the client's address is preferred."""
    family = HTTP_FAMILY if protocol in HTTP_FAMILY else frozenset({protocol})
    fitting = [endpoint for endpoint in instance.traffic_endpoints if endpoint.protocol in family]
    return max(fitting, key=lambda endpoint: endpoint.proxy_protocol, default=None)


def _plan_listener(
    listener: Listener,
    instances: Iterable[ModuleInstance],
    verdicts: Mapping[tuple[InstanceId, str], Verdict],
) -> ListenerPlan:
    targets: dict[Version, list[Target]] = {}
    skipped: list[Skipped] = []
    for instance in instances:
        if instance.module_type is not listener.module_type:
            continue
        found = _target_or_reason(instance, listener, verdicts.get((instance.instance_id, listener.name)))
        if isinstance(found, Target):
            targets.setdefault(instance.version, []).append(found)
        else:
            skipped.append(Skipped(instance.instance_id, found))
    shares = {item.version: item.weight for item in listener.version_weights}
    versions = []
    for version, members in sorted(targets.items()):
        weight = shares.get(version, 0) if shares else sum(target.weight for target in members)
        if weight > 0:
            versions.append(VersionTargets(version, weight, tuple(members)))
        else:
            skipped += [Skipped(t.instance_id, f'version "{version}" has weight 0') for t in members]
    return ListenerPlan(listener, tuple(versions), tuple(skipped))


def _target_or_reason(instance: ModuleInstance, listener: Listener, verdict: Verdict | None) -> Target | str:
    if not instance.health.takes_traffic:
        return f"is {instance.health.value}"
    if verdict is None:
        return "has not answered CanHandle yet"
    if not verdict.can_handle:
        return f"cannot handle it: {verdict.reason or 'no reason given'}"
    if instance.traffic_weight <= 0:
        return "has traffic weight 0"
    endpoint = endpoint_for(instance, listener.protocol)
    if endpoint is None:
        return f"offers no {listener.protocol.value} endpoint"
    return Target(instance.instance_id, instance.version, endpoint, instance.traffic_weight)
