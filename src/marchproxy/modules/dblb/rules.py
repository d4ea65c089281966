"""Rules: what a DBLB cannot do of a sound state, which of its routes takes a session, and why. No I/O."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from marchproxy.model.database import DATABASE_PROTOCOLS, DatabaseRoute, ReadTarget
from marchproxy.model.glob import is_glob
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.plan import Verdict
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Who, compile_plan, is_own
from marchproxy.modules.dblb.redis import envoy_plan

_PLAIN = BackendPool(name="")  # type: ignore[arg-type]
#: What of a pool is for HTTP, and would be silently ignored here.
_OF_HTTP = ("breakers", "slow_start", "hash_table")


def faults(state: DesiredState) -> Iterator[Problem]:
    """What a DBLB cannot do of a sound state, as far as that shows without its files."""
    own = {route.route_id: index for index, route in enumerate(state.routes) if is_own(route)}
    for index in own.values():
        yield from _route_faults(state.routes[index], f"routes[{index}]")
    for route_id, words in envoy_plan.faults(compile_plan(state, {})[0]):
        yield Problem(f"routes[{own[route_id]}].database", words)
    wanted = {ref.pool for index in own.values() for ref in state.routes[index].backends}
    for index, pool in enumerate(state.pools):
        if pool.name in wanted:
            yield from _pool_faults(pool, f"pools[{index}]")


def _route_faults(route: Route, path: str) -> Iterator[Problem]:
    if not route.backends:
        yield Problem(f"{path}.backends", "a route of a database needs a pool of its servers")
    if route.protocol is Protocol.MONGODB and route.database is not None and route.database.rename:
        yield Problem(
            f"{path}.database.rename", "clients of MongoDB name the database in each command; remove it"
        )


def _pool_faults(pool: BackendPool, path: str) -> Iterator[Problem]:
    for key in ("dns", "srv", "file"):
        if getattr(pool.discovery, key):
            yield Problem(
                f"{path}.discovery.{key}", "a DBLB does not look for servers; list them in `endpoints`"
            )
    if not pool.endpoints:
        yield Problem(f"{path}.endpoints", "a pool of a DBLB needs the addresses of its servers")
    for key in _OF_HTTP:
        if getattr(pool, key) != getattr(_PLAIN, key):
            yield Problem(f"{path}.{key}", f"is for HTTP; {pool.protocol.value} has no such thing: remove it")


class Plans:
    """The plan of a state without its files, worked out once: an NLB asks about thousands of routes, one by one."""

    def __init__(self) -> None:
        self._last: tuple[DesiredState, DblbPlan] = (DesiredState(), DblbPlan())

    def of(self, state: DesiredState) -> DblbPlan:
        """That of `state`; at once, where it is the same object as before."""
        if state is not self._last[0]:
            self._last = (state, compile_plan(state, {})[0])
        return self._last[1]


def answer(plan: DblbPlan, served: Collection[Protocol], route: Route, context: Mapping[str, str]) -> Verdict:
    """Whether a DBLB with ports for the protocols `served` takes traffic of `route`, and which of its routes does.

    A route of the same id is its own. One that names no database, user, application or client, and a context that does
    not either, ask about a listener as a whole, of which a port may be known. Otherwise it is read as a session: what the context says (`database`,
    `user`, `application`, `client`, `port`), else the route's first names that are no patterns.
    """
    obstacle = _obstacle(served, route)
    if obstacle:
        return _no(obstacle)
    own = plan.of(route.protocol)
    same = next((item for item in own if item.route_id == route.route_id), None)
    if same is not None:
        return _yes(same, "its route of that id")
    who = _who(route, context)
    if replace(who, port=0) == Who():
        words = f"serves {route.protocol.value}"
        return Verdict(can_handle=True, reason=words, details={"routes": str(len(own))})
    found = plan.route(route.protocol, who)
    if found is None:
        return _no(f"no route for {_session(who)}")
    return _yes(found, f"{_words(found)} takes {_session(who)}")


def _obstacle(served: Collection[Protocol], route: Route) -> str:
    """Why no DBLB, or not this one, takes anything of such a route; empty: it may."""
    if route.protocol not in DATABASE_PROTOCOLS:
        return f"a DBLB serves databases, not {route.protocol.value}"
    if route.module_type is not None and route.module_type is not ModuleType.DBLB:
        return f"the route is meant for {route.module_type.value}"
    return "" if route.protocol in served else f"no port for {route.protocol.value} is open here"


def _no(reason: str) -> Verdict:
    return Verdict(can_handle=False, reason=reason)


def _yes(plan: RoutePlan, reason: str) -> Verdict:
    details = {
        "route_id": str(plan.route_id),
        "match": _words(plan),
        "pools": ", ".join(f"{item.name} ({item.pool.version}) {share} %" for item, share in plan.backends),
        "reads": _reads(plan.options),
    }
    if plan.options.writes:
        details["writes"] = plan.options.writes
    if plan.ways:
        details["authentication"] = ", ".join(way.name for way in plan.ways)
    if plan.limits:
        details["rate_limits"] = ", ".join(limit.limit_id for limit in plan.limits)
    if plan.options.firewall:
        details["firewall"] = ", ".join(rule.id for rule in plan.options.firewall)
    return Verdict(can_handle=True, priority=plan.route.priority, reason=reason, details=details)


def _reads(options: DatabaseRoute) -> str:
    match options.target:
        case ReadTarget.PRIMARY:
            return "from the primary"
        case ReadTarget.REPLICA:
            return "from replicas; writes are refused"
        case ReadTarget.AUTO:
            return "from replicas where that is safe" if options.split_reads else "from the primary"


def _who(route: Route, context: Mapping[str, str]) -> Who:
    options = route.database or DatabaseRoute()
    port = context.get("port", "")
    return Who(
        user=context.get("user") or _first(options.users),
        database=context.get("database") or _first(options.databases),
        application=context.get("application") or _first(options.applications),
        address=context.get("client", ""),
        port=int(port) if port.isdecimal() and len(port) <= 5 else route.destination_port,
    )


def _first(names: tuple[str, ...]) -> str:
    return next((name for name in names if not is_glob(name)), "")


def _session(who: Who) -> str:
    pairs = (
        ("database", who.database),
        ("user", who.user),
        ("application", who.application),
        ("client", who.address),
        ("port", str(who.port or "")),
    )
    return ", ".join(f"{name} {value}" for name, value in pairs if value)


def _words(plan: RoutePlan) -> str:
    options, route = plan.options, plan.route
    parts = [f'route "{route.route_id}"', f"databases {', '.join(options.databases) or '*'}"]
    named = (("users", options.users), ("applications", options.applications), ("clients of", route.sources))
    parts += [f"{name} {', '.join(values)}" for name, values in named if values]
    if route.destination_port:
        parts.append(f"port {route.destination_port}")
    return ", ".join(parts)
