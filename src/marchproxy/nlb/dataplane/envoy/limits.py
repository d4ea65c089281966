"""Limits of Envoy's forwarding: what a plan asks for that it cannot do, and what can instead. Pure.

What can be seen in one listener is `marchproxy.model.planes`' to say, before there is a plan.
"""

from collections.abc import Iterator

from marchproxy.model.keeping import limit_obstacles
from marchproxy.model.listener import DataPlaneKind
from marchproxy.model.planes import PLANES, plane_limits
from marchproxy.model.sharing import share
from marchproxy.nlb.dataplane.plane import Forwarding


def refused(forwarding: Forwarding) -> str:
    """Why the forwarding as a whole cannot be carried, or empty."""
    return next(_refusals(forwarding), "")


def _refusals(forwarding: Forwarding) -> Iterator[str]:
    for port in share(plan.listener for plan in forwarding.plan.listeners):
        if DataPlaneKind.ENVOY not in PLANES[port.sharing]:
            yield f"Envoy cannot tell who shares {port.address}; use data_plane detect"
        for listener in port.listeners:
            for problem in plane_limits(DataPlaneKind.ENVOY, listener):
                yield f'listener "{listener.name}": {problem.message}'
        yield from limit_obstacles(DataPlaneKind.ENVOY, forwarding.limits, port)
