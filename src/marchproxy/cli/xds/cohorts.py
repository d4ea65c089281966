"""Cohorts: nodes that are given the same, because the same entry of `xds.nodes` fits them and they are of one kind. No I/O."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from marchproxy.cli.xds.settings import NodeSettings
from marchproxy.engines.envoy.xds import Identity

_EVERY_NODE = (NodeSettings(),)


@dataclass(frozen=True, slots=True)
class Cohort:
    """The Envoys, or the gRPC clients, that an entry fits. `entry` is a digest of it: another entry, another cohort."""

    entry: str
    is_grpc: bool

    def __str__(self) -> str:
        return f"{self.entry}-{'grpc' if self.is_grpc else 'envoy'}"


class Cohorts:
    """The cohorts of some entries; without entries everybody is in one of two."""

    def __init__(self, nodes: Sequence[NodeSettings]) -> None:
        self._entries = tuple((node, _digest(node)) for node in nodes or _EVERY_NODE)

    def all(self) -> dict[Cohort, NodeSettings]:
        """Every cohort with its entry."""
        return {Cohort(entry, kind): node for node, entry in self._entries for kind in (False, True)}

    def of(self, identity: Identity) -> Cohort | None:
        """The cohort of a node, by the first entry that fits it; None when no entry does."""
        for node, entry in self._entries:
            if _fits(node, identity):
                return Cohort(entry, identity.is_grpc)
        return None


def _digest(node: NodeSettings) -> str:
    return hashlib.blake2b(node.model_dump_json().encode(), digest_size=6).hexdigest()


def _fits(node: NodeSettings, identity: Identity) -> bool:
    return (
        fnmatchcase(identity.node_id, node.id)
        and fnmatchcase(identity.cluster, node.cluster)
        and node.metadata.items() <= identity.metadata.items()
    )
