"""Stub nodes: so many delta ADS clients in one process, which take all that an Envoy would and acknowledge it.

`python -m bench.support.xds_nodes ADDRESS COUNT`. Each has a connection of its own. A line of JSON is written when all of them
hold everything that is referred to, and again whenever every route configuration of all of them has become another one.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import uvloop
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.service.discovery.v3 import discovery_pb2

from marchproxy.engines.envoy.xds.kinds import References, ResourceType, type_of_url
from marchproxy.engines.envoy.xds.references import references_of

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # channels to one address would share a connection
    ("grpc.max_receive_message_length", 64 << 20),
)
# asked for by type; all others by the names that these refer to
_ROOTS: dict[ResourceType, Any] = {
    ResourceType.CLUSTER: cluster_pb2.Cluster,
    ResourceType.LISTENER: listener_pb2.Listener,
}


class Referred:
    """What resources refer to, worked out once for all nodes."""

    def __init__(self) -> None:
        self._known: dict[tuple[ResourceType, str, str], References] = {}

    def of(self, kind: ResourceType, resource: Any) -> References:
        message = _ROOTS.get(kind)
        if message is None:
            return {}
        key = (kind, resource.name, resource.version)
        if key not in self._known:
            found = references_of(kind, message.FromString(resource.resource.value))
            self._known[key] = {other: names for other, names in found.items() if other not in _ROOTS}
        return self._known[key]


class Node:
    """What one node asked for and holds; requests and responses go in and out as messages, without I/O."""

    def __init__(self, number: int, references: Referred) -> None:
        self._number = number
        self._references = references
        self._wanted: dict[ResourceType, set[str]] = {}
        self._versions: dict[ResourceType, dict[str, str]] = {}
        self._shown: dict[str, str] = {}
        self.received = 0

    def requests(self) -> Iterator[Any]:
        """What opens the stream."""
        for number, kind in enumerate(_ROOTS):
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=kind.type_url)
            if number == 0:
                request.node.id = f"stub-{self._number}"
                request.node.user_agent_name = "envoy"
            yield request

    def answer(self, response: Any) -> Iterator[Any]:
        """Take a response in; the acknowledgement, and requests for what it refers to."""
        kind = type_of_url(response.type_url)
        if kind is None:
            raise ValueError(f"{response.type_url} was never asked for")
        held = self._versions.setdefault(kind, {})
        referred: dict[ResourceType, set[str]] = {}
        for resource in response.resources:
            held[resource.name] = resource.version
            self.received += len(resource.resource.value)
            for other, names in self._references.of(kind, resource).items():
                referred.setdefault(other, set()).update(names)
        for name in response.removed_resources:
            held.pop(name, None)
        yield discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        for other, referred_to in referred.items():
            wanted = self._wanted.setdefault(other, set())
            if new := referred_to - wanted:
                wanted |= new
                yield discovery_pb2.DeltaDiscoveryRequest(
                    type_url=other.type_url, resource_names_subscribe=new
                )

    def is_news(self) -> bool:
        """Whether it holds all it asked for, and no route configuration is the one that was shown last."""
        if not all(self._versions.get(kind) for kind in _ROOTS):
            return False
        if any(asked - self._versions.get(kind, {}).keys() for kind, asked in self._wanted.items()):
            return False
        routes = self._versions.get(ResourceType.ROUTE, {})
        return bool(routes) and all(self._shown.get(name) != version for name, version in routes.items())

    def show(self) -> None:
        """What it holds is old from now on."""
        self._shown = dict(self._versions.get(ResourceType.ROUTE, {}))


class _Fleet:
    """All nodes; tells when all have news."""

    def __init__(self, count: int) -> None:
        references = Referred()
        self.nodes = [Node(number, references) for number in range(count)]
        self._waiting = set(self.nodes)
        self._started = time.monotonic()

    def heard(self, node: Node) -> None:
        if not node.is_news():
            return
        self._waiting.discard(node)
        if not self._waiting:
            now = time.monotonic()
            received = sum(node.received for node in self.nodes)
            told = {"at": now, "since_start": now - self._started, "received": received}
            print(json.dumps(told), flush=True)
            for each in self.nodes:
                each.show()
            self._waiting = set(self.nodes)


async def _live(address: str, node: Node, heard: Callable[[Node], None]) -> None:
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        stream: Any = channel.stream_stream(
            _METHOD,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        for request in node.requests():
            await stream.write(request)
        async for response in stream:
            for request in node.answer(response):
                await stream.write(request)
            heard(node)


async def _serve(address: str, count: int) -> None:
    fleet = _Fleet(count)
    async with asyncio.TaskGroup() as group:
        for node in fleet.nodes:
            group.create_task(_live(address, node, fleet.heard))


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
