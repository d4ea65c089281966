"""Detect places: host names of instances to IP addresses, so that no connection waits for a name server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from marchproxy.kit.settings.types import HostPort
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target
from marchproxy.nlb.dataplane.names import resolve
from marchproxy.nlb.dataplane.plane import Forwarding


async def resolved(forwarding: Forwarding) -> Forwarding:
    """With IP addresses in place of names; an instance whose name has none now is left out."""
    found = await resolve({HostPort.parse(t.endpoint.address).host for t in _targets(forwarding)})
    listeners = tuple(_place(plan, found) for plan in forwarding.plan.listeners)
    parked = {name: _placed(targets, found) for name, targets in forwarding.parked.items()}
    return replace(forwarding, plan=ForwardingPlan(listeners), parked=parked)


def _targets(forwarding: Forwarding) -> Iterator[Target]:
    for plan in forwarding.plan.listeners:
        for version in plan.versions:
            yield from version.targets
    for parked in forwarding.parked.values():
        yield from parked


def _place(plan: ListenerPlan, found: Mapping[str, str]) -> ListenerPlan:
    versions = [replace(version, targets=_placed(version.targets, found)) for version in plan.versions]
    return replace(plan, versions=tuple(version for version in versions if version.targets))


def _placed(targets: Sequence[Target], found: Mapping[str, str]) -> tuple[Target, ...]:
    placed = []
    for target in targets:
        where = HostPort.parse(target.endpoint.address)
        if (address := found.get(where.host)) is not None:
            endpoint = replace(target.endpoint, address=str(HostPort(address, where.port)))
            placed.append(replace(target, endpoint=endpoint))
    return tuple(placed)
