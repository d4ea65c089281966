"""Retired chains: filter chains that take no connection any more, and stay as long as those they have may need them.

Envoy ends the connections of a chain that is taken away. What a change replaces therefore stays in its listener, where
the matcher does not lead to it, until some further changes have retired newer ones of the same clients.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2

from marchproxy.engines.envoy.xds.references import references_of
from marchproxy.engines.envoy.xds.resource import Resource, ResourceType
from marchproxy.engines.envoy.xds.snapshot import Draft, Snapshot
from marchproxy.nlb.dataplane.resources.naming import NOBODY

#: Chains for the same clients, and chains in all, of a listener; the connections of older ones end with a drain.
MOST_ALIKE, MOST = 4, 64


def keep_retired(draft: Draft, before: Snapshot) -> Draft:
    """The draft, with the chains of `before` that it replaces and for which everything is still there."""
    present: dict[ResourceType, set[str]] = {}
    for resource in draft.resources:
        present.setdefault(resource.type, set()).add(resource.name)
    resources = tuple(
        _with_retired(resource, before.of(ResourceType.LISTENER).get(resource.name), present)
        if resource.type is ResourceType.LISTENER
        else resource
        for resource in draft.resources
    )
    return Draft(resources, draft.static_clusters)


def _with_retired(
    resource: Resource, before: Resource | None, present: Mapping[ResourceType, set[str]]
) -> Resource:
    if before is None or before == resource:
        return resource
    listener = listener_pb2.Listener.FromString(resource.body.value)
    current = {chain.name for chain in listener.filter_chains}
    retired = [chain for chain in _chains(before) if chain.name not in current and _complete(chain, present)]
    if not retired:
        return resource
    listener.filter_chains.extend(_newest(retired))
    return Resource.of(listener)


def _newest(
    chains: Iterable[listener_components_pb2.FilterChain],
) -> list[listener_components_pb2.FilterChain]:
    kept: list[listener_components_pb2.FilterChain] = []
    alike: Counter[str] = Counter()
    for chain in chains:
        clients = chain.name.partition("@")[0]
        alike[clients] += 1
        if alike[clients] <= MOST_ALIKE and len(kept) < MOST:
            kept.append(chain)
    return kept


def _chains(resource: Resource) -> Iterator[listener_components_pb2.FilterChain]:
    """The chains of a listener, those in use first, then retired ones, the newest first."""
    yield from listener_pb2.Listener.FromString(resource.body.value).filter_chains


def _complete(chain: listener_components_pb2.FilterChain, present: Mapping[ResourceType, set[str]]) -> bool:
    """Whether the chain may have connections, and nothing is missing that it refers to."""
    wanted = references_of(ResourceType.LISTENER, listener_pb2.Listener(filter_chains=[chain]))
    if wanted.get(ResourceType.CLUSTER) == frozenset({NOBODY}):
        return False
    return all(names <= present.get(kind, set()) for kind, names in wanted.items())
