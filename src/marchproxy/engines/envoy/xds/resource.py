"""One Envoy resource, serialised once and hashed, with what it refers to. Never re-parsed afterwards."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from google.protobuf import any_pb2
from google.protobuf.message import Message

from marchproxy.engines.envoy.xds.kinds import References, ResourceType
from marchproxy.engines.envoy.xds.references import references_of

__all__ = ["Resource", "ResourceType"]

_BY_FULL_NAME = {kind.value: kind for kind in ResourceType}


@dataclass(frozen=True, slots=True)
class RouteParts:
    """A route configuration taken apart, serialised: its routes, each once, and the `frame` that is left without them."""

    frame: bytes
    routes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """A named, versioned Envoy resource. Two are equal when type, name and version (the content) are.

    `parts` are known of a route configuration that was put together of them; None: it would have to be parsed.
    """

    type: ResourceType
    name: str
    version: str
    body: any_pb2.Any = field(compare=False, repr=False)
    references: References = field(compare=False, repr=False, default_factory=dict)
    parts: RouteParts | None = field(compare=False, repr=False, default=None)

    @property
    def content(self) -> str:
        """The hash of the bytes alone."""
        return self.version.partition(".")[0]

    def is_same_as(self, other: Self | None) -> bool:
        """Whether `other` is this resource with these bytes, whatever either is bound to."""
        return other is not None and (self.type, self.name, self.content) == (
            other.type,
            other.name,
            other.content,
        )

    def bound_to(self, versions: Iterable[str]) -> Self:
        """The same resource with a version that also changes with the versions of what it is delivered for."""
        version = ".".join((self.content, *sorted(versions)))
        return self if version == self.version else replace(self, version=version)

    @classmethod
    def of(cls, message: Message) -> Self:
        """Serialise a Cluster, ClusterLoadAssignment, Listener, RouteConfiguration or Secret, once.

        ValueError: another kind of message, or one without a name.
        """
        kind = _BY_FULL_NAME.get(message.DESCRIPTOR.full_name)
        if kind is None:
            raise ValueError(f"{message.DESCRIPTOR.full_name} is not a resource type served over xDS")
        name = getattr(message, "cluster_name" if kind is ResourceType.ENDPOINT else "name")
        if not name:
            raise ValueError(f"a {kind.name.lower()} needs a name")
        content = message.SerializeToString(deterministic=True)
        return cls.of_bytes(kind, name, content, references_of(kind, message))

    @classmethod
    def of_bytes(
        cls,
        kind: ResourceType,
        name: str,
        content: bytes,
        references: References,
        *,
        parts: RouteParts | None = None,
    ) -> Self:
        """A resource that was serialised elsewhere, with all that its message refers to. Neither is looked at again."""
        return cls(
            type=kind,
            name=name,
            version=hashlib.blake2b(content, digest_size=8).hexdigest(),
            body=any_pb2.Any(type_url=kind.type_url, value=content),
            references=references,
            parts=parts,
        )
