"""Carrier: whether Envoy's redis_proxy serves a route or our own path does, and why. Pure.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/other_protocols/redis
"""

from dataclasses import dataclass
from typing import Literal

from marchproxy.model.database import ReadTarget
from marchproxy.modules.dblb.plan import RoutePlan


@dataclass(frozen=True, slots=True)
class RouteNeeds:
    """What a route asks for."""

    cluster: bool = False
    """Its servers are a Redis Cluster."""
    prefixes: bool = False
    """Keys of different prefixes have different servers."""
    mirror: bool = False
    replica_reads: bool = False
    subscribe: bool = False
    blocking: bool = False
    watch: bool = False
    databases: bool = False
    """Clients may SELECT another database than 0."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """Who serves it; what neither can do is a `conflict`, in words, and the route is refused."""

    who: Literal["envoy", "own"]
    reason: str
    conflict: str = ""


def carrier(route: RouteNeeds) -> Carrier:
    """Who serves a route. Cluster, prefixes and mirroring are Envoy's; what it lacks is ours."""
    only_envoy = [
        words
        for wanted, words in (
            (route.cluster, "the slots of a Redis Cluster"),
            (route.prefixes, "routing by prefix"),
            (route.mirror, "mirroring"),
        )
        if wanted
    ]
    only_own = [
        words
        for wanted, words in (
            (route.subscribe, "SUBSCRIBE"),
            (route.blocking, "blocking commands"),
            (route.watch, "WATCH and transactions on any server"),
            (route.replica_reads and not route.cluster, "reads from replicas outside a Cluster"),
            (route.databases, "SELECT of a database"),
        )
        if wanted
    ]
    if only_envoy:
        conflict = f"{', '.join(only_envoy)}: not together with {', '.join(only_own)}" if only_own else ""
        return Carrier("envoy", f"Envoy knows {', '.join(only_envoy)}", conflict)
    if only_own:
        return Carrier("own", f"Envoy's redis_proxy lacks {', '.join(only_own)}")
    return Carrier(
        "own", "many clients share one connection, which costs less than Envoy's one for each worker"
    )


def needs_of(route: RoutePlan) -> RouteNeeds:
    """What a route of the plan asks for."""
    options = route.options
    return RouteNeeds(
        cluster=any(upstream.options.cluster for upstream, _ in route.backends),
        prefixes=bool(options.prefixes),
        mirror=bool(route.route.mirrors),
        replica_reads=options.split_reads or options.target is ReadTarget.REPLICA,
        subscribe="subscribe" in options.needs,
        blocking="blocking" in options.needs,
        watch="watch" in options.needs,
        databases="databases" in options.needs or bool(options.databases),
    )
