"""Envoy's part of a plan: which routes it serves, behind which socket, and what of them cannot be. Pure.

Routes for the same clients that differ by prefixes are one listener. A worker lets clients in as everywhere, and takes the
listener for a server: whoever is at the other end of a client's connection is a worker.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from marchproxy.model.database import Pooling, ReadTarget
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import RouteId
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Upstream
from marchproxy.modules.dblb.redis.carrier import carrier, needs_of
from marchproxy.modules.dblb.redis.envoy_resources import Copies, Prefix, Reads, RedisListener, RedisPool
from marchproxy.modules.dblb.serverside import addresses_of

_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Group:
    """Routes for the same clients, of which at least one needs Envoy."""

    key: str
    routes: tuple[RoutePlan, ...]

    def socket(self, folder: Path) -> Path:
        """Where Envoy listens for it."""
        return folder / f"redis-{self.key}.sock"


def groups(plan: DblbPlan) -> tuple[Group, ...]:
    """What Envoy serves, in a stable order."""
    found: dict[str, list[RoutePlan]] = {}
    for route in plan.of(Protocol.REDIS):
        found.setdefault(_key(route), []).append(route)
    return tuple(
        Group(key, tuple(routes))
        for key, routes in sorted(found.items())
        if any(carrier(needs_of(route)).who == "envoy" for route in routes)
    )


def faults(plan: DblbPlan) -> Iterator[tuple[RouteId, str]]:
    """What neither Envoy nor the own path can do, by route, in words that say what to change."""
    for group in groups(plan):
        for route in group.routes:
            needs = needs_of(route)
            if needs.cluster or needs.prefixes or needs.mirror:
                judged = carrier(needs)
            else:  # it is there because of its neighbours
                judged = carrier(replace(needs, prefixes=True))
            if judged.conflict:
                yield (
                    route.route_id,
                    f"Envoy serves it ({judged.reason}); {judged.conflict}: leave one of them out",
                )
            if len(route.backends) > 1:
                yield route.route_id, "Envoy serves it, which takes one pool for a prefix; name one pool"
            for upstream, _ in route.backends:
                if not upstream.options.cluster and len(upstream.pool.endpoints) > 1:
                    words = f"Envoy would spread keys over the servers of {upstream.name}; list one, or say database.cluster"
                    yield route.route_id, words


def listener_of(group: Group, folder: Path, pools: Mapping[PoolName, Upstream]) -> RedisListener:
    """What Envoy is to do for a group; `pools` are those of mirrors too."""
    prefixes: list[Prefix] = []
    default: Prefix | None = None
    names: dict[PoolName, Upstream] = {}
    for route in group.routes:
        upstream = route.backends[0][0]
        names[upstream.name] = upstream
        copies = tuple(
            Copies(str(mirror.pool), mirror.percent) for mirror in route.route.mirrors if mirror.pool in pools
        )
        names |= {mirror.pool: pools[mirror.pool] for mirror in route.route.mirrors if mirror.pool in pools}
        made = [Prefix(text, str(upstream.name), copies) for text in route.options.prefixes]
        prefixes += made
        if not made:
            default = Prefix("", str(upstream.name), copies)
    return RedisListener(
        f"redis-{group.key}",
        group.socket(folder),
        tuple(_pool(upstream) for upstream in names.values()),
        default,
        tuple(sorted(prefixes, key=lambda one: one.text)),
        reads=_reads(group.routes),
    )


def with_sockets(plan: DblbPlan, folder: Path) -> DblbPlan:
    """The plan as a worker's own path has it: the servers of Envoy's routes are Envoy."""
    stand_ins = {route.route_id: _stand_in(group, folder) for group in groups(plan) for route in group.routes}
    routes = tuple(
        replace(route, backends=((stand_ins[route.route_id], 100),)) if route.route_id in stand_ins else route
        for route in plan.of(Protocol.REDIS)
    )
    return DblbPlan({Protocol.REDIS: routes}, plan.upstreams)


def socket_of(upstream: Upstream) -> str:
    """Envoy's socket, where it stands for servers; otherwise nothing."""
    return upstream.pool.metadata.get(_SOCKET, "")


def shown_name(upstream: Upstream) -> str:
    """The pool that people know, also where Envoy stands for it."""
    return upstream.pool.metadata.get(_SHOWN, str(upstream.name))


_SOCKET, _SHOWN = "envoy-socket", "envoy-pool"


def _stand_in(group: Group, folder: Path) -> Upstream:
    first = group.routes[0].backends[0][0]
    pool = BackendPool(
        PoolName(f"{first.name}@envoy-{group.key}"),
        protocol=Protocol.REDIS,
        metadata={_SOCKET: str(group.socket(folder)), _SHOWN: str(first.name)},
    )
    options = replace(first.options, pooling=Pooling.TRANSACTION, cluster=False, users="", monitor="")
    return Upstream(pool, options)


def _pool(upstream: Upstream) -> RedisPool:
    options, passwords = upstream.options, upstream.passwords
    user = options.monitor or _DEFAULT
    return RedisPool(
        str(upstream.name),
        addresses_of(upstream.pool),
        cluster=options.cluster,
        user="" if user == _DEFAULT else user,
        password=passwords.get(user, ""),
        tls=upstream.pool.tls,
    )


def _reads(routes: Sequence[RoutePlan]) -> Reads:
    if all(route.options.target is ReadTarget.REPLICA for route in routes):
        return "REPLICA"
    return "PREFER_REPLICA" if any(route.options.split_reads for route in routes) else "MASTER"


def _key(route: RoutePlan) -> str:
    """The same for routes for the same clients."""
    options, own = route.options, route.route
    told = (
        own.priority,
        own.destination_port,
        own.sources,
        options.users,
        options.databases,
        options.applications,
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]
