import grpc
import grpc.aio
import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc

from marchproxy.engines.envoy.xds.identity import Identity
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.engines.envoy.xds.session import Stage, Standing
from marchproxy.engines.envoy.xds.status import StatusService
from tests.unit.engines.envoy.xds.builders import cluster

CLUSTER = cluster("a")
SECRET = Resource.of(secret_pb2.Secret(name="key"))
EDGE = Identity("edge-1", "edge", {"zone": "eu"}, "envoy")


@pytest.fixture
async def stub(tmp_path):
    reports = [
        (EDGE, [Standing(CLUSTER, Stage.REFUSED, "too hasty"), Standing(SECRET, Stage.ACCEPTED)]),
        (Identity("other"), [Standing(CLUSTER, Stage.NOT_SENT)]),
    ]
    server = grpc.aio.server()
    StatusService(lambda: reports).register(server)
    server.add_insecure_port(f"unix:{tmp_path / 's'}")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}") as channel:
        yield csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
    await server.stop(None)


async def test_every_node_with_its_resources(stub):
    edge, other = (await stub.FetchClientStatus(csds_pb2.ClientStatusRequest())).config
    assert (edge.node.id, edge.node.cluster, edge.node.metadata["zone"]) == ("edge-1", "edge", "eu")
    refused, kept = edge.generic_xds_configs
    assert (refused.name, refused.config_status, refused.error_state.details) == (
        "a",
        csds_pb2.ERROR,
        "too hasty",
    )
    assert refused.version_info == refused.error_state.version_info == CLUSTER.version
    assert refused.xds_config == CLUSTER.body
    assert kept.config_status == csds_pb2.SYNCED
    assert not kept.HasField("xds_config")  # a key is never shown
    assert [one.config_status for one in other.generic_xds_configs] == [csds_pb2.NOT_SENT]


async def test_contents_can_be_left_out(stub):
    reply = await stub.FetchClientStatus(csds_pb2.ClientStatusRequest(exclude_resource_contents=True))
    assert not any(
        one.HasField("xds_config") for client in reply.config for one in client.generic_xds_configs
    )


@pytest.mark.parametrize(
    ("matcher", "found"),
    [
        ({"exact": "edge-1"}, 1),
        ({"exact": "edge"}, 0),
        ({"prefix": "edge"}, 1),
        ({"suffix": "-1"}, 1),
        ({"contains": "e"}, 2),
        ({"exact": "EDGE-1", "ignore_case": True}, 1),
    ],
)
async def test_nodes_are_found_by_id(stub, matcher, found):
    request = csds_pb2.ClientStatusRequest(node_matchers=[{"node_id": matcher}])
    assert len((await stub.FetchClientStatus(request)).config) == found


@pytest.mark.parametrize(
    "matcher", [{"node_id": {"safe_regex": {"regex": "."}}}, {"node_metadatas": [{}]}, {}]
)
async def test_other_matchers_are_refused_not_ignored(stub, matcher):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.FetchClientStatus(csds_pb2.ClientStatusRequest(node_matchers=[matcher]))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_answers_each_request(stub):
    call = stub.StreamClientStatus()
    for _ in range(2):
        await call.write(csds_pb2.ClientStatusRequest())
        assert len((await call.read()).config) == 2
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
