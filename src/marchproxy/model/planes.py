"""Planes: what a listener asks for that a data plane cannot do, and which data planes are left.

Instances and hosts are judged apart; this is about what the document says.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from marchproxy.model.keeping import limit_obstacles
from marchproxy.model.kernel import kernel_limits
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.problem import Problem
from marchproxy.model.sharing import Port, Sharing

#: Which data planes can tell listeners apart in a way, the preferred one first.
PLANES: Mapping[Sharing, tuple[DataPlaneKind, ...]] = {
    Sharing.ALONE: (DataPlaneKind.KERNEL, DataPlaneKind.ENVOY, DataPlaneKind.DETECT),
    Sharing.HELLO: (DataPlaneKind.ENVOY, DataPlaneKind.DETECT),
    Sharing.REQUEST: (DataPlaneKind.ENVOY,),
    Sharing.BYTES: (DataPlaneKind.DETECT,),
}


def wanted_planes(port: Port) -> tuple[DataPlaneKind, ...]:
    """Those that can tell the port's listeners apart and that its first listener allows; maybe none."""
    wish = port.first.data_plane
    return tuple(kind for kind in PLANES[port.sharing] if wish in {DataPlaneKind.AUTO, kind})


def able_planes(port: Port, limits: Sequence[RateLimit] = ()) -> tuple[DataPlaneKind, ...]:
    """Those of `wanted_planes` that do all that its listeners ask for, and keep the limits (those that are on)."""
    return tuple(
        kind
        for kind in wanted_planes(port)
        if not any(limit for listener in port.listeners for limit in plane_limits(kind, listener))
        and not any(limit_obstacles(kind, limits, port))
    )


def plane_limits(kind: DataPlaneKind, listener: Listener, path: str = "") -> Iterator[Problem]:
    """Everything that keeps a data plane (not AUTO) from carrying it as it is written; `path` is the listener's."""
    match kind:
        case DataPlaneKind.KERNEL:
            yield from kernel_limits(listener, path)
        case DataPlaneKind.ENVOY:
            yield from _envoy_limits(listener, path)
        case DataPlaneKind.DETECT:
            yield from _detect_limits(listener, path)
        case DataPlaneKind.AUTO:
            raise ValueError("auto is no data plane")
        case _:
            assert_never(kind)


def _envoy_limits(listener: Listener, path: str) -> Iterator[Problem]:
    if listener.max_connections_per_source:
        yield Problem(
            f"{path}.max_connections_per_source",
            "Envoy cannot count connections by source; use data_plane kernel or detect",
        )


def _detect_limits(listener: Listener, path: str) -> Iterator[Problem]:
    if listener.over_udp:
        yield Problem(
            f"{path}.data_plane", f"the detect data plane does not forward UDP ({listener.protocol.value})"
        )
    if listener.tls is not None:
        yield Problem(
            f"{path}.tls",
            "the detect data plane does not end TLS; use data_plane envoy, or leave it to the module",
        )
