"""Kernel counts: what the rules counted, in the words of data planes. Pure."""

from collections.abc import Mapping

from marchproxy.engines.nftables import Counters, EndpointId
from marchproxy.model.limit import LimitId
from marchproxy.model.module import InstanceId
from marchproxy.nlb.dataplane.kernel.frontends import Kernel
from marchproxy.nlb.dataplane.plane import ConnectionCounts, LimitCounts, TrafficCounts


def traffic_counts(carried: Kernel, live: Mapping[EndpointId, int], ever: Counters) -> TrafficCounts:
    """Counts of what is carried; `live` are the open connections. Failed: nobody was there to take it."""
    endpoints: dict[tuple[str, InstanceId], ConnectionCounts] = {}
    listeners = {
        name: ConnectionCounts(failed=refused.unserved, denied=refused.denied + refused.limited)
        for name, refused in ever.frontends.items()
    }
    for endpoint, instance in carried.instances.items():
        if (read := ever.endpoints.get(endpoint)) is None:
            continue  # the rules were read before it came
        counts = ConnectionCounts(
            live.get(endpoint, 0), read.connections, received=read.bytes_in, sent=read.bytes_out
        )
        endpoints[endpoint.frontend, instance] = counts
        listeners[endpoint.frontend] = listeners.get(endpoint.frontend, ConnectionCounts()) + counts
    limits = {LimitId(name): LimitCounts(read.allowed, read.denied) for name, read in ever.limits.items()}
    return TrafficCounts(listeners, endpoints, limits)
