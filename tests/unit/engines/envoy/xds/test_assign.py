"""Nodes that nobody announced: given a snapshot for what they say about themselves, or refused."""

import asyncio

import grpc
import grpc.aio
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from marchproxy.engines.envoy.xds.identity import Identity
from marchproxy.engines.envoy.xds.server import AdsServer, serve_unix
from marchproxy.engines.envoy.xds.session import Stage
from tests.unit.engines.envoy.xds.envoy_model import CLUSTER, EnvoyModel, checked, pool
from tests.unit.engines.envoy.xds.fake_client import attached

ONE, TWO = checked(*pool("a")), checked(*pool("b"))


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def stages(ads):
    """What became of each resource of every connected node."""
    found = [one for _, standings in ads.reports() for one in standings]
    return {(one.resource.type, one.resource.name): one.stage for one in found}


def test_identity_takes_the_texts_of_metadata():
    node = base_pb2.Node(id="n", cluster="c", user_agent_name="gRPC Go")
    node.metadata.update({"zone": "eu", "rank": 1, "nested": {"a": "b"}})
    identity = Identity.of(node)
    assert identity == Identity("n", "c", {"zone": "eu"}, "gRPC Go")
    assert identity.is_grpc
    assert not Identity("n", user_agent="envoy").is_grpc


def test_keys_tell_identities_apart():
    told = [
        Identity("n"),
        Identity("n", "c"),
        Identity("n", "", {"c": ""}),
        Identity("n", "", {"a": "bc"}),
        Identity("n", "", {"ab": "c"}),
        Identity("n", user_agent="c"),
        Identity("m"),
    ]
    assert len({identity.key for identity in told}) == len(told)
    assert Identity("n", "", {"a": "1", "b": "2"}).key == Identity("n", "", {"b": "2", "a": "1"}).key


async def test_a_node_holds_what_it_is_assigned_and_follows_a_change(tmp_path):
    given = {"edge": ONE}
    ads, model = AdsServer(assign=lambda identity: given.get(identity.node_id)), EnvoyModel(delta=True)
    async with serve_unix(ads, tmp_path / "ads.sock", grace=0.1), attached(model, tmp_path / "ads.sock"):
        await until(lambda: model.held[CLUSTER].keys() == {"a"})
        given["edge"] = TWO
        ads.reassign()
        await until(lambda: model.held[CLUSTER].keys() == {"b"})
        del given["edge"]
        ads.reassign()
        given["edge"] = ONE
        (node,) = ads.nodes()
        assert node.connected
        assert model.held[CLUSTER].keys() == {"b"}  # nothing is meant for it: it keeps what it holds
        ads.reassign()
        await until(lambda: model.held[CLUSTER].keys() == {"a"})


async def test_a_node_that_is_assigned_nothing_is_refused_and_not_remembered(tmp_path):
    ads = AdsServer(assign=lambda _: None)
    async with (
        serve_unix(ads, tmp_path / "ads.sock", grace=0.1),
        grpc.aio.insecure_channel(f"unix:{tmp_path / 'ads.sock'}") as channel,
    ):
        call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        await call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER.type_url, node={"id": "x"}))
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
        assert ads.nodes() == []


async def test_departed_nodes_are_remembered_up_to_a_bound(tmp_path):
    ads = AdsServer(max_streams=2, assign=lambda _: ONE)
    async with serve_unix(ads, tmp_path / "ads.sock", grace=0.1):
        for number in range(4):
            async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'ads.sock'}") as channel:
                call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
                node = {"id": f"edge-{number}"}
                await call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER.type_url, node=node))
                await call.read()
                call.cancel()
            await until(lambda: not any(node.connected for node in ads.nodes()))
        assert [node.node_id.partition("#")[0] for node in ads.nodes()] == ["edge-2", "edge-3"]


async def test_reports_tell_what_became_of_each_resource(tmp_path):
    ads, model = AdsServer(assign=lambda _: ONE), EnvoyModel(delta=True)
    async with serve_unix(ads, tmp_path / "ads.sock", grace=0.1):
        async with attached(model, tmp_path / "ads.sock"):
            await until(lambda: stages(ads).get((CLUSTER, "a")) is Stage.ACCEPTED)
            ((identity, _),) = ads.reports()
            assert identity == Identity("edge")
        await until(lambda: not ads.reports())
