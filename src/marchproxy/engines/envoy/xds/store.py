"""The last good snapshot on disk, so that a control plane that restarts serves what its Envoy already holds.

Format 1: a line `marchproxy-snapshot 1 <SHA-256 of the rest>`, a line with the static clusters' names as JSON, then a
DeltaDiscoveryResponse with all resources.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.runtime.v3 import rtds_pb2
from google.protobuf.message import DecodeError

from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.snapshot import Draft, InconsistentSnapshot, Snapshot, check
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)

_MAGIC = b"marchproxy-snapshot 1"
_MESSAGES: dict[str, Any] = {
    ResourceType.CLUSTER.type_url: cluster_pb2.Cluster,
    ResourceType.ENDPOINT.type_url: endpoint_pb2.ClusterLoadAssignment,
    ResourceType.LISTENER.type_url: listener_pb2.Listener,
    ResourceType.ROUTE.type_url: route_pb2.RouteConfiguration,
    ResourceType.SECRET.type_url: secret_pb2.Secret,
    ResourceType.RUNTIME.type_url: rtds_pb2.Runtime,
    ResourceType.EXTENSION.type_url: extension_pb2.TypedExtensionConfig,
}


def save(store: Path, snapshot: Snapshot) -> None:
    """Replace the file as a whole. OSError when the disk refuses; then the old file stays.

    Without fsync: a process that dies loses nothing by it, and a file torn by a power cut fails its checksum and is
    ignored, which costs less than milliseconds of every publish.
    """
    with tempfile.NamedTemporaryFile(dir=store.parent, prefix=f".{store.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(encode(snapshot))
            file.flush()
            temporary.replace(store)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def load(store: Path) -> Snapshot | None:
    """The saved snapshot; None when there is none. A file that cannot be used is logged and ignored."""
    try:
        return decode(store.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, DecodeError, InconsistentSnapshot) as error:
        _log.warning("xds: the stored snapshot is ignored", file=str(store), reason=str(error))
        return None


def encode(snapshot: Snapshot) -> bytes:
    """The file's content."""
    resources = [discovery_pb2.Resource(name=r.name, version=r.version, resource=r.body) for r in snapshot]
    message: bytes = discovery_pb2.DeltaDiscoveryResponse(resources=resources).SerializeToString()
    payload = json.dumps(sorted(snapshot.static_clusters)).encode() + b"\n" + message
    return b"%b %b\n%b" % (_MAGIC, _digest(payload), payload)


def _digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).hexdigest().encode()


def decode(content: bytes) -> Snapshot:
    """The snapshot of a file's content. ValueError, DecodeError or InconsistentSnapshot: it is not one."""
    header, _, payload = content.partition(b"\n")
    magic, _, digest = header.rpartition(b" ")
    if magic != _MAGIC:
        raise ValueError("unknown format")
    if digest != _digest(payload):
        raise ValueError("checksum mismatch")
    static_clusters, _, message = payload.partition(b"\n")
    response = discovery_pb2.DeltaDiscoveryResponse.FromString(message)
    resources = tuple(Resource.of(_message(entry.resource)) for entry in response.resources)
    return check(Draft(resources, frozenset(json.loads(static_clusters))))


def _message(body: Any) -> Any:
    if body.type_url not in _MESSAGES:
        raise ValueError(f"unknown resource type {body.type_url!r}")
    return _MESSAGES[body.type_url].FromString(body.value)
