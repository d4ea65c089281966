"""ClientStatusDiscoveryService: what every connected node holds, waits for and has refused. Read only.

It shows one node what another has, so it belongs on an address of its own. Keys and certificates are never shown.
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/service/status/v3/csds.proto
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
from envoy.admin.v3 import config_dump_shared_pb2
from envoy.config.core.v3 import base_pb2
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc

from marchproxy.engines.envoy.xds.identity import Identity
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.session import Stage, Standing

_STATUS = {
    Stage.NOT_SENT: csds_pb2.NOT_SENT,
    Stage.SENT: csds_pb2.STALE,
    Stage.ACCEPTED: csds_pb2.SYNCED,
    Stage.REFUSED: csds_pb2.ERROR,
}
_CLIENT_STATUS = {
    Stage.NOT_SENT: config_dump_shared_pb2.REQUESTED,
    Stage.SENT: config_dump_shared_pb2.REQUESTED,
    Stage.ACCEPTED: config_dump_shared_pb2.ACKED,
    Stage.REFUSED: config_dump_shared_pb2.NACKED,
}

Report = tuple[Identity, Iterable[Standing]]


class StatusService:
    """Answers from `reports`, which gives every connected node with the resources it asked for."""

    def __init__(self, reports: Callable[[], Iterable[Report]]) -> None:
        self._reports = reports

    def register(self, server: Any) -> None:
        """Add the service to a `grpc.aio.Server`, or to anything that collects handlers."""
        csds_pb2_grpc.add_ClientStatusDiscoveryServiceServicer_to_server(self, server)

    async def FetchClientStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Answer once. INVALID_ARGUMENT: a matcher other than a text comparison of the node's id."""
        for matcher in request.node_matchers:
            if matcher.node_metadatas or matcher.node_id.WhichOneof("match_pattern") not in _COMPARISONS:
                words = "node_matchers: only node_id by exact, prefix, suffix and contains is supported"
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, words)
        return csds_pb2.ClientStatusResponse(
            config=[
                _client(identity, standings, contents=not request.exclude_resource_contents)
                for identity, standings in self._reports()
                if _is_meant(identity.node_id, request.node_matchers)
            ]
        )

    async def StreamClientStatus(self, requests: AsyncIterator[Any], context: Any) -> None:  # noqa: N802 - gRPC's name
        """Answer each request of a stream, as `FetchClientStatus` does."""
        async for request in requests:
            await context.write(await self.FetchClientStatus(request, context))


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda text, wanted: text == wanted,
    "prefix": str.startswith,
    "suffix": str.endswith,
    "contains": lambda text, wanted: wanted in text,
}


def _is_meant(node_id: str, matchers: Iterable[Any]) -> bool:
    """Whether one of the matchers fits, or there are none."""
    asked = [matcher.node_id for matcher in matchers]
    return not asked or any(_matches(node_id, matcher) for matcher in asked)


def _matches(node_id: str, matcher: Any) -> bool:
    how = matcher.WhichOneof("match_pattern")
    wanted = getattr(matcher, how)
    if matcher.ignore_case:
        node_id, wanted = node_id.lower(), wanted.lower()
    return _COMPARISONS[how](node_id, wanted)


def _client(identity: Identity, standings: Iterable[Standing], *, contents: bool) -> Any:
    node = base_pb2.Node(id=identity.node_id, cluster=identity.cluster, user_agent_name=identity.user_agent)
    node.metadata.update(dict(identity.metadata))
    return csds_pb2.ClientConfig(
        node=node, generic_xds_configs=[_resource(standing, contents=contents) for standing in standings]
    )


def _resource(standing: Standing, *, contents: bool) -> Any:
    resource = standing.resource
    config = csds_pb2.ClientConfig.GenericXdsConfig(
        type_url=resource.type.type_url,
        name=resource.name,
        version_info=resource.version,
        config_status=_STATUS[standing.stage],
        client_status=_CLIENT_STATUS[standing.stage],
    )
    if contents and resource.type is not ResourceType.SECRET:
        config.xds_config.CopyFrom(resource.body)
    if standing.stage is Stage.REFUSED:
        config.error_state.details = standing.reason
        config.error_state.version_info = resource.version
    return config
