"""Cohorts: nodes that are given the same, because the same entry of `xds.nodes` fits them and they are of one kind. No I/O."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from marchproxy.cli.xds.settings import NodeSettings
from marchproxy.engines.envoy.xds import Identity
from marchproxy.engines.envoy.xds.identity import MODULE
from marchproxy.model.module import ModuleType

_EVERY_NODE = (NodeSettings(),)


class Kind(Enum):
    """What nodes are: an Envoy that knows nothing but its control plane, a gRPC library, or an ALB's Envoy, which has
    listeners of its own and is given what lies behind them."""

    ENVOY = "envoy"
    GRPC = "grpc"
    ALB = "alb"


@dataclass(frozen=True, slots=True)
class Cohort:
    """The nodes of a kind that an entry fits. `entry` is a digest of it: another entry, another cohort."""

    entry: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.entry}-{self.kind.value}"


class Cohorts:
    """The cohorts of some entries; without entries everybody is in one of each kind."""

    def __init__(self, nodes: Sequence[NodeSettings]) -> None:
        self._entries = tuple((node, _digest(node)) for node in nodes or _EVERY_NODE)

    def all(self) -> dict[Cohort, NodeSettings]:
        """Every cohort with its entry."""
        return {Cohort(entry, kind): node for node, entry in self._entries for kind in Kind}

    def of(self, identity: Identity) -> Cohort | None:
        """The cohort of a node, by the first entry that fits it; None when no entry does."""
        for node, entry in self._entries:
            if _fits(node, identity):
                return Cohort(entry, _kind_of(identity))
        return None


def _digest(node: NodeSettings) -> str:
    return hashlib.blake2b(node.model_dump_json().encode(), digest_size=6).hexdigest()


def _kind_of(identity: Identity) -> Kind:
    if identity.metadata.get(MODULE) == ModuleType.ALB.value:
        return Kind.ALB
    return Kind.GRPC if identity.is_grpc else Kind.ENVOY


def _fits(node: NodeSettings, identity: Identity) -> bool:
    return (
        fnmatchcase(identity.node_id, node.id)
        and fnmatchcase(identity.cluster, node.cluster)
        and node.metadata.items() <= identity.metadata.items()
    )
