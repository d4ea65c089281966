"""The ADS server: gRPC streams in front of the session machines. One reader and one writer per stream, nothing queued.

Several nodes may be served; each has its own target snapshot. A node nobody set a target for is left unanswered, so that a
control plane that has just started never empties an Envoy that is serving. With `assign`, nodes need not be known before
they come: each is given its target by what it says about itself, or refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3 import ads_pb2_grpc

from marchproxy.engines.envoy.xds.identity import STARTED_AT, Assign, Identity
from marchproxy.engines.envoy.xds.kinds import type_of_url
from marchproxy.engines.envoy.xds.node import Node, NodeStatus
from marchproxy.engines.envoy.xds.session import (
    DeltaSession,
    Nacked,
    ProtocolViolation,
    Session,
    SotwSession,
    Standing,
)
from marchproxy.engines.envoy.xds.snapshot import Snapshot
from marchproxy.engines.envoy.xds.verdicts import Rejection, Verdicts
from marchproxy.kit.logs import get_logger

_log = get_logger(__name__)

# one message carries a whole type: 16 MB is about 100,000 routes
_MAX_MESSAGE = 16 * 1024 * 1024
_FIRST_REQUEST_SECONDS = 10.0
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class _Stream:
    """One open gRPC stream."""

    def __init__(self, session: Session, first: Any) -> None:
        self.session = session
        self.first = first
        told = first.node.metadata.fields
        self.started: float = told[STARTED_AT].number_value if STARTED_AT in told else 0.0
        self._wake = asyncio.Event()
        self._ended = False
        self._strangers: set[str] = set()
        self.violation: str | None = None

    def wake(self) -> None:
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def read(self, node: Node, requests: AsyncIterator[Any]) -> None:
        try:
            self._receive(node, self.first)
            async for request in requests:
                self._receive(node, request)
        except ProtocolViolation as violation:
            self.violation = str(violation)
        finally:
            self.end()

    def _receive(self, node: Node, request: Any) -> None:
        if type_of_url(request.type_url) is None and len(self._strangers) < 16:
            if request.type_url not in self._strangers:
                _log.warning("xds: this type is not served", node=node.node_id, type_url=request.type_url)
            self._strangers.add(request.type_url)
        events = self.session.receive(request)
        for event in events:
            if isinstance(event, Nacked):
                _tell_of(event.rejection, node)
        node.observe(events, self)
        self.wake()

    async def write(self, node: Node, context: Any) -> None:
        while not self._ended:
            self._wake.clear()
            for response in self.session.take():
                await context.write(response)
            node.notify()
            await self._wake.wait()


class AdsServer:
    """AggregatedDiscoveryService for any number of nodes, in both variants. At most `max_streams` at a time.

    As many nodes that `assign` gave a target, and that have left, are remembered: what they refused is not tried again.
    """

    def __init__(self, *, max_streams: int = 1024, assign: Assign | None = None) -> None:
        self._max_streams = max_streams
        self._assign = assign
        self._assigned: dict[str, Identity] = {}  # by node key, in the order in which they were last seen
        self._nodes: dict[str, Node] = {}
        self._streams: set[_Stream] = set()
        self._closed = False

    def register(self, server: Any) -> None:
        """Add the service to a `grpc.aio.Server`, or to anything that collects generic handlers."""
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, server)

    def node(self, node_id: str) -> Node:
        """The node of this id, whether it has connected yet or not."""
        return self._nodes.setdefault(node_id, Node(node_id))

    def set_snapshot(self, node_id: str, snapshot: Snapshot) -> None:
        """Serve `snapshot` to a node from now on, without waiting. A resource it refuses is withheld, the last good stays."""
        if not isinstance(snapshot, Snapshot):
            raise TypeError("only a checked Snapshot is published")
        self.node(node_id).aim(snapshot)

    def reassign(self, among: Callable[[Identity], bool] = lambda _: True) -> None:
        """Ask `assign` again for every node it was asked for, or for those `among` them.

        One that is given nothing any more keeps what it holds.
        """
        for key, identity in self._assigned.items():
            if not among(identity):
                continue
            snapshot = None if self._assign is None else self._assign(identity)
            if snapshot is None:
                _log.warning("xds: nothing is meant for this node any more; it keeps what it holds", node=key)
            self._nodes[key].aim(snapshot)

    def nodes(self) -> list[NodeStatus]:
        """Every node with a target or a stream."""
        return [node.status() for node in self._nodes.values()]

    def connected(self) -> list[Identity]:
        """The nodes with a stream that `assign` was asked for, in the order in which they came."""
        return [identity for key, identity in self._assigned.items() if self._nodes[key].connected]

    def reports(self) -> list[tuple[Identity, Iterator[Standing]]]:
        """Every connected node, and what became of each resource that it asked for."""
        return [
            (self._assigned.get(key) or Identity(key), node.standings())
            for key, node in self._nodes.items()
            if node.connected
        ]

    def close(self) -> None:
        """End all streams and refuse new ones. Envoys keep what they hold and try to reconnect."""
        self._closed = True
        for stream in self._streams:
            stream.end()

    async def DeltaAggregatedResources(self, requests: AsyncIterator[Any], context: Any) -> None:  # noqa: N802 - gRPC's name
        """Serve one incremental stream until it ends."""
        await self._serve(DeltaSession, requests, context)

    async def StreamAggregatedResources(self, requests: AsyncIterator[Any], context: Any) -> None:  # noqa: N802 - gRPC's name
        """Serve one state-of-the-world stream until it ends."""
        await self._serve(SotwSession, requests, context)

    async def _serve(
        self, variant: Callable[[Verdicts], Session], requests: AsyncIterator[Any], context: Any
    ) -> None:
        first = await _first_of(requests)
        if first is None:
            return
        if self._closed or len(self._streams) >= self._max_streams:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no further ADS streams are accepted here")
        if not first.node.id:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request has to carry node.id")
        node = self._node_of(first)
        if node is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "nothing is configured for this node")
            return
        stream = _Stream(variant(node.verdicts), first)
        self._streams.add(stream)
        node.attach(stream)
        _log.info("xds: stream opened", node=node.node_id, variant=variant.__name__)
        try:
            await _run(stream, node, requests, context)
        finally:
            self._streams.discard(stream)
            node.detach(stream)
            self._forget_stranger(node)
            _log.info("xds: stream closed", node=node.node_id, violation=stream.violation)
        if stream.violation is not None:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, stream.violation)

    def _node_of(self, first: Any) -> Node | None:
        """The node that opens a stream, aimed at what it is assigned; None when it is assigned nothing."""
        if self._assign is None:
            return self.node(first.node.id)
        identity = Identity.of(first.node)
        snapshot = self._assign(identity)
        if snapshot is None:
            _log.warning("xds: a client for which nothing is configured was refused", node=identity.node_id)
            return None
        self._assigned.pop(identity.key, None)
        self._assigned[identity.key] = identity
        node = self.node(identity.key)
        if node.target is not snapshot:
            node.aim(snapshot)
        return node

    def _forget_departed(self) -> None:
        gone = [key for key in self._assigned if not (self._nodes[key].connected or self._nodes[key].watched)]
        for key in gone[: max(0, len(gone) - self._max_streams)]:
            del self._assigned[key], self._nodes[key]

    def _forget_stranger(self, node: Node) -> None:
        self._forget_departed()
        if node.node_id in self._assigned:
            return
        if node.target is None and not node.connected and not node.watched:
            self._nodes.pop(node.node_id, None)


def _tell_of(refused: Rejection, node: Node) -> None:
    what = {"type": refused.type.name, "names": refused.names, "reason": refused.message}
    _log.warning("xds: a client refused resources", node=node.node_id, **what)


async def _first_of(requests: AsyncIterator[Any]) -> Any | None:
    """The request that opens the stream; None when the client leaves, or says nothing for too long."""
    try:
        async with asyncio.timeout(_FIRST_REQUEST_SECONDS):
            return await anext(aiter(requests), None)
    except TimeoutError:
        return None


async def _run(stream: _Stream, node: Node, requests: AsyncIterator[Any], context: Any) -> None:
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(stream.read(node, requests))
        await stream.write(node, context)
        reader.cancel()


@asynccontextmanager
async def serve_unix(ads: AdsServer, path: Path, *, grace: float = 1.0) -> AsyncIterator[None]:
    """Serve `ads` on a Unix socket that only this user may open, while the block runs. OSError: the path is unusable."""
    if path.exists() and not path.is_socket():
        raise OSError(f"cannot listen on the Unix socket {path}: the file there is not a socket")
    path.unlink(missing_ok=True)  # left behind by a process that crashed
    server = grpc.aio.server(options=_OPTIONS)
    ads.register(server)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on the Unix socket {path}: {error}") from error
    await server.start()
    path.chmod(0o600)
    try:
        yield
    finally:
        ads.close()
        await server.stop(grace)
