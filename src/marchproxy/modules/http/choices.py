"""Choices: the pools and endpoints that a request would go to once a route took it. Pure; says what Envoy does.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from marchproxy.engines.envoy.choice import HostShare, Policy, shares, xxh64
from marchproxy.engines.envoy.choice.tables import TooLarge
from marchproxy.engines.envoy.clusters import ClusterStatus, HostStatus
from marchproxy.model.choice import EndpointChoice, PoolChoice
from marchproxy.model.http import StickyKind
from marchproxy.model.module import PoolName
from marchproxy.model.pool import BackendPool, BalancePolicy, HashTable
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.resources.balance import hashed_pools, hashing_pools
from marchproxy.modules.http.resources.clusters import cluster_name

_POLICIES: Mapping[BalancePolicy, Policy] = {
    BalancePolicy.LEAST_CONNECTIONS: Policy.LEAST_REQUEST,
    BalancePolicy.ROUND_ROBIN: Policy.ROUND_ROBIN,
    BalancePolicy.RANDOM: Policy.RANDOM,
}
_TABLES: Mapping[HashTable, Policy] = {HashTable.MAGLEV: Policy.MAGLEV, HashTable.RING: Policy.RING}
_WORDS: Mapping[Policy, str] = {
    Policy.LEAST_REQUEST: "the least busy of two",
    Policy.ROUND_ROBIN: "in turn",
    Policy.RANDOM: "at random, whatever the weights",
    Policy.MAGLEV: "by Maglev",
    Policy.RING: "by a ring",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides where it goes. Header names in lower case; `client` empty: not known."""

    headers: Mapping[str, str] = field(default_factory=dict)
    client: str = ""

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty: it has none."""
        for pair in self.headers.get("cookie", "").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                return value.strip('"')
        return ""


@dataclass(frozen=True, slots=True)
class _Hash:
    """What the request is hashed by, in words, and the hash; None: the request does not have it."""

    words: str
    value: int | None


def pool_choices(
    state: DesiredState,
    route: Route,
    asked: Asked,
    clusters: Iterable[ClusterStatus],
    *,
    own: Sequence[Route],
) -> tuple[PoolChoice, ...]:
    """The pools of a route that runs, one of its module's `own`, in its order; `clusters` as Envoy has them now."""
    pools = state.pools_by_name()
    hosts = {cluster.name: cluster.hosts for cluster in clusters}
    hashing = hashing_pools(state.pools, hashed_pools(own))
    hashed = _hash(route, asked)
    return tuple(
        [
            _choice(
                pools[name],
                chance,
                hosts.get(cluster_name(name), ()),
                _Way(route, asked, hashed, name in hashing),
            )
            for name, chance in _pool_chances(route, asked, hashed).items()
            if name in pools
        ]
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """How an endpoint of one pool is chosen: by the route and the request, and `hashing` where the pool has a table."""

    route: Route
    asked: Asked
    hashed: _Hash
    hashing: bool


def _hash(route: Route, asked: Asked) -> _Hash:
    sticky = route.sticky
    if sticky is not None and sticky.kind is StickyKind.HEADER:
        value = asked.headers.get(sticky.name.lower())
        words = f"the header {sticky.name}"
        return _Hash(words, xxh64(value.encode()) if value else None)
    return _Hash("the client's address", _hash_of_address(asked.client))


def _hash_of_address(client: str) -> int | None:
    try:
        return xxh64(ip_address(client).compressed.encode())
    except ValueError:
        return None


def _pool_chances(route: Route, asked: Asked, hashed: _Hash) -> Mapping[PoolName, float]:
    weights = {backend.pool: backend.weight for backend in route.backends}
    if len(weights) < 2:
        return dict.fromkeys(weights, 1.0)
    total, sticky = sum(weights.values()), route.sticky
    if sticky is not None and sticky.kind is StickyKind.COOKIE:
        kept = asked.cookie(f"{sticky.name}-pool")
        if kept and weights.get(PoolName(kept)):
            return {name: float(name == kept) for name in weights}
    elif sticky is not None and hashed.value is not None:
        place, reached = hashed.value % total, 0
        for name, weight in weights.items():
            reached += weight
            if place < reached:
                return {other: float(other == name) for other in weights}
    return {name: weight / total for name, weight in weights.items()}


def _choice(pool: BackendPool, chance: float, hosts: Sequence[HostStatus], way: _Way) -> PoolChoice:
    policy = _TABLES[pool.hash_table] if way.hashing else _POLICIES[pool.balance]
    words = _WORDS[policy]
    kept = _kept_by_cookie(way, hosts)
    if kept is not None:
        found = [HostShare(host, float(host is kept), "") for host in hosts]
        words = "by the session's cookie"
    else:
        if way.hashing:
            known = (
                "" if way.hashed.value is not None else ", which the request is not known to have: any may be"
            )
            words = f"{words} of {way.hashed.words}{known}"
        try:
            found = list(shares(hosts, policy, way.hashed.value if way.hashing else None))
        except TooLarge as error:
            found = list(shares(hosts, policy, None))
            words = f"{words}; {error}, too large to be built here: by weight"
        if pool.slow_start:
            words = f"{words}; a new one gets less in its first {pool.slow_start:g} s"
    ordered = sorted(found, key=lambda item: (-item.share, item.host.priority, item.host.address))
    return PoolChoice(pool.name, pool.version, chance, words, tuple([_endpoint(item) for item in ordered]))


def _endpoint(found: HostShare) -> EndpointChoice:
    host = found.host
    place, _, port = host.address.rpartition(":")
    name = host.hostname.removesuffix(f":{port}")
    stands_for = name and name.strip("[]") != place.strip("[]")
    return EndpointChoice(
        host.address,
        found.share,
        host.weight,
        host.priority,
        host.counts.rq_active,
        f"{name}:{port}" if stands_for else "",
        found.trouble,
    )


def _kept_by_cookie(way: _Way, hosts: Sequence[HostStatus]) -> HostStatus | None:
    """The healthy host that the cookie of a session names."""
    sticky = way.route.sticky
    if sticky is None or sticky.kind is not StickyKind.COOKIE:
        return None
    address = _session_address(way.asked.cookie(sticky.name))
    return next((host for host in hosts if host.address == address and host.healthy), None)


def _session_address(cookie: str) -> str:
    """The address in Envoy's cookie of a session: base64 of a message whose first field it is; empty: none."""
    try:
        message = base64.b64decode(cookie, validate=True)
    except (binascii.Error, ValueError):
        return ""
    if len(message) < 2 or message[0] != 0x0A or len(message) < 2 + message[1]:
        return ""
    return message[2 : 2 + message[1]].decode(errors="replace")
