"""What one node has accepted and rejected. Outlives the node's streams, so that a rejection never loops.

Envoy does not always say which resource of a response it refused. Those it names are blamed, otherwise all that were new to
it: they are then withheld together, until one of them has changed.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from marchproxy.engines.envoy.xds.resource import Resource, ResourceType
from marchproxy.engines.envoy.xds.snapshot import Snapshot

_MAX_REJECTIONS = 256
_ACCEPTED_SLACK = 1024  # resources remembered beyond the current snapshot's, before old ones are let go

Key = tuple[ResourceType, str]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Resources of one type refused together, with the client's own message."""

    type: ResourceType
    resources: frozenset[Resource]
    message: str

    @property
    def names(self) -> tuple[str, ...]:
        """The refused names, sorted."""
        return tuple(sorted(resource.name for resource in self.resources))

    def applies_to(self, snapshot: Snapshot) -> bool:
        """Whether `snapshot` holds every refused resource, unchanged."""
        present = snapshot.of(self.type)
        return all(resource.is_same_as(present.get(resource.name)) for resource in self.resources)


class Verdicts:
    """Accepted resources by name, and the latest rejections (at most 256)."""

    def __init__(self) -> None:
        self._accepted: dict[Key, Resource] = {}
        self._rejections: deque[Rejection] = deque(maxlen=_MAX_REJECTIONS)

    def accepted(self, kind: ResourceType, name: str) -> Resource | None:
        """The version of a resource that the node acknowledged last."""
        return self._accepted.get((kind, name))

    def has_accepted(self, resource: Resource) -> bool:
        """Whether the version acknowledged last has the same content."""
        return resource.is_same_as(self.accepted(resource.type, resource.name))

    def accept(self, resources: Iterable[Resource]) -> None:
        """Note an acknowledgement."""
        for resource in resources:
            self._accepted[resource.type, resource.name] = resource

    def reject(self, kind: ResourceType, sent: Sequence[Resource], message: str) -> Rejection:
        """Note that a response was refused, and return who is blamed.

        A resource accepted before is never withheld afterwards, and blamed only when nothing in the response was new.
        """
        fresh = [resource for resource in sent if not self.has_accepted(resource)]
        named = [resource for resource in fresh if _names(message, resource.name)]
        if named:
            self._rejections.extend(Rejection(kind, frozenset({resource}), message) for resource in named)
        elif fresh:
            self._rejections.append(Rejection(kind, frozenset(fresh), message))
        return Rejection(kind, frozenset(named or fresh or sent), message)

    def rejection_of(self, snapshot: Snapshot) -> Rejection | None:
        """The latest rejection that forbids to send `snapshot` as it is."""
        return next((r for r in reversed(self._rejections) if r.applies_to(snapshot)), None)

    def blocked(self, snapshot: Snapshot) -> frozenset[Key]:
        """The resources of `snapshot` that must not be sent."""
        return frozenset(self.reasons(snapshot))

    def reasons(self, snapshot: Snapshot) -> dict[Key, str]:
        """The same resources, each with the client's latest message about it."""
        standing = (rejection for rejection in self._rejections if rejection.applies_to(snapshot))
        return {(refused.type, r.name): refused.message for refused in standing for r in refused.resources}

    def pardon(self, snapshot: Snapshot) -> None:
        """Forget the rejections that stand against `snapshot`, so that it may be tried once more."""
        standing = [rejection for rejection in self._rejections if not rejection.applies_to(snapshot)]
        self._rejections = deque(standing, maxlen=_MAX_REJECTIONS)

    def trim(self, snapshot: Snapshot) -> None:
        """Let accepted resources go that `snapshot` no longer has, once there are many of them."""
        if len(self._accepted) > len(snapshot) + _ACCEPTED_SLACK:
            self._accepted = {key: r for key, r in self._accepted.items() if key[1] in snapshot.of(key[0])}


def _names(message: str, name: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", message) is not None
