"""Plan: what the NLB forwards where. Compiled when something changes, never per connection."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

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
    """An instance that takes traffic, and where; `weight` is its share within its version.

    `plain` is where the kernel may send the client's own packets: an endpoint that expects no PROXY protocol.
    """

    instance_id: InstanceId
    version: Version
    endpoint: TrafficEndpoint
    weight: int
    plain: TrafficEndpoint | None = None


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
    fitting = _fitting(instance, protocol)
    return max(fitting, key=lambda endpoint: endpoint.proxy_protocol, default=None)


def plain_endpoint_for(instance: ModuleInstance, protocol: Protocol) -> TrafficEndpoint | None:
    """The instance's endpoint for clients' own packets; one that is no loopback address is preferred."""
    plain = [endpoint for endpoint in _fitting(instance, protocol) if not endpoint.proxy_protocol]
    return min(plain, key=is_loopback, default=None)


def spoken_to(listener: Listener) -> Protocol:
    """What the module behind a listener is spoken to: what is left when TLS has ended here."""
    inside = {Protocol.HTTPS: Protocol.HTTP, Protocol.RTMPS: Protocol.RTMP}
    return listener.protocol if listener.tls is None else inside.get(listener.protocol, listener.protocol)


def target_for(instance: ModuleInstance, listener: Listener, *, weight: int) -> Target | None:
    """The instance as a target of the listener, on any data plane that may carry it; None when there is no endpoint."""
    plain = plain_endpoint_for(instance, spoken_to(listener))
    endpoint = plain if _wants_plain(listener) else endpoint_for(instance, spoken_to(listener))
    if endpoint is None:
        return None
    return Target(instance.instance_id, instance.version, endpoint, weight, plain)


def is_loopback(endpoint: TrafficEndpoint) -> bool:
    """Whether the address, as it is written, is one of the loopback interface."""
    return _is_loopback(endpoint.address)


@lru_cache(maxsize=16_384)  # the same addresses are asked for at every change
def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wants_plain(listener: Listener) -> bool:
    return (
        listener.kernel_only or listener.over_udp
    )  # PROXY protocol goes ahead of a stream, not of datagrams


def _fitting(instance: ModuleInstance, protocol: Protocol) -> list[TrafficEndpoint]:
    family = HTTP_FAMILY if protocol in HTTP_FAMILY else frozenset({protocol})
    return [endpoint for endpoint in instance.traffic_endpoints if endpoint.protocol in family]


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
    return _placed_or_reason(instance, listener)


def _placed_or_reason(instance: ModuleInstance, listener: Listener) -> Target | str:
    target = target_for(instance, listener, weight=instance.traffic_weight)
    if target is None:
        plain = "plain " if _wants_plain(listener) else ""
        return f"offers no {plain}{spoken_to(listener).value} endpoint"
    if listener.kernel_only and is_loopback(target.endpoint):
        return (
            f"listens on {target.endpoint.address}, a loopback address, where the kernel cannot send clients"
        )
    return target
