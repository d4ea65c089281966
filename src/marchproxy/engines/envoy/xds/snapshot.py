"""Snapshots: complete, consistent sets of resources. Only `check` and `transition` make one; only these are published."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from marchproxy.engines.envoy.xds.resource import Resource, ResourceType

Resources = Mapping[str, Resource]

_SEAL = object()


@dataclass(frozen=True, slots=True)
class Draft:
    """Resources as somebody put them together, unchecked. `static_clusters` are those in Envoy's bootstrap."""

    resources: tuple[Resource, ...]
    static_clusters: frozenset[str] = frozenset()


class InconsistentSnapshot(Exception):
    """A draft that Envoy could not serve in full. `problems` names each resource and what is wrong with it."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen, checked set of resources: every reference leads to a resource of the same snapshot."""

    _by_type: Mapping[ResourceType, Resources]
    static_clusters: frozenset[str]
    _seal: object = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("a Snapshot is made by check() or transition()")

    def of(self, kind: ResourceType) -> Resources:
        """The resources of one type by name."""
        return self._by_type[kind]

    def __iter__(self) -> Iterator[Resource]:
        for resources in self._by_type.values():
            yield from resources.values()

    def __len__(self) -> int:
        return sum(map(len, self._by_type.values()))


def _seal(by_type: Mapping[ResourceType, dict[str, Resource]], static_clusters: frozenset[str]) -> Snapshot:
    frozen = {kind: MappingProxyType(by_type.get(kind, {})) for kind in ResourceType}
    return Snapshot(MappingProxyType(frozen), static_clusters, _SEAL)


EMPTY = _seal({}, frozenset())


def check(draft: Draft) -> Snapshot:
    """Turn a draft into a snapshot, or raise InconsistentSnapshot with every problem found."""
    by_type: dict[ResourceType, dict[str, Resource]] = {kind: {} for kind in ResourceType}
    problems: list[str] = []
    for resource in draft.resources:
        if resource.name in by_type[resource.type]:
            problems.append(f"{_label(resource.type, resource.name)}: given more than once")
        by_type[resource.type][resource.name] = resource
    for resource in draft.resources:
        problems.extend(_missing(resource, by_type, draft.static_clusters))
    if problems:
        raise InconsistentSnapshot(tuple(sorted(problems)))
    _bind_endpoints(by_type)
    return _seal(by_type, draft.static_clusters)


def _bind_endpoints(by_type: Mapping[ResourceType, dict[str, Resource]]) -> None:
    """Make an assignment's version change with its clusters, so that it is delivered again when they change.

    A changed cluster warms until its endpoints arrive anew. An Envoy that lost its stream in between reports both as held
    (envoyproxy/envoy#22418); then only this version tells that the endpoints came before the cluster.
    """
    versions: dict[str, list[str]] = {}
    for cluster in by_type[ResourceType.CLUSTER].values():
        for name in cluster.references.get(ResourceType.ENDPOINT, ()):
            versions.setdefault(name, []).append(cluster.version)
    assignments = by_type[ResourceType.ENDPOINT]
    for name, bound in versions.items():
        assignments[name] = assignments[name].bound_to(bound)


def _missing(
    resource: Resource, by_type: Mapping[ResourceType, Resources], static_clusters: frozenset[str]
) -> Iterator[str]:
    for kind, wanted in resource.references.items():
        present = by_type[kind]
        for name in wanted:
            if name not in present and not (kind is ResourceType.CLUSTER and name in static_clusters):
                yield f"{_label(resource.type, resource.name)}: needs {_label(kind, name)}, which is missing"


def _label(kind: ResourceType, name: str) -> str:
    words = {
        ResourceType.ENDPOINT: "endpoints",
        ResourceType.ROUTE: "route configuration",
        ResourceType.EXTENSION: "filter",
    }
    return f'{words.get(kind, kind.name.lower())} "{name}"'


def transition(old: Snapshot, new: Snapshot) -> tuple[Snapshot, ...]:
    """The snapshots to publish one after the other so that no traffic meets a missing cluster.

    Make before break: clusters, endpoints, secrets and filters are added or changed, then listeners and routes switched, then
    what is no longer used removed. A stage equal to the one before it is left out, so a mere weight change is one stage and
    no change none.
    """
    upstream = {
        kind: {**old.of(kind), **new.of(kind)}
        for kind in (
            ResourceType.CLUSTER,
            ResourceType.ENDPOINT,
            ResourceType.SECRET,
            ResourceType.EXTENSION,
        )
    }
    listener, route, runtime = ResourceType.LISTENER, ResourceType.ROUTE, ResourceType.RUNTIME
    static = old.static_clusters | new.static_clusters
    before, after = (
        _seal(
            {
                **upstream,
                listener: dict(s.of(listener)),
                route: dict(s.of(route)),
                runtime: dict(s.of(runtime)),
            },
            static,
        )
        for s in (old, new)
    )
    return tuple(_without_repeats(old, (before, after, new)))


def _without_repeats(first: Snapshot, stages: Iterable[Snapshot]) -> Iterator[Snapshot]:
    last = first
    for stage in stages:
        if stage != last:
            yield stage
            last = stage


def clusters_to_warm(old: Snapshot, new: Snapshot) -> frozenset[str]:
    """Names of the clusters that `new` adds or changes: Envoy has to warm them before routes may use them."""
    known = old.of(ResourceType.CLUSTER)
    return frozenset(
        name for name, cluster in new.of(ResourceType.CLUSTER).items() if known.get(name) != cluster
    )


def wanted_by_holder(snapshot: Snapshot) -> dict[ResourceType, set[str]]:
    """The endpoints, routes, secrets and filters that a client asks for once it holds all clusters and listeners."""
    wanted: dict[ResourceType, set[str]] = {}
    for root in (ResourceType.CLUSTER, ResourceType.LISTENER):
        for resource in snapshot.of(root).values():
            for kind, names in resource.references.items():
                if kind is not ResourceType.CLUSTER:
                    wanted.setdefault(kind, set()).update(names)
    return wanted
