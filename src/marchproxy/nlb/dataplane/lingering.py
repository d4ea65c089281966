"""Lingering: sockets that stay open for a while after the kernel took over their port. Pure.

The kernel tracks connections, and what it remembers of one that has ended may keep a new one from the same client port away
from the rules: it is delivered to this host as it is, where nobody would listen. What was open before tracking began is
remembered the wrong way round, and what this host reset stays for `nf_conntrack_tcp_timeout_close`, 10 s. A socket that is
still there takes such connections.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.plan import ForwardingPlan, Target
from marchproxy.nlb.dataplane.division import Parts, joined
from marchproxy.nlb.dataplane.plane import Forwarding

LINGER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Lingering:
    """A listener that a plane keeps as it was although the kernel carries its port, until a monotonic time."""

    plane: DataPlaneKind
    forwarding: Forwarding
    address: str
    until: float


def linger(old: Parts, new: Parts, known: tuple[Lingering, ...], now: float) -> tuple[Lingering, ...]:
    """What lingers once `new` takes the place of `old`, where `known` lingered."""
    taken = {plan.listener.address for plan in new.kernel.plan.listeners if not plan.listener.over_udp}
    still = tuple(one for one in known if one.address in taken and one.until > now)
    return (*still, *_leaving(old, taken, now + LINGER_SECONDS))


def with_lingering(parts: Parts, lingering: tuple[Lingering, ...]) -> Parts:
    """The parts as they are while some linger."""
    envoy, detect = parts.envoy, parts.detect
    for one in lingering:
        if one.plane is DataPlaneKind.ENVOY:
            envoy = joined(envoy, one.forwarding)
        else:
            detect = joined(detect, one.forwarding)
    return Parts(parts.kernel, envoy, detect)


def _leaving(old: Parts, taken: set[str], until: float) -> Iterator[Lingering]:
    for kind, part in ((DataPlaneKind.ENVOY, old.envoy), (DataPlaneKind.DETECT, old.detect)):
        for plan in part.plan.listeners:
            if plan.listener.address in taken and not plan.listener.over_udp:
                alone = replace(part, plan=ForwardingPlan((plan,)), parked=_parked(part, plan.listener))
                yield Lingering(kind, alone, plan.listener.address, until)


def _parked(part: Forwarding, listener: Listener) -> dict[str, tuple[Target, ...]]:
    return {name: targets for name, targets in part.parked.items() if name == listener.name}
