"""Who a client of the control plane says it is, and what it is given for that."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from marchproxy.engines.envoy.xds.snapshot import Snapshot

#: The key in a node's metadata under which an Envoy of ours says when it was started, in milliseconds since the host's
#: boot.
STARTED_AT = "marchproxy.started"

#: The key under which the Envoy of a module of ours says which kind of module that is.
MODULE = "marchproxy.module"


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's own words about itself. `metadata` holds the fields whose value is a text; they are not proven by anything."""

    node_id: str
    cluster: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    user_agent: str = ""

    @property
    def is_grpc(self) -> bool:
        """Whether it is a gRPC library ("gRPC C-core", "gRPC Go", …) that resolves `xds:///` names."""
        return self.user_agent.startswith("gRPC")

    @property
    def key(self) -> str:
        """Differs wherever two identities do, also those of clients that share a `node_id`."""
        digest = hashlib.blake2b(digest_size=4)
        told = [
            self.cluster,
            self.user_agent,
            *(text for pair in sorted(self.metadata.items()) for text in pair),
        ]
        for text in told:
            digest.update(f"{len(text)}:{text}".encode())
        return f"{self.node_id}#{digest.hexdigest()}"

    @classmethod
    def of(cls, node: Any) -> Self:
        """The identity in a request's `node`."""
        texts = {
            key: value.string_value
            for key, value in node.metadata.fields.items()
            if value.WhichOneof("kind") == "string_value"
        }
        return cls(node.id, node.cluster, texts, node.user_agent_name)


# what a node should hold; None: nothing is meant for it, and its stream is refused
Assign = Callable[[Identity], Snapshot | None]
