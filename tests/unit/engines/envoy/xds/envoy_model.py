"""A model of Envoy as an xDS client: asks by reference, warms clusters, withholds the CDS acknowledgement while it does.

Resources here are opaque: `of(kind, name, version, *clusters)`. A cluster asks for the endpoints, a listener for the route
configuration of its own name; a route configuration lists the clusters it uses.
"""

from collections.abc import Callable

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from marchproxy.engines.envoy.xds.resource import Resource, ResourceType
from marchproxy.engines.envoy.xds.snapshot import Draft, Snapshot, check

CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, RUNTIME, EXTENSION = ResourceType
CHILD = {CLUSTER: ENDPOINT, LISTENER: ROUTE}


def of(kind, name, version, *clusters, reads=None, needs=None):
    references = {CHILD[kind]: frozenset({reads or name})} if kind in CHILD else {}
    references |= needs or {}
    if clusters:
        references[CLUSTER] = frozenset(clusters)
    value = "|".join((name, str(version), *clusters)).encode()
    return Resource(kind, name, str(version), any_pb2.Any(type_url=kind.type_url, value=value), references)


def checked(*resources) -> Snapshot:
    return check(Draft(resources))


def pool(name, version=1, endpoints=1):
    return of(CLUSTER, name, version), of(ENDPOINT, name, endpoints)


def site(name, version, *clusters, listener=1):
    return of(LISTENER, name, listener), of(ROUTE, name, version, *clusters)


class EnvoyModel:
    """`refuses(kind, name, version)` says what it rejects; `blames`: whether its message names the culprit."""

    def __init__(
        self, *, delta: bool, refuses: Callable[..., bool] = lambda *_: False, blames: bool = True
    ) -> None:
        self.delta, self.refuses, self.blames = delta, refuses, blames
        self.held: dict[ResourceType, dict[str, str]] = {kind: {} for kind in ResourceType}
        self.uses: dict[str, tuple[str, ...]] = {}  # clusters of each held route configuration
        self.warming: set[str] = set()
        self.refused: list[tuple[ResourceType, str, str]] = []
        self.received: list[tuple[ResourceType, tuple[str, ...], tuple[str, ...]]] = []
        self.broken: list[str] = []  # a route without a warm cluster behind it
        self._asked: dict[ResourceType, set[str]] = {}
        self._nonce: dict[ResourceType, str] = {}
        self._withheld: list = []

    def connect(self) -> list:
        """The first requests of a new stream."""
        self._nonce.clear()
        self._withheld.clear()
        self._asked = {CLUSTER: set(), LISTENER: set()}
        for parent, child in CHILD.items():
            self.held[child] = {n: v for n, v in self.held[child].items() if n in self.held[parent]}
        opening = [self._hello(CLUSTER), self._hello(LISTENER)]
        return opening + self._ask_for_children(initial=True)

    def _hello(self, kind, names=(), versions=None):
        node = {"id": "edge"}
        if not self.delta:
            return discovery_pb2.DiscoveryRequest(
                node=node, type_url=kind.type_url, resource_names=sorted(names)
            )
        known = self.held[kind] if versions is None else versions
        return discovery_pb2.DeltaDiscoveryRequest(
            node=node,
            type_url=kind.type_url,
            resource_names_subscribe=sorted(names),
            initial_resource_versions=known,
        )

    def _ask_for_children(self, *, initial=False) -> list:
        requests = []
        for parent, child in CHILD.items():
            wanted, asked = set(self.held[parent]), self._asked.get(child)
            if asked is None:
                if wanted:
                    known = self.held[child] if initial else {}
                    requests.append(self._hello(child, wanted, known))
                    self._asked[child] = wanted
            elif wanted != asked:
                requests.append(self._change(child, wanted, asked))
                self._asked[child] = wanted
                for name in asked - wanted:
                    self.held[child].pop(name, None)
        return requests

    def _change(self, kind, wanted, asked):
        if not self.delta:
            return discovery_pb2.DiscoveryRequest(
                type_url=kind.type_url,
                resource_names=sorted(wanted),
                response_nonce=self._nonce.get(kind, ""),
            )
        return discovery_pb2.DeltaDiscoveryRequest(
            type_url=kind.type_url,
            resource_names_subscribe=sorted(wanted - asked),
            resource_names_unsubscribe=sorted(asked - wanted),
        )

    def receive(self, response) -> list:
        """Apply one response; the requests it leads to."""
        kind = next(kind for kind in ResourceType if kind.type_url == response.type_url)
        self._nonce[kind] = response.nonce
        offered = [_read(entry.resource if self.delta else entry) for entry in response.resources]
        versions = {entry.name: entry.version for entry in response.resources} if self.delta else {}
        removed = self._removed(kind, response, offered)
        self.received.append((kind, tuple(sorted(name for name, *_ in offered)), tuple(sorted(removed))))
        bad = [(kind, name, version) for name, version, *_ in offered if self.refuses(kind, name, version)]
        self.refused += bad
        if kind is ENDPOINT:
            self.warming -= {name for name, *_ in offered} | set(removed)
        if not bad:
            for name in removed:
                self._drop(kind, name)
            for name, version, *clusters in offered:
                if kind not in CHILD and name not in self._asked[kind]:
                    continue  # no longer wanted: it crossed the request that said so
                self._apply(kind, name, versions.get(name, version), tuple(clusters))
        message = ", ".join(name for _, name, _ in bad) if self.blames else "missing )"
        answer = self._answer(kind, response.nonce, message if bad else None)
        if kind is CLUSTER and self.warming:
            self._withheld.append(answer)
            return self._ask_for_children()
        released = [] if self.warming else self._withheld
        self._withheld = self._withheld if self.warming else []
        return [answer, *self._ask_for_children(), *released]

    def _removed(self, kind, response, offered) -> list[str]:
        if self.delta:
            return list(response.removed_resources)
        present = {name for name, *_ in offered}
        return [name for name in self.held[kind] if name not in present] if kind in CHILD else []

    def _drop(self, kind, name) -> None:
        self.held[kind].pop(name, None)
        if kind is CLUSTER:
            self.warming.discard(name)
            used = {
                c for route, clusters in self.uses.items() if route in self.held[LISTENER] for c in clusters
            }
            if name in used:
                self.broken.append(f"cluster {name} removed while in use")

    def _apply(self, kind, name, version, clusters) -> None:
        if kind is CLUSTER and self.held[kind].get(name) != version:
            self.warming.add(name)
        if kind is ROUTE:
            self.uses[name] = clusters
            missing = [c for c in clusters if c not in self.held[CLUSTER] or c in self.warming]
            if missing:
                self.broken.append(f"route {name} before its clusters {missing}")
        self.held[kind][name] = version

    def _answer(self, kind, nonce, error):
        status = {} if error is None else {"error_detail": {"code": 3, "message": error}}
        if self.delta:
            return discovery_pb2.DeltaDiscoveryRequest(type_url=kind.type_url, response_nonce=nonce, **status)
        return discovery_pb2.DiscoveryRequest(
            type_url=kind.type_url,
            response_nonce=nonce,
            resource_names=sorted(self._asked.get(kind, ())),
            **status,
        )


def _read(body) -> list[str]:
    """Name, version and clusters; a real protobuf is the session's own stand-in for endpoints that do not exist."""
    if b"|" in body.value:
        return body.value.decode().split("|")
    return [endpoint_pb2.ClusterLoadAssignment.FromString(body.value).cluster_name, "stand-in"]
