"""Frontends: a forwarding plan as the kernel engine's plan. Pure.

Shares of versions and of instances within them become one whole-numbered weight for each backend. Narrow limits come before
wide ones: what a client is refused for itself takes nothing from others.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import gcd, lcm

from marchproxy.engines.nftables import (
    Backend,
    EndpointId,
    Frontend,
    Limit,
    Period,
    Plan,
    Policy,
    Protocol,
    Rate,
)
from marchproxy.model.keeping import concerns
from marchproxy.model.limit import LimitScope, RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import ListenerPlan, Target
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.choosing import Ground, Place, place_of
from marchproxy.nlb.dataplane.plane import Forwarding

LARGEST_WEIGHT = 65_535
"""Of a backend; heavier ones are scaled down together."""
_POLICIES = {
    BalancePolicy.RANDOM: Policy.RANDOM,
    BalancePolicy.ROUND_ROBIN: Policy.ROUND_ROBIN,
    BalancePolicy.SOURCE_HASH: Policy.SOURCE_HASH,
}


_NARROW_FIRST = (LimitScope.CLIENT, LimitScope.SOURCE, LimitScope.LISTENER, LimitScope.MODULE)


@dataclass(frozen=True, slots=True)
class Kernel:
    """The engine's plan, the instance behind each of its endpoints, and instances left out with the reason."""

    plan: Plan = Plan()
    instances: Mapping[EndpointId, InstanceId] = field(default_factory=dict, hash=False)
    left_out: tuple[str, ...] = ()


def build_kernel(forwarding: Forwarding, ground: Ground) -> Kernel:
    """Everything in the forwarding as frontends. Raises KeyError for a balance that the kernel does not know."""
    frontends, instances, left_out = [], {}, []
    for plan in forwarding.plan.listeners:
        parked = forwarding.parked.get(plan.listener.name, ())
        placed = dict[Place, tuple[Target, int]]()
        for target, weight in _weighted(plan, parked):
            place = place_of(target, ground)
            if place is None or not _fits(place, plan):
                left_out.append(f"{plan.listener.name}: {target.instance_id}")
            else:
                placed.setdefault(place, (target, weight))  # of two instances at one address the first has it
        name = plan.listener.name
        instances.update({EndpointId(name, p.address, p.port): t.instance_id for p, (t, _) in placed.items()})
        weights = {place: weight for place, (_, weight) in placed.items()}
        frontends.append(_frontend(plan.listener, weights, forwarding.limits, ground))
    return Kernel(Plan(tuple(frontends)), instances, tuple(left_out))


def whole_weights(plan: ListenerPlan) -> dict[InstanceId, int]:
    """The weight of each instance over all versions: the version's weight, divided by the instances' own weights."""
    sums = {v.version: sum(target.weight for target in v.targets) for v in plan.versions}
    common = lcm(*sums.values()) if sums else 1
    exact = {
        target.instance_id: version.weight * target.weight * (common // sums[version.version])
        for version in plan.versions
        for target in version.targets
    }
    divisor = gcd(*exact.values()) or 1
    reduced = {key: weight // divisor for key, weight in exact.items()}
    heaviest = max(reduced.values(), default=0)
    if heaviest <= LARGEST_WEIGHT:
        return reduced
    return {key: max(1, weight * LARGEST_WEIGHT // heaviest) for key, weight in reduced.items()}


def _weighted(plan: ListenerPlan, parked: Iterable[Target]) -> Iterator[tuple[Target, int]]:
    weights = whole_weights(plan)
    for version in plan.versions:
        for target in version.targets:
            yield target, weights[target.instance_id]
    for target in parked:
        yield target, 0


def _fits(place: Place, plan: ListenerPlan) -> bool:
    return not place.loopback and place.version == _version(plan.listener)


def _version(listener: Listener) -> int:
    return 6 if ":" in listener.host else 4


def _frontend(
    listener: Listener, weights: Mapping[Place, int], limits: Iterable[RateLimit], ground: Ground
) -> Frontend:
    backends = [
        Backend(
            place.address,
            place.port,
            weight,
            local=place.local,
            keep_source=ground.keep_source and not place.local,
        )
        for place, weight in weights.items()
    ]
    concerned = sorted(
        (limit for limit in limits if concerns(limit, listener)),
        key=lambda one: _NARROW_FIRST.index(one.scope),
    )
    return Frontend(
        listener.name,
        Protocol.UDP if listener.over_udp else Protocol.TCP,
        listener.host,
        listener.port,
        tuple(backends),
        _POLICIES[listener.balance],
        listener.allow,
        listener.deny,
        tuple(_limit(limit) for limit in concerned),
        listener.max_connections_per_source,
    )


def _limit(limit: RateLimit) -> Limit:
    rates = (
        Rate(limit.per_second, Period.SECOND, limit.burst),
        Rate(limit.per_minute, Period.MINUTE),
        Rate(limit.per_hour, Period.HOUR),
    )
    return Limit(
        limit.limit_id,
        tuple(rate for rate in rates if rate.count),
        str(limit.network or ""),
        each=limit.scope is LimitScope.CLIENT,
    )
