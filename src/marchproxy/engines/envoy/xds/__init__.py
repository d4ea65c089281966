"""The xDS control plane: immutable snapshots, checked, then streamed over ADS.

A `Draft` of resources becomes a `Snapshot` by `check`; a `Publisher` brings one node to it, through an `AdsServer`.
"""

from marchproxy.engines.envoy.xds.identity import Assign, Identity
from marchproxy.engines.envoy.xds.node import NodeStatus
from marchproxy.engines.envoy.xds.publish import Publisher, PublishTimeout, SnapshotRejected, load
from marchproxy.engines.envoy.xds.resource import Resource, ResourceType
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from marchproxy.engines.envoy.xds.snapshot import (
    EMPTY,
    Draft,
    InconsistentSnapshot,
    Snapshot,
    check,
    transition,
)
from marchproxy.engines.envoy.xds.status import StatusService

__all__ = [
    "EMPTY",
    "AdsServer",
    "Assign",
    "Draft",
    "Identity",
    "InconsistentSnapshot",
    "NodeStatus",
    "PublishTimeout",
    "Publisher",
    "Resource",
    "ResourceType",
    "Snapshot",
    "SnapshotRejected",
    "StatusService",
    "check",
    "load",
    "serve_unix",
    "transition",
]
