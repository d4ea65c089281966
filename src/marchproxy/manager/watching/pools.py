"""Pools: the backend pools of all instances put together. Pure, but for what it remembers of the last time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from marchproxy.manager.watching.counters import together
from marchproxy.manager.watching.findings import PartFinding
from marchproxy.manager.watching.pools_seen import PoolsSeen
from marchproxy.manager.watching.view import EndpointView, PoolView, Rates
from marchproxy.model.module import HealthStatus

_BADNESS: Mapping[HealthStatus | None, int] = {
    None: 0,
    HealthStatus.HEALTHY: 1,
    HealthStatus.DEGRADED: 2,
    HealthStatus.STARTING: 3,
    HealthStatus.STOPPING: 4,
    HealthStatus.STOPPED: 5,
    HealthStatus.UNHEALTHY: 6,
}


class Pools:
    """A hundred instances with a thousand pools each are put together when one of them tells something new, not at each look."""

    def __init__(self) -> None:
        self._rests_on: Mapping[str, PoolsSeen] = {}
        self._merged: Mapping[str, PoolView] = {}

    def of(self, parts: Mapping[str, PartFinding], *, anew: bool = True) -> Mapping[str, PoolView]:
        """The pools by name, with what they serve now; `anew`: and with what instances have told of them since."""
        if anew and not self._is_known(parts):
            self._rests_on = {name: part.pools for name, part in parts.items()}
            self._merged = merged(self._rests_on)
        serving: dict[str, list[Rates]] = {}
        for part in parts.values():
            for name, rates in part.served.pools.items():
                serving.setdefault(name, []).append(rates)
        if not serving:
            return self._merged
        busy = {
            name: replace(self._merged[name], stats=together(rates))
            for name, rates in serving.items()
            if name in self._merged
        }
        return {**self._merged, **busy}

    def _is_known(self, parts: Mapping[str, PartFinding]) -> bool:
        """What instances tell is frozen, so identity is enough."""
        return parts.keys() == self._rests_on.keys() and all(
            part.pools is self._rests_on[name] for name, part in parts.items()
        )


def merged(seen: Mapping[str, PoolsSeen]) -> Mapping[str, PoolView]:
    """Every pool once, by name, without what it serves. Instances that are told the same document have the same pools, and
    little to say of most of them."""
    groups: dict[frozenset[str], dict[str, PoolsSeen]] = {}
    for name, one in seen.items():
        groups.setdefault(frozenset(one.pools), {})[name] = one
    found: dict[str, PoolView] = {}
    for group in groups.values():
        for pool in _of_group(group):
            known = found.get(pool.name)
            found[pool.name] = (
                pool if known is None else _merged([known, pool], known.instances + pool.instances)
            )
    return dict(sorted(found.items()))


def _of_group(group: Mapping[str, PoolsSeen]) -> Iterator[PoolView]:
    """The pools of instances that have the same ones."""
    names, first = tuple(group), next(iter(group.values()))
    notable: dict[str, list[PoolView]] = {}
    for one in group.values():
        if one is not first:
            for name in one.notable:
                notable.setdefault(name, []).append(one.pools[name])
    for name, pool in first.pools.items():
        yield _merged([pool, *notable.get(name, ())], names)


def _merged(pools: list[PoolView], instances: tuple[str, ...]) -> PoolView:
    first = pools[0]
    if len(pools) == 1:
        return PoolView(first.name, first.version, Rates(), first.endpoints, first.trouble, instances)
    trouble = next((pool.trouble for pool in pools if pool.trouble), "")
    return PoolView(first.name, first.version, Rates(), tuple(_endpoints(pools)), trouble, instances)


def _endpoints(pools: Iterable[PoolView]) -> Iterator[EndpointView]:
    """Each address once, with the worst health that anybody sees and the requests of all."""
    first: dict[str, EndpointView] = {}
    active: dict[str, int] = {}
    worst: dict[str, HealthStatus | None] = {}
    for pool in pools:
        for one in pool.endpoints:
            address = one.address
            if address not in first:
                first[address], active[address], worst[address] = one, one.active_requests, one.health
                continue
            active[address] += one.active_requests
            if one.health is not worst[address] and _BADNESS[one.health] > _BADNESS[worst[address]]:
                worst[address] = one.health
    for address, one in first.items():
        yield EndpointView(address, worst[address], active[address], one.weight, one.found)
