import asyncio

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from marchproxy.engines.envoy.xds.session import channel
from tests.unit.engines.envoy.xds.envoy_model import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    ROUTE,
    EnvoyModel,
    checked,
    pool,
    site,
)
from tests.unit.engines.envoy.xds.fake_client import attached

ONE = checked(*pool("a"), *site("web", 1, "a"))


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
def socket(tmp_path):
    return tmp_path / "ads.sock"


def first(kind=CLUSTER, node="edge", **fields):
    return discovery_pb2.DeltaDiscoveryRequest(type_url=kind.type_url, node={"id": node}, **fields)


@pytest.mark.parametrize("delta", [True, False])
async def test_two_nodes_get_their_own_snapshots(socket, delta):
    ads, model = AdsServer(), EnvoyModel(delta=delta)
    async with serve_unix(ads, socket, grace=0.1), attached(model, socket):
        ads.set_snapshot("other", checked(*pool("b")))
        ads.set_snapshot("edge", ONE)
        await until(lambda: ROUTE in ads.node("edge").status().acked and not ads.node("edge").pending())
        assert model.held[CLUSTER] == {"a": "1"}
        edge, other = sorted(ads.nodes(), key=lambda status: status.node_id)
        assert (edge.connected, other.connected) == (True, False)
        assert edge.acked.keys() == {CLUSTER, ENDPOINT, LISTENER, ROUTE}
        assert edge.last_error is None
    await until(lambda: not ads.node("edge").connected)


async def test_a_node_without_a_target_is_left_alone(socket):
    ads, model = AdsServer(), EnvoyModel(delta=True)
    model.held[CLUSTER] = {"kept": "7"}
    async with serve_unix(ads, socket, grace=0.1):
        async with attached(model, socket):
            await until(lambda: ads.nodes() and ads.nodes()[0].connected)
        await until(lambda: not ads.nodes())  # and forgotten when it leaves
    assert model.received == []


async def test_stop_ends_streams_cleanly_and_clients_may_come_back(socket):
    model = EnvoyModel(delta=True)
    for _ in range(2):
        ads = AdsServer()
        ads.set_snapshot("edge", ONE)
        channel_to = grpc.aio.insecure_channel(f"unix:{socket}")
        async with serve_unix(ads, socket, grace=0.1), channel_to as grpc_channel:
            call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(grpc_channel).DeltaAggregatedResources()
            await call.write(model.connect()[0])
            assert (await call.read()).type_url == CLUSTER.type_url
            ads.close()
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is grpc.StatusCode.OK


async def refusal(socket, *requests):
    """The status with which the server ends a stream."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as grpc_channel:
        call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(grpc_channel).DeltaAggregatedResources()
        try:
            for request in requests:
                await call.write(request)
            await call.read()
        except grpc.aio.AioRpcError:
            pass
        return await call.code()


async def test_misuse_ends_the_stream_with_a_status(socket, monkeypatch):
    monkeypatch.setattr(channel, "MAX_NAMES", 2)
    ads = AdsServer(max_streams=1)
    async with serve_unix(ads, socket, grace=0.1):
        assert await refusal(socket, first(node="")) is grpc.StatusCode.INVALID_ARGUMENT
        greedy = first(ENDPOINT, resource_names_subscribe=["a", "b", "c"])
        assert await refusal(socket, greedy) is grpc.StatusCode.RESOURCE_EXHAUSTED
        await until(lambda: not ads.nodes())
        async with attached(EnvoyModel(delta=True), socket):
            await until(ads.nodes)
            assert await refusal(socket, first()) is grpc.StatusCode.UNAVAILABLE
        ads.close()
        assert await refusal(socket, first()) is grpc.StatusCode.UNAVAILABLE


async def test_unknown_types_are_ignored(socket):
    ads = AdsServer()
    ads.set_snapshot("edge", ONE)
    stranger = discovery_pb2.DeltaDiscoveryRequest(type_url="type.googleapis.com/x.Y", node={"id": "edge"})
    async with (
        serve_unix(ads, socket, grace=0.1),
        grpc.aio.insecure_channel(f"unix:{socket}") as grpc_channel,
    ):
        call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(grpc_channel).DeltaAggregatedResources()
        for request in (stranger, stranger, first()):
            await call.write(request)
        assert (await call.read()).type_url == CLUSTER.type_url
        call.cancel()


async def test_clients_that_vanish_leave_nothing(socket):
    ads = AdsServer()
    ads.set_snapshot("edge", ONE)
    async with serve_unix(ads, socket, grace=0.1):
        for _ in range(20):
            async with grpc.aio.insecure_channel(f"unix:{socket}") as grpc_channel:
                call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(grpc_channel).StreamAggregatedResources()
                await call.write(
                    discovery_pb2.DiscoveryRequest(type_url=CLUSTER.type_url, node={"id": "edge"})
                )
        await until(lambda: not ads.node("edge").connected)


async def test_the_socket_is_private_and_a_stale_one_replaced(socket):
    for _ in range(2):
        async with serve_unix(AdsServer(), socket, grace=0.1):
            assert socket.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["missing/ads.sock", "x" * 120])
async def test_an_unusable_path_says_so(tmp_path, name):
    with pytest.raises(OSError, match="cannot listen on the Unix socket"):
        async with serve_unix(AdsServer(), tmp_path / name):
            pass


async def test_a_file_that_is_no_socket_is_not_deleted(tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(OSError, match="not a socket"):
        async with serve_unix(AdsServer(), tmp_path / "notes.txt"):
            pass
    assert (tmp_path / "notes.txt").read_text() == "keep"
