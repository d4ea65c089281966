"""Ways: how a relay reaches each pool, and how long it waits for whom. Pure; from the plan that the decider has too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from marchproxy.model.module import Protocol
from marchproxy.model.pool import Endpoint
from marchproxy.model.rules import ip_address
from marchproxy.model.state import DesiredState
from marchproxy.modules.ailb.credential import header_of, secret_name
from marchproxy.modules.ailb.plan import PoolPlan, compile_plan, is_own
from marchproxy.modules.ailb.talk import Places

#: A relay gives up before Envoy does, because only it can say what happened: this share of a time, but no more than so early.
_SOONER = 0.9
_MUCH_SOONER = 1.0
#: It looks at its requests so many times in the shortest of these times, and at least so often, in seconds.
_LOOKS = 20
_SELDOM = 0.5


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until an answer has begun, and between two pieces of it; 0: as long as it takes. `default_output` is the route's."""

    first_byte: float = 59.0
    idle: float = 299.0
    default_output: int = 1024


@dataclass(frozen=True, slots=True)
class Way:
    """To a pool. `places` (`ip:port`) are asked without an Envoy between; none: the egress is.

    `base`: in front of the paths of operations. `name`: of the pool's only endpoint, where it is listed by one. `shown`: the header with the pool's credential, for who is asked without an Envoy.
    """

    pool: PoolPlan
    base: str
    places: tuple[str, ...] = ()
    name: str = ""
    shown: tuple[bytes, bytes] | None = field(default=None, repr=False)

    def place(self, hosts: tuple[str, ...], attempt: int) -> str:
        """The endpoint that an attempt goes to: the decider named one for each."""
        if attempt <= len(hosts) and hosts[attempt - 1] in self.places:
            return hosts[attempt - 1]
        own = [host for host in hosts if host in self.places] or self.places
        return own[(attempt - 1) % len(own)]


@dataclass(frozen=True, slots=True)
class Ways:
    """All of them, by pool, and the patience of routes. `rhythm`: seconds after which it is time to see whose has run out."""

    pools: Mapping[str, Way] = field(default_factory=dict)
    routes: Mapping[str, Patience] = field(default_factory=dict)
    rhythm: float = _SELDOM

    def patience(self, route: str) -> Patience:
        """That of a route; the usual one of a route that is gone."""
        return self.routes.get(route) or Patience()


def compile_ways(state: DesiredState, places: Places, keys: Mapping[str, str] = MappingProxyType({})) -> Ways:
    """The ways of a sound state. `keys`: what providers are shown, by `secret_name`; those that are missing Envoy has."""
    plan = compile_plan(state)
    pools = {str(name): _way(pool, places, keys) for name, pool in plan.pools.items()}
    routes = _routes(state)
    return Ways(pools, routes, _rhythm(routes.values()))


def _way(pool: PoolPlan, places: Places, keys: Mapping[str, str]) -> Way:
    addresses = tuple(endpoint.address for endpoint in places.get(pool.name, pool.pool.endpoints))
    ai, base = pool.options, pool.options.base
    key = keys.get(secret_name(ai)) if ai.credential else ""
    if key is None or not _is_plain(pool) or not all(map(_is_numeric, addresses)):
        return Way(pool, base)
    shown = (header_of(ai.provider).encode(), key.encode()) if key else None
    return Way(pool, base, addresses, _name(pool.pool.endpoints), shown)


def _name(listed: Sequence[Endpoint]) -> str:
    """As Envoy writes it, too: without the port. Of several it is not known which of them an address is."""
    if len(listed) != 1 or _is_numeric(listed[0].address):
        return ""
    return listed[0].address.rpartition(":")[0]


def _is_plain(pool: PoolPlan) -> bool:
    """Whether all that Envoy would do is to pass on, and to show the credential."""
    return pool.pool.tls is None and pool.pool.protocol is Protocol.HTTP


def _is_numeric(address: str) -> bool:
    """Host names are Envoy's to resolve."""
    return ip_address(address.rpartition(":")[0].strip("[]")) is not None


def _routes(state: DesiredState) -> dict[str, Patience]:
    return {
        str(route.route_id): Patience(
            _sooner(route.ai.first_byte_timeout), _sooner(route.idle_timeout), route.ai.default_output
        )
        for route in state.routes
        if is_own(route) and route.ai is not None
    }


def _rhythm(routes: Iterable[Patience]) -> float:
    times = [
        seconds for patience in routes for seconds in (patience.first_byte, patience.idle) if seconds > 0
    ]
    return min(_SELDOM, *(seconds / _LOOKS for seconds in times)) if times else _SELDOM


def _sooner(seconds: float) -> float:
    return max(seconds * _SOONER, seconds - _MUCH_SOONER)
