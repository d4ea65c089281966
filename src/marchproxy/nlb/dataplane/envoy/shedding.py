"""Envoy's shedding: Envoy offers no way to close chosen connections, so the kernel ends its sockets to an instance.

What Envoy relays as it is, one connection behind for each in front, ends with the client's. An instance that gets HTTP
requests from a shared listener is left alone: connections to it are Envoy's own, and no client is moved by closing them.
"""

import asyncio
import ipaddress
from collections.abc import Iterator

from marchproxy.engines.sockets import IpAddress, SocketsError, close_idle
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings.types import HostPort
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Target
from marchproxy.model.sharing import Sharing, share
from marchproxy.nlb.dataplane.names import resolve
from marchproxy.nlb.dataplane.plane import Forwarding

_log = get_logger(__name__)


async def shed(forwarding: Forwarding, pid: int, instance_id: InstanceId, count: int) -> int:
    """Close up to `count` of Envoy's connections to an instance, the longest idle first; how many it could."""
    places = relayed_to(forwarding, instance_id)
    if count <= 0 or not places:
        return 0
    known = await resolve({place.host for place in places})
    addresses: list[tuple[IpAddress, int]] = [
        (ipaddress.ip_address(known[place.host]), place.port) for place in places if place.host in known
    ]
    try:
        return await asyncio.to_thread(close_idle, pid, addresses, count)
    except SocketsError as error:
        _log.warning("Envoy's connections cannot be closed", instance=instance_id, reason=str(error))
        return 0


def relayed_to(forwarding: Forwarding, instance_id: InstanceId) -> frozenset[HostPort]:
    """Where connections to an instance go that are nobody's but their client's."""
    listeners = [plan.listener for plan in forwarding.plan.listeners]
    requests = {
        listener.name
        for port in share(listeners)
        if port.sharing is Sharing.REQUEST
        for listener in port.listeners
    }
    relayed: set[HostPort] = set()
    mixed: set[HostPort] = set()
    for name, target in _targets(forwarding):
        if target.instance_id == instance_id:
            place = HostPort.parse(target.endpoint.address)
            (mixed if name in requests else relayed).add(place)
    return frozenset(relayed - mixed)


def _targets(forwarding: Forwarding) -> Iterator[tuple[str, Target]]:
    """By listener; those that only finish what they have, too."""
    for plan in forwarding.plan.listeners:
        for version in plan.versions:
            for target in version.targets:
                yield plan.listener.name, target
    for name, parked in forwarding.parked.items():
        for target in parked:
            yield name, target
