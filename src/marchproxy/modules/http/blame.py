"""Blame: where in the document the fault lies that made Envoy refuse something. No I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from marchproxy.engines.envoy.validation import Fault, fields, reason, tokens
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.snapshot import Snapshot
from marchproxy.model.pool import BackendPool
from marchproxy.model.problem import Problem
from marchproxy.model.route import HeaderKind, PathKind, Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.resources.clusters import cluster_name


class ItemKind(Enum):
    """The kinds of things that can be set aside."""

    ROUTE = "route"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Item:
    """A route or a pool of the document."""

    kind: ItemKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"


@dataclass(frozen=True, slots=True)
class Blame:
    """A problem in the document, and the item it is of; None: of no single one."""

    problem: Problem
    item: Item | None = None


# of the fields of Envoy's messages those with a key of the document; the outermost that is known counts
_KEYS = {
    "RequestHeadersToAdd": "request_headers",
    "RequestHeadersToRemove": "request_headers",
    "ResponseHeadersToAdd": "response_headers",
    "ResponseHeadersToRemove": "response_headers",
    "Redirect": "redirect",
    "DirectResponse": "response",
    "RetryPolicy": "retry",
    "Timeout": "timeout",
    "IdleTimeout": "idle_timeout",
    "RequestMirrorPolicies": "mirrors",
    "RegexRewrite": "rewrite.pattern",
    "HashPolicy": "sticky",
    "WeightedClusters": "backends",
    "HealthChecks": "health_check",
    "OutlierDetection": "outliers",
    "CircuitBreakers": "breakers",
    "ConnectTimeout": "connect_timeout",
    "TransportSocket": "tls",
    "LoadAssignment": "endpoints",
    "Endpoints": "endpoints",
}


def blame(faults: Iterable[Fault], state: DesiredState, snapshot: Snapshot) -> list[Blame]:
    """Each fault with its place in `state`, of which `snapshot` was made; a fault is told once."""
    return list(dict.fromkeys(found for fault in faults for found in _of(fault, state, snapshot)))


def _of(fault: Fault, state: DesiredState, snapshot: Snapshot) -> Iterator[Blame]:
    found = False
    for index, route in enumerate(state.routes):
        if fault.part and route.route_id == fault.part:
            found = True
            yield route_blame(index, route, fault.message)
    refused = {cluster_name(pool.name) for pool in _pools(fault, state, snapshot)}
    for index, pool in enumerate(state.pools):
        if cluster_name(pool.name) in refused:
            found = True
            yield pool_blame(index, pool, fault)
    if not found:
        what = f'{fault.type.name.lower()} "{fault.name}"'
        yield Blame(Problem("", f"Envoy refused {what}: {reason(fault.message)}"))


def _pools(fault: Fault, state: DesiredState, snapshot: Snapshot) -> list[BackendPool]:
    names = {fault.name}
    if fault.type is ResourceType.SECRET:
        names = {
            cluster.name
            for cluster in snapshot.of(ResourceType.CLUSTER).values()
            if fault.name in cluster.references.get(ResourceType.SECRET, ())
        }
    elif fault.type not in {ResourceType.CLUSTER, ResourceType.ENDPOINT}:
        return []
    return [pool for pool in state.pools if cluster_name(pool.name) in names]


def route_blame(index: int, route: Route, message: str) -> Blame:
    """A route that Envoy refused, and the field of it that its words are about, where that is known."""
    field = _field(message, tuple(patterns(route)))
    path = f"routes[{index}].{field}" if field else f"routes[{index}]"
    words = f'route "{route.route_id}": Envoy refused it: {reason(message)}'
    return Blame(Problem(path, words), Item(ItemKind.ROUTE, route.route_id))


def pool_blame(index: int, pool: BackendPool, fault: Fault) -> Blame:
    """A pool that Envoy refused, and the field of it that its words are about, where that is known."""
    field = "tls" if fault.type is ResourceType.SECRET else _key(fault.message)
    path = f"pools[{index}].{field}" if field else f"pools[{index}]"
    words = f'pool "{pool.name}": Envoy refused it: {reason(fault.message)}'
    return Blame(Problem(path, words), Item(ItemKind.POOL, pool.name))


def narrowed(faults: Iterable[Fault], before: DesiredState, after: DesiredState) -> list[Fault]:
    """Faults of whole route configurations as faults of routes: those that changed and that Envoy's words may be about.

    A regular expression is what Envoy finds fault with in a route that passed the checks: RE2 knows no look-around and
    no back-references.
    """
    found: list[Fault] = []
    for fault in faults:
        routes = [] if fault.part or fault.type is not ResourceType.ROUTE else _changed(before, after)
        meant = [route for route in routes if is_meant(route, fault.message)]
        patterned = [route for route in routes if any(patterns(route))]
        chosen = meant or patterned or routes
        found += [Fault(fault.type, fault.name, route.route_id, fault.message) for route in chosen] or [fault]
    return found


def is_meant(route: Route, message: str) -> bool:
    """Whether Envoy's words repeat a regular expression of this route, or a part of one."""
    return any(token in pattern for token in tokens(message) for _, pattern in patterns(route))


def _changed(before: DesiredState, after: DesiredState) -> list[Route]:
    known = set(before.routes)
    return [route for route in after.routes if route not in known]


def _field(message: str, known: Sequence[tuple[str, str]]) -> str:
    for token in tokens(message):
        for key, pattern in known:
            if token in pattern:
                return key
    return _key(message) or (known[0][0] if known else "")


def _key(message: str) -> str:
    return next((_KEYS[field] for field in fields(message) if field in _KEYS), "")


def patterns(route: Route) -> Iterator[tuple[str, str]]:
    """Where a route has regular expressions, and which."""
    match = route.match
    if match.path.kind is PathKind.REGEX:
        yield "path", match.path.value
    if route.rewrite is not None and route.rewrite.pattern:
        yield "rewrite.pattern", route.rewrite.pattern
    kinds: Mapping[str, Iterable[tuple[HeaderKind, str]]] = {
        "headers": [(condition.kind, condition.value) for condition in match.headers],
        "query": [(condition.kind, condition.value) for condition in match.query],
    }
    for key, found in kinds.items():
        for number, (kind, value) in enumerate(found):
            if kind is HeaderKind.REGEX:
                yield f"{key}[{number}].regex", value
