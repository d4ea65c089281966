"""`marchproxy xds` in front of its two kinds of client: a gRPC library and Envoy."""

import asyncio
import signal
from contextlib import suppress

import grpc.aio
import httpx
import pytest
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc

from tests.ports import free_port
from tests.real.xds_rig import ask, backend, running_envoy
from tests.real.xds_service_rig import PATIENCE, Service, grpc_client, namer


def document(kind: str, ports: dict[str, int], weights: dict[str, int], **route) -> dict:
    """Pools of one endpoint each behind one route."""
    backends = [{"pool": name, "weight": weight} for name, weight in weights.items()]
    return {
        "routes": [{"id": "all", "backends": backends, **route}],
        "pools": [
            {"name": name, "protocol": kind, "endpoints": [f"127.0.0.1:{port}"]}
            for name, port in ports.items()
        ],
    }


async def until_all(answer, ask_again) -> None:
    """Ask until every answer is `answer`, and be it that nobody listens yet."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(httpx.TransportError):
                if set(await ask_again()) == {answer}:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("hosts", [["shop.example"], ["*.example"]], ids=["host", "listener"])
async def test_a_grpc_client_balances_90_to_10_and_follows_the_file(tmp_path, hosts):
    async with namer("v1") as v1, namer("v2") as v2:
        ports = {"v1": v1, "v2": v2}
        route = {"path": "/test.Namer", "methods": ["POST"]}
        # by a host that a route names, or by the name of a listener, whose routes then must take any host
        if hosts == ["shop.example"]:
            target, route["hosts"], listeners = "shop.example", hosts, []
        else:
            target, listeners = "front", [{"name": "front", "address": f"127.0.0.1:{free_port()}"}]
        service = Service(
            tmp_path, {**document("grpc", ports, {"v1": 90, "v2": 10}, **route), "listeners": listeners}
        )
        async with (
            service.running(),
            grpc_client(tmp_path, service.port, f"xds:///{target}", {"id": "caller"}) as client,
        ):
            seen = await client.call(2000)
            assert set(seen) == {"v1", "v2"}, (seen, service.log.read_text())
            assert 120 <= seen["v2"] <= 280  # 200 expected; six standard deviations are 80
            service.write({**document("grpc", ports, {"v1": 0, "v2": 100}, **route), "listeners": listeners})
            await until_all("v2", lambda: client.call(50))
        assert "refused resources" not in service.log.read_text()


async def test_a_grpc_client_heeds_the_weights_of_endpoints(tmp_path):
    async with namer("heavy") as heavy, namer("light") as light:
        wanted = document("grpc", {"p": heavy}, {"p": 100}, hosts=["shop.example"])
        wanted["pools"][0]["endpoints"] = [
            {"address": f"127.0.0.1:{heavy}", "weight": 9},
            {"address": f"127.0.0.1:{light}", "weight": 1},
        ]
        service = Service(tmp_path, wanted)
        async with (
            service.running(),
            grpc_client(tmp_path, service.port, "xds:///shop.example", {"id": "caller"}) as client,
        ):
            # until both are connected, the one that is gets everything
            async with asyncio.timeout(PATIENCE):
                while len(await client.call(50)) < 2:
                    pass
            seen = await client.call(2000)
            assert 120 <= seen["light"] <= 280


@pytest.mark.parametrize("variant", ["DELTA_GRPC", "GRPC"])
async def test_an_envoy_is_served_and_follows_the_file(tmp_path, variant):
    async with backend("v1") as v1, backend("v2") as v2:
        ports, listening, private = {"v1": v1, "v2": v2}, free_port(), free_port()
        wanted = {
            **document("http", ports, {"v1": 100, "v2": 0}, listeners=["web"]),
            "listeners": [
                {"name": "web", "address": f"127.0.0.1:{listening}"},
                {"name": "inner", "address": f"127.0.0.1:{private}"},
                {"name": "closed", "address": f"127.0.0.1:{free_port()}", "deny": ["127.0.0.0/8"]},
            ],
        }
        service = Service(tmp_path, wanted)
        async with service.running() as process, running_envoy(tmp_path, service.port, variant) as envoy:
            async with asyncio.timeout(PATIENCE):
                while len((await envoy.get("/listeners?format=json")).get("listener_statuses", ())) < 2:
                    await asyncio.sleep(0.05)
            await until_all("v1", lambda: ask(listening, 5))
            await until_all(404, lambda: ask(private))  # the route belongs to the other listener
            listed = {
                entry["name"] for entry in (await envoy.get("/listeners?format=json"))["listener_statuses"]
            }
            assert listed == {"web", "inner"}  # not the one whose `deny` would be lost

            service.file.write_text("routes: [")
            process.send(signal.SIGHUP)
            async with asyncio.timeout(PATIENCE):
                while "not put in force" not in service.log.read_text():
                    await asyncio.sleep(0.05)
            assert set(await ask(listening, 5)) == {"v1"}

            wanted["routes"][0]["backends"] = [{"pool": "v2"}]
            service.write(wanted)
            await until_all("v2", lambda: ask(listening, 5))
        assert "left out: `deny`" in service.log.read_text()
        assert "refused resources" not in service.log.read_text()


async def test_clients_go_on_without_it_and_find_it_again(tmp_path):
    async with namer("old") as old, namer("new") as new, backend("old") as old_web, backend("new") as new_web:
        listening = free_port()

        def leading_to(calls: int, web: int) -> dict:
            rpc, plain = (
                document("grpc", {"rpc": calls}, {"rpc": 100}),
                document("http", {"web": web}, {"web": 100}),
            )
            rpc["routes"][0].update(id="rpc", hosts=["rpc.example"])
            return {
                "routes": rpc["routes"] + plain["routes"],
                "pools": rpc["pools"] + plain["pools"],
                "listeners": [{"name": "web", "address": f"127.0.0.1:{listening}"}],
            }

        service = Service(tmp_path, leading_to(old, old_web))
        node = {"id": "edge", "cluster": "test"}  # the id of the Envoy: they are told apart all the same
        async with (
            running_envoy(tmp_path, service.port, "DELTA_GRPC"),
            grpc_client(tmp_path, service.port, "xds:///rpc.example", node) as client,
        ):
            async with service.started() as process:
                await until_all("old", lambda: client.call(20))
                await until_all("old", lambda: ask(listening, 5))
                process.send(signal.SIGKILL)
                await process.ended(PATIENCE)
                assert set(await client.call(200)) == {"old"}
                assert set(await ask(listening, 50)) == {"old"}
            service.write(leading_to(new, new_web))
            async with service.running():
                await until_all("new", lambda: client.call(20))
                await until_all("new", lambda: ask(listening, 5))


async def test_nodes_get_their_part_or_are_refused(tmp_path):
    ports = {"v1": 9001}
    wanted = {
        **document("http", ports, {"v1": 100}),
        "listeners": [{"name": name, "address": f"127.0.0.1:{free_port()}"} for name in ("east", "west")],
        "xds": {
            "nodes": [
                {"id": "edge-*", "cluster": "edge", "metadata": {"zone": "east"}, "listeners": ["east"]},
                {"id": "edge-*", "listeners": ["west"], "routes": []},
            ]
        },
    }
    service = Service(tmp_path, wanted)
    async with service.running(), grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        east = {"id": "edge-1", "cluster": "edge", "metadata": {"zone": "east"}}
        assert await names(channel, east, "listener.v3.Listener") == {"east"}
        assert await names(channel, east, "cluster.v3.Cluster") == {"pool.v1"}
        assert await names(channel, {"id": "edge-2"}, "listener.v3.Listener") == {"west"}
        assert await names(channel, {"id": "edge-2"}, "cluster.v3.Cluster") == set()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await names(channel, {"id": "stranger"}, "listener.v3.Listener")
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_status_of_an_envoy_says_what_it_refused_and_why(tmp_path):
    async with backend("v1") as v1:
        listening = free_port()
        wanted = {
            **document("http", {"v1": v1}, {"v1": 100}),
            "listeners": [
                {"name": "web", "address": f"127.0.0.1:{listening}"},
                {"name": "taken", "address": f"127.0.0.1:{v1}"},  # the backend's own port
            ],
        }
        service = Service(tmp_path, wanted)
        async with (
            service.running(),
            running_envoy(tmp_path, service.port, "DELTA_GRPC"),
            grpc.aio.insecure_channel(f"127.0.0.1:{service.status}") as channel,
        ):
            stub = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
            async with asyncio.timeout(PATIENCE):
                while (told := await statuses(stub)).get("taken", ("",))[0] != "ERROR" or told["web"][
                    0
                ] != "SYNCED":
                    await asyncio.sleep(0.05)
            assert "cannot bind" in told["taken"][1]
            await until_all("v1", lambda: ask(listening, 5))  # what it did not refuse is in force
            told = await statuses(stub)
            assert {name: status for name, (status, _) in told.items()} == {
                "web": "SYNCED",
                "taken": "ERROR",
                "pool.v1": "SYNCED",
            }


async def statuses(stub) -> dict[str, tuple[str, str]]:
    """Status and error of the one connected node's listeners, routes and clusters."""
    request = csds_pb2.ClientStatusRequest(exclude_resource_contents=True)
    request.node_matchers.add().node_id.exact = "edge"
    reply = await stub.FetchClientStatus(request)
    return {
        config.name: (csds_pb2.ConfigStatus.Name(config.config_status), config.error_state.details)
        for client in reply.config
        for config in client.generic_xds_configs
        if not config.type_url.endswith(
            ("ClusterLoadAssignment", "RouteConfiguration", "TypedExtensionConfig")
        )
    }


