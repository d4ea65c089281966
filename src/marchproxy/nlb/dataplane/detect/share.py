"""Detect share: what each of several relay workers carries. Pure.

Ports are shared by all workers, so that the kernel spreads connections over them. A port that something counts on as a
whole (open connections, new ones) is the first worker's alone, so that its limits are exact.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from marchproxy.model.limit import LimitScope, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.plan import ForwardingPlan
from marchproxy.model.sharing import Port, share
from marchproxy.nlb.dataplane.plane import Forwarding


def divide(forwarding: Forwarding, workers: int) -> tuple[Forwarding, ...]:
    """What each worker carries, the first one everything."""
    if workers == 1:
        return (forwarding,)
    ports = share(plan.listener for plan in forwarding.plan.listeners)
    shared = {
        listener.name
        for port in ports
        if not _is_counted(port, forwarding.limits)
        for listener in port.listeners
    }
    rest = _only(forwarding, shared)
    return (forwarding, *([rest] * (workers - 1)))


def _is_counted(port: Port, limits: Sequence[RateLimit]) -> bool:
    return any(
        listener.max_connections or listener.max_connections_per_source or _is_limited(listener, limits)
        for listener in port.listeners
    )


def _is_limited(listener: Listener, limits: Sequence[RateLimit]) -> bool:
    for limit in limits:
        match limit.scope:
            case LimitScope.LISTENER if limit.subject != listener.name:
                continue
            case LimitScope.MODULE if limit.subject != listener.module_type.value:
                continue
            case LimitScope.EVERYTHING | LimitScope.ROUTE:
                continue
            case _:
                return True
    return False


def _only(forwarding: Forwarding, names: Collection[str]) -> Forwarding:
    plans = tuple(plan for plan in forwarding.plan.listeners if plan.listener.name in names)
    parked = {name: targets for name, targets in forwarding.parked.items() if name in names}
    return replace(forwarding, plan=ForwardingPlan(plans), parked=parked, limits=())
