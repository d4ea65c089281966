"""Versions: what has several of them, and which share each has now. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from marchproxy.manager.watching import LiveView, RolloutView
from marchproxy.model.changes import Document, Item


@dataclass(frozen=True, slots=True)
class Versions:
    """A route, or a listener, with the percent of each version; `pools` are those of a route's versions."""

    on: str
    name: str
    shares: Mapping[str, int]
    pools: Mapping[str, tuple[str, ...]]
    rollout: RolloutView | None = None


def versions_of(document: Document, view: LiveView) -> Iterator[Versions]:
    """Of every route with backends and every listener that is seen."""
    of_pool = {str(pool["name"]): str(pool.get("version", "v1")) for pool in document.get("pools") or ()}
    rollouts = {(one.on, one.target): one for one in reversed(view.rollouts)}
    for route in document.get("routes") or ():
        if len(route.get("backends") or ()) > 1:
            yield _of_route(route, of_pool, rollouts.get(("route", str(route["id"]))))
    for seen in view.listeners:
        yield Versions("listener", seen.name, dict(seen.weights), {}, rollouts.get(("listener", seen.name)))


def _of_route(route: Item, of_pool: Mapping[str, str], rollout: RolloutView | None) -> Versions:
    shares: dict[str, int] = {}
    pools: dict[str, tuple[str, ...]] = {}
    for backend in route["backends"]:
        pool, weight = (
            (backend, 100)
            if isinstance(backend, str)
            else (str(backend["pool"]), int(backend.get("weight", 100)))
        )
        version = of_pool.get(pool, "v1")
        shares[version] = shares.get(version, 0) + weight
        pools[version] = (*pools.get(version, ()), pool)
    if rollout is not None and rollout.phase == "ramping" and rollout.version in shares:
        shares = _ramping(shares, rollout.version, rollout.percent)
    return Versions("route", str(route["id"]), shares, pools, rollout)


def _ramping(shares: Mapping[str, int], version: str, percent: int) -> dict[str, int]:
    """The shares while a canary has so much: the others divide the rest as they divided theirs."""
    others = {name: weight for name, weight in shares.items() if name != version}
    whole = sum(others.values()) or len(others)
    left = 100 - percent
    divided = {name: left * (weight or (whole == len(others))) // whole for name, weight in others.items()}
    if divided:
        first = next(iter(divided))
        divided[first] += left - sum(divided.values())
    return {name: percent if name == version else divided[name] for name in shares}
