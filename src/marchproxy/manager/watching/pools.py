"""Pools: the backend pools of all instances put together. Pure, but for what it remembers of the last time."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from marchproxy.manager.watching.counters import together
from marchproxy.manager.watching.findings import PartFinding
from marchproxy.manager.watching.view import EndpointView, PoolView, Rates
from marchproxy.model.module import HealthStatus

_BADNESS = {
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
        self._rests_on: tuple[tuple[str, int], ...] = ()
        self._kept: tuple[
            Mapping[str, PoolView], ...
        ] = ()  # so that what `_rests_on` names by identity stays
        self._merged: Mapping[str, PoolView] = {}

    def of(self, parts: Mapping[str, PartFinding], *, anew: bool = True) -> Mapping[str, PoolView]:
        """The pools by name, with what they serve now; `anew`: and with what instances have told of them since."""
        rests_on = tuple((name, id(part.pools)) for name, part in parts.items())
        if anew and rests_on != self._rests_on:
            self._kept = tuple(part.pools for part in parts.values())
            self._rests_on, self._merged = rests_on, merged(parts)
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


def merged(parts: Mapping[str, PartFinding]) -> Mapping[str, PoolView]:
    """Every pool once, by name, without what it serves."""
    having: dict[str, list[tuple[str, PoolView]]] = {}
    for name, part in parts.items():
        for pool in part.pools.values():
            having.setdefault(pool.name, []).append((name, pool))
    return {name: _merged(having[name]) for name in sorted(having)}


def _merged(found: list[tuple[str, PoolView]]) -> PoolView:
    first = found[0][1]
    names = tuple(name for name, _ in found)
    if len(found) == 1:
        return replace(first, instances=names)
    return replace(
        first,
        endpoints=tuple(_endpoints(pool for _, pool in found)),
        trouble=next((pool.trouble for _, pool in found if pool.trouble), ""),
        instances=names,
    )


def _endpoints(pools: Iterable[PoolView]) -> Iterable[EndpointView]:
    """Each address once, with the worst health that anybody sees and the requests of all."""
    by_address: dict[str, EndpointView] = {}
    for pool in pools:
        for one in pool.endpoints:
            known = by_address.get(one.address)
            if known is None:
                by_address[one.address] = one
            elif one.active_requests or one.health is not known.health:
                worst = max(known.health, one.health, key=_badness)
                active = known.active_requests + one.active_requests
                by_address[one.address] = replace(known, health=worst, active_requests=active)
    return by_address.values()


def _badness(health: HealthStatus | None) -> int:
    return 0 if health is None else _BADNESS[health]
