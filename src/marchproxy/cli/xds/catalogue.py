"""The snapshots of one document: for each entry of `xds.nodes` one for Envoys and one for gRPC clients. No I/O."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

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

_EVERY_NODE = (NodeSettings(),)


class Catalogue:
    """Built once for a document, then only asked. InvalidValue: the document asks for what the ALB's compiler cannot do;
    InconsistentSnapshot: it made something of it that no Envoy could serve."""

    def __init__(self, state: DesiredState, nodes: Sequence[NodeSettings] = ()) -> None:
        if problems := (*faults(state), *unserved(state)):
            raise InvalidValue(problems)
        self._entries = tuple((node, *_snapshots(state, node)) for node in nodes or _EVERY_NODE)

    def assign(self, identity: Identity) -> Snapshot | None:
        """What a node is given, by the first entry that fits it; None when no entry does."""
        for node, for_envoy, for_grpc in self._entries:
            if _fits(node, identity):
                return for_grpc if identity.is_grpc else for_envoy
        return None


def _fits(node: NodeSettings, identity: Identity) -> bool:
    return (
        fnmatchcase(identity.node_id, node.id)
        and fnmatchcase(identity.cluster, node.cluster)
        and node.metadata.items() <= identity.metadata.items()
    )


def _snapshots(state: DesiredState, node: NodeSettings) -> tuple[Snapshot, Snapshot]:
    seen = _seen_by(state, node)
    return check(_for_envoy(seen)), check(_for_grpc(seen))


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
