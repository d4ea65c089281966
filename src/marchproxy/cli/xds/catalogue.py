"""The snapshots of one document: for each entry of `xds.nodes` one for Envoys and one for gRPC clients. No I/O."""

from collections.abc import Sequence
from dataclasses import replace

from marchproxy.cli.xds.cohorts import Cohort, Cohorts
from marchproxy.cli.xds.offered import routes_by_host, routes_of, servable, unserved
from marchproxy.cli.xds.settings import NodeSettings
from marchproxy.engines.envoy.xds import Draft, Identity, Resource, Snapshot, check
from marchproxy.model.module import PoolName
from marchproxy.model.problem import InvalidValue
from marchproxy.model.route import Route
from marchproxy.model.state import DesiredState
from marchproxy.modules.alb.resources import (
    Builder,
    ListenerSpec,
    Target,
    build_grpc,
    in_reach_of_grpc,
    own_routes,
)
from marchproxy.modules.alb.rules import faults


class Catalogue:
    """Built once for a document, then only asked. InvalidValue: the document asks for what the ALB's compiler cannot do;
    InconsistentSnapshot: it made something of it that no Envoy could serve."""

    def __init__(self, state: DesiredState, nodes: Sequence[NodeSettings] = ()) -> None:
        if problems := (*faults(state), *unserved(state)):
            raise InvalidValue(problems)
        self.state = state
        self.nodes = tuple(nodes)
        self.cohorts = Cohorts(nodes)
        self._states = {cohort: _seen_by(state, node) for cohort, node in self.cohorts.all().items()}
        self._snapshots = {cohort: compiled(cohort, seen) for cohort, seen in self._states.items()}

    def state_of(self, cohort: Cohort) -> DesiredState:
        """The part of the document that is meant for a cohort. Raises KeyError for one of another catalogue."""
        return self._states[cohort]

    def snapshot_of(self, cohort: Cohort) -> Snapshot:
        """That part, compiled. Raises KeyError."""
        return self._snapshots[cohort]

    def assign(self, identity: Identity) -> Snapshot | None:
        """What is meant for a node; None when no entry fits it."""
        cohort = self.cohorts.of(identity)
        return None if cohort is None else self._snapshots[cohort]


def compiled(cohort: Cohort, seen: DesiredState) -> Snapshot:
    """What a cohort is given for a state. Raises InconsistentSnapshot."""
    return check(_for_grpc(seen) if cohort.is_grpc else _for_envoy(seen))


def _seen_by(state: DesiredState, node: NodeSettings) -> DesiredState:
    """The part of a document that an entry gives away: its listeners, its routes, the pools these need."""
    routes = tuple(
        route for route in own_routes(state.routes) if node.routes is None or route.route_id in node.routes
    )
    needed = {name for route in routes for name in pools_of(route)}
    return replace(
        state,
        listeners=tuple(
            listener
            for listener in servable(state.listeners)
            if node.listeners is None or listener.name in node.listeners
        ),
        routes=routes,
        pools=tuple(pool for pool in state.pools if pool.name in needed),
    )


def pools_of(route: Route) -> set[PoolName]:
    """The pools that a route sends requests, or copies of them, to."""
    return {backend.pool for backend in route.backends} | {mirror.pool for mirror in route.mirrors}


def _for_envoy(state: DesiredState) -> Draft:
    found: dict[tuple[object, str], Resource] = {}
    for listener in state.listeners:
        spec = ListenerSpec(listener.name, listener.host, listener.port)
        # by how many threads an unknown Envoy works is not known: Envoy's own default is a socket for each of them
        builder = Builder([spec], workers=2, route_configuration=listener.name)
        draft = builder.build(replace(state, routes=tuple(routes_of(listener, state.routes))))
        found.update({(resource.type, resource.name): resource for resource in draft.resources})
    return Draft(tuple(found.values()))


def _for_grpc(state: DesiredState) -> Draft:
    routes = in_reach_of_grpc(state.routes, state.pools)
    targets = {listener.name: routes_of(listener, routes) for listener in state.listeners}
    targets |= routes_by_host(routes)
    named = tuple(Target(name, tuple(found)) for name, found in sorted(targets.items()) if found)
    return build_grpc(named, state.pools)
