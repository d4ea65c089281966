"""The snapshots of one document: for each entry of `xds.nodes` one for each kind of node. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from marchproxy.cli.xds.cohorts import Cohort, Cohorts, Kind
from marchproxy.cli.xds.material import NO_MATERIAL, Material, downstream_tls
from marchproxy.cli.xds.offered import routes_by_host, routes_of, servable, unserved
from marchproxy.cli.xds.settings import NodeSettings
from marchproxy.engines.envoy.xds import Draft, Identity, Resource, ResourceType, Snapshot, check
from marchproxy.model.module import ModuleType, PoolName
from marchproxy.model.problem import InvalidValue
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.mixture import Inputs
from marchproxy.modules.http.pool_rules import pool_faults
from marchproxy.modules.http.resources import (
    Builder,
    ListenerSpec,
    build_grpc,
    in_reach_of_grpc,
    own_routes,
)
from marchproxy.modules.http.resources import Target as Dialled
from marchproxy.modules.http.resources.endpoints import Target
from marchproxy.modules.http.resources.fleet import FLEET
from marchproxy.modules.http.rules import faults


class Catalogue:
    """Built once for a document, then only asked. InvalidValue: the document asks for what the ALB's compiler cannot do;
    InconsistentSnapshot: it made something of it that no Envoy could serve."""

    def __init__(
        self,
        state: DesiredState,
        nodes: Sequence[NodeSettings] = (),
        material: Material = NO_MATERIAL,
        *,
        keys: bool = False,
        revision: str = "",
    ) -> None:
        """`material`: what the files hold that the document names. `keys`: nodes may be given private ones.

        `revision`: the document's checksum, which ALBs are told.
        """
        pools = pool_faults(state.pools, own_routes(state.routes, ModuleType.ALB))
        if problems := (*faults(state, ModuleType.ALB), *pools, *unserved(state, _named(nodes), keys=keys)):
            raise InvalidValue(problems)
        self._material = material
        self._keys = keys
        self.revision = revision
        self.state = state
        self.files = material.files
        self.nodes = tuple(nodes)
        self.cohorts = Cohorts(nodes)
        self._inputs = {
            cohort: replace(_seen_by(state, node, material, keys=keys), revision=revision)
            for cohort, node in self.cohorts.all().items()
        }
        self._snapshots = {cohort: compiled(cohort, seen) for cohort, seen in self._inputs.items()}

    def inputs_of(self, cohort: Cohort) -> Inputs:
        """The part of the document that is meant for a cohort. Raises KeyError for one of another catalogue."""
        return self._inputs[cohort]

    def snapshot_of(self, cohort: Cohort) -> Snapshot:
        """That part, compiled. Raises KeyError."""
        return self._snapshots[cohort]

    def is_among(self, found: Mapping[PoolName, tuple[Target, ...]], albs: int) -> bool:
        """Whether it was made with these endpoints, that were found for pools, and for so many ALBs."""
        return (self._material.endpoints, self._material.albs) == (found, max(1, albs))

    def among(self, found: Mapping[PoolName, tuple[Target, ...]], albs: int) -> "Catalogue":
        """The same with others of these. Raises InconsistentSnapshot."""
        material = replace(self._material, endpoints=found, albs=max(1, albs))
        return Catalogue(self.state, self.nodes, material, keys=self._keys, revision=self.revision)

    def assign(self, identity: Identity) -> Snapshot | None:
        """What is meant for a node; None when no entry fits it."""
        cohort = self.cohorts.of(identity)
        return None if cohort is None else self._snapshots[cohort]


def compiled(cohort: Cohort, seen: Inputs) -> Snapshot:
    """What a cohort is given for its inputs. Raises InconsistentSnapshot."""
    match cohort.kind:
        case Kind.ENVOY:
            return check(_for_envoy(seen))
        case Kind.GRPC:
            return check(_for_grpc(seen.state))
        case Kind.ALB:
            return check(_for_alb(seen))
    assert_never(cohort.kind)


def _named(nodes: Sequence[NodeSettings]) -> frozenset[str] | None:
    """The routes that some entry gives away; None: all."""
    given = [node.routes for node in nodes]
    if not given or None in given:
        return None
    return frozenset(name for routes in given for name in routes or ())


def _seen_by(state: DesiredState, node: NodeSettings, material: Material, *, keys: bool) -> Inputs:
    """The part of a document that an entry gives away: its listeners, its routes, the pools these need."""
    routes = tuple(
        route
        for route in own_routes(state.routes, ModuleType.ALB)
        if node.routes is None or route.route_id in node.routes
    )
    needed = {name for route in routes for name in route.pools}
    listeners = tuple(
        listener
        for listener in servable(state.listeners, keys=keys)
        if node.listeners is None or listener.name in node.listeners
    )
    pools = tuple(pool for pool in state.pools if pool.name in needed)
    seen = replace(state, listeners=listeners, routes=routes, pools=pools)
    return Inputs(seen, findings=material.findings(listeners))


def _for_envoy(seen: Inputs) -> Draft:
    found: dict[tuple[object, str], Resource] = {}
    state = seen.state
    for listener in state.listeners:
        spec = ListenerSpec(listener.name, listener.host, listener.port, tls=downstream_tls(listener))
        # by how many threads an unknown Envoy works is not known: Envoy's own default is a socket for each of them
        builder = Builder([spec], workers=2, route_configuration=listener.name)
        own = replace(state, routes=tuple(routes_of(listener, state.routes)))
        draft = builder.build(own, {}, seen.findings)
        found.update({(resource.type, resource.name): resource for resource in draft.resources})
    return Draft(tuple(found.values()))


def _for_alb(seen: Inputs) -> Draft:
    """What lies behind the listeners of an ALB, which opens these itself; its routes carry the document's checksum."""
    draft = Builder((), fleet=FLEET).build(seen.state, {}, seen.findings)
    told = [
        resource.bound_to((seen.revision,))
        if resource.type is ResourceType.ROUTE and seen.revision
        else resource
        for resource in draft.resources
    ]
    return Draft(tuple(told))


def _for_grpc(state: DesiredState) -> Draft:
    routes = in_reach_of_grpc(state.routes, state.pools)
    # a client that goes past a listener's TLS would go past whom it lets in
    open_to_all = [listener for listener in state.listeners if listener.tls is None]
    targets = {listener.name: routes_of(listener, routes) for listener in open_to_all}
    targets |= routes_by_host(routes)
    named = tuple(Dialled(name, tuple(found)) for name, found in sorted(targets.items()) if found)
    return build_grpc(named, state.pools)
