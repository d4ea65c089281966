"""Hosts: each host of a cluster, the share of the requests it would be chosen for, and why it is or is not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from marchproxy.engines.envoy.choice.priorities import Level, level_of, levels
from marchproxy.engines.envoy.choice.tables import Weighted, on_maglev, on_ring
from marchproxy.engines.envoy.clusters import HostStatus

_FLAGS = {
    "failed_outlier_check": "left out for its failures",
    "failed_active_health_check": "fails its health check",
    "excluded_via_immediate_hc_fail": "said that it is going",
    "pending_dynamic_removal": "no longer among the endpoints",
    "pending_active_hc": "waits for its first health check",
}
_EDS = {"UNHEALTHY": "told to be unhealthy", "DRAINING": "told to drain", "TIMEOUT": "told to have timed out"}


class Policy(Enum):
    """How Envoy chooses among the hosts of one priority."""

    LEAST_REQUEST = "least_request"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    MAGLEV = "maglev"
    RING = "ring"


@dataclass(frozen=True, slots=True)
class HostShare:
    """A host, and the part of the requests (0 to 1) that would go to it now. `trouble`: why it takes none; in words."""

    host: HostStatus
    share: float
    trouble: str


def shares(hosts: Sequence[HostStatus], policy: Policy, value: int | None) -> tuple[HostShare, ...]:
    """Every host. `value`: the request's hash, which makes MAGLEV and RING certain; None: it has none.

    Raises TooLarge for a ring that cannot be looked up here.
    """
    by_level = {
        priority: tuple(members) for priority, members in groupby(sorted(hosts, key=_priority), key=_priority)
    }
    if not by_level:
        return ()
    groups = [by_level.get(priority, ()) for priority in range(max(by_level) + 1)]
    found = levels([(sum(host.healthy for host in group), len(group)) for group in groups])
    chances: dict[str, float] = {}
    for index, (group, level) in enumerate(zip(groups, found, strict=True)):
        part = _part(found, index, policy, value)
        if part:
            of_level = _within(group if level.panic else [h for h in group if h.healthy], policy, value)
            chances |= {address: part * chance for address, chance in of_level.items()}
    return tuple([HostShare(host, chances.get(host.address, 0.0), _trouble(host)) for host in hosts])


def _part(found: Sequence[Level], index: int, policy: Policy, value: int | None) -> float:
    if value is not None and policy in {Policy.MAGLEV, Policy.RING}:
        return float(level_of(found, value) == index)
    return found[index].load / 100


def _within(hosts: Sequence[HostStatus], policy: Policy, value: int | None) -> Mapping[str, float]:
    """The chances of hosts of one priority, all of which may be chosen."""
    if not hosts:
        return {}
    match policy:
        case Policy.MAGLEV | Policy.RING if value is not None:
            table: Weighted = tuple([(host.address, host.weight) for host in hosts])
            look_up = on_maglev if policy is Policy.MAGLEV else on_ring
            return {look_up(table, value): 1.0}
        case Policy.RANDOM:  # whatever their weights
            return {host.address: 1 / len(hosts) for host in hosts}
        case Policy.LEAST_REQUEST if len({host.weight for host in hosts}) == 1:
            return _less_busy_of_two(hosts)
        case Policy.LEAST_REQUEST:
            return _in_proportion({host.address: host.weight / (host.counts.rq_active + 1) for host in hosts})
        case _:
            return _in_proportion({host.address: float(host.weight) for host in hosts})


def _less_busy_of_two(hosts: Sequence[HostStatus]) -> Mapping[str, float]:
    """Two are drawn, the same one perhaps twice; the second is taken when it is less busy than the first."""
    busy = [host.counts.rq_active for host in hosts]
    return {
        host.address: (sum(own <= other for other in busy) + sum(own < other for other in busy))
        / len(hosts) ** 2
        for host, own in zip(hosts, busy, strict=True)
    }


def _in_proportion(weights: Mapping[str, float]) -> Mapping[str, float]:
    total = sum(weights.values())
    return {address: weight / total for address, weight in weights.items()}


def _trouble(host: HostStatus) -> str:
    found = [words for flag, words in _FLAGS.items() if flag in host.flags]
    if host.eds_health in _EDS:
        found.append(_EDS[host.eds_health])
    return ", ".join(found)


def _priority(host: HostStatus) -> int:
    return host.priority