async def names(channel, node: dict, kind: str) -> set[str]:
    """The names of the resources of one type that a node is given."""
    call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=f"type.googleapis.com/envoy.config.{kind}")
    request.node.id, request.node.cluster = node["id"], node.get("cluster", "")
    request.node.metadata.update(node.get("metadata", {}))
    try:
        await call.write(request)
        response = await call.read()
        if response is grpc.aio.EOF:
            raise AssertionError(await call.code())
        return {resource.name for resource in response.resources}
    finally:
        call.cancel()


async def test_an_envoy_follows_the_endpoints_of_a_file(tmp_path):
    async with backend("old") as old, backend("new") as new:
        listening, file = free_port(), tmp_path / "endpoints.yaml"
        file.write_text(f"['127.0.0.1:{old}']")
        wanted = {
            **document("http", {"p": old}, {"p": 100}),
            "listeners": [{"name": "web", "address": f"127.0.0.1:{listening}"}],
        }
        wanted["pools"] = [{"name": "p", "discovery": {"file": str(file), "interval": "200ms"}}]
        service = Service(tmp_path, wanted)
        async with service.running(), running_envoy(tmp_path, service.port, "DELTA_GRPC") as envoy:
            await until_all("old", lambda: ask(listening, 5))
            changes = await envoy.changes()
            file.write_text(f"['127.0.0.1:{new}']")
            await until_all("new", lambda: ask(listening, 5))
            file.write_text("garbled: [")
            async with asyncio.timeout(PATIENCE):
                while "endpoints cannot be found; those known stay" not in service.log.read_text():
                    await asyncio.sleep(0.05)
            assert set(await ask(listening, 5)) == {"new"}
            assert await envoy.changes() == changes
        assert "refused resources" not in service.log.read_text()
