"""The NLB's two data planes with the real kernel and a real Envoy, in network namespaces: client, NLB, two module hosts."""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from marchproxy.contract.document import encode
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.module_pb2_grpc import add_ModuleServiceServicer_to_server
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import Version
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import VersionWeight
from marchproxy.model.state import DesiredState
from tests.kernel.nft_rig import CLIENT, LB, M1, M2, Net, ask, close_sockets, connect, make_net, make_socket
from tests.nlb_module import Service, read_proxy_v2
from tests.real.nlb_rig import NlbProcess, until

NLB, CONTROL = "10.77.3.1", "10.77.3.2"  # how this process and the NLB speak gRPC
KERNEL, ENVOY, AUTO = 8001, 8002, 8003
CHI_SQUARE = 10.83  # one degree of freedom, p = 0.001
REQUESTS = 400


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with make_net() as made:
        link = f"mp{os.getpid()}"
        for command in (
            f"link add {link} type veth peer name control netns {made.lb}",
            f"addr add {CONTROL}/24 dev {link}",
            f"link set {link} up",
            f"-n {made.lb} addr add {NLB}/24 dev control",
            f"-n {made.lb} link set control up",
        ):
            subprocess.run(["ip", *command.split()], check=True, timeout=20)
        yield made


@pytest.fixture(autouse=True)
def sockets() -> Iterator[None]:
    yield
    close_sockets()


def listening(port: int, kind: DataPlaneKind, v1: int = 50) -> Listener:
    shares = (VersionWeight(Version("v1"), v1), VersionWeight(Version("v2"), 100 - v1))
    return Listener(
        kind.value, "0.0.0.0", port, balance=BalancePolicy.RANDOM, version_weights=shares, data_plane=kind
    )


def three(v1: int = 50) -> tuple[Listener, ...]:
    ports = {DataPlaneKind.KERNEL: KERNEL, DataPlaneKind.ENVOY: ENVOY, DataPlaneKind.AUTO: AUTO}
    return tuple(listening(port, kind, v1) for kind, port in ports.items())


@dataclass
class Hosted:
    """A module in a namespace: greets each client with its own name and the client's address, then echoes."""

    net: Net
    namespace: str
    address: str
    name: str
    version: str
    registration_id: str = ""
    tasks: set = field(default_factory=set)

    @asynccontextmanager
    async def running(self, stub: NLBServiceStub) -> AsyncIterator["Hosted"]:
        server = grpc.aio.server()
        add_ModuleServiceServicer_to_server(Service(), server)
        grpc_port = server.add_insecure_port(f"{CONTROL}:0")
        await server.start()
        servers = [
            await asyncio.start_server(serve, sock=make_socket(self.namespace, self.address))
            for serve in (self._plain, self._proxied)
        ]
        self.message = types_pb2.ModuleInstance(
            instance_id=self.name,
            module_type=types_pb2.MODULE_TYPE_ALB,
            address=f"{CONTROL}:{grpc_port}",
            version=self.version,
            health_status=types_pb2.HEALTH_STATUS_HEALTHY,
            traffic_weight=100,
            traffic_endpoints=[
                types_pb2.TrafficEndpoint(
                    name=name,
                    protocol=types_pb2.PROTOCOL_HTTP,
                    address="{}:{}".format(*one.sockets[0].getsockname()),
                    proxy_protocol=name == "proxied",
                )
                for name, one in zip(("plain", "proxied"), servers, strict=True)
            ],
        )
        await self.register(stub)
        try:
            yield self
        finally:
            for one in servers:
                one.close()
            for task in [*self.tasks]:
                task.cancel()
            if self.tasks:
                await asyncio.wait([*self.tasks])
            await server.stop(0)

    async def register(self, stub: NLBServiceStub) -> None:
        request = nlb_pb2.RegisterModuleRequest(instance=self.message)
        answer = await stub.RegisterModule(request, timeout=10, wait_for_ready=True)
        assert answer.success, answer
        self.registration_id = answer.registration_id

    async def _plain(self, reader, writer) -> None:
        await self._greet(reader, writer, writer.get_extra_info("peername")[0])

    async def _proxied(self, reader, writer) -> None:
        client = await read_proxy_v2(reader)
        await self._greet(reader, writer, client.rpartition(":")[0])

    async def _greet(self, reader, writer, client: str) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            writer.write(f"{self.name} {client}\n".encode())
            while data := await reader.read(1024):
                writer.write(data)
        except (ConnectionError, asyncio.CancelledError):
            pass  # cancelled only by the end of the module
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()


@dataclass
class Rig:
    """A running NLB with a module on each host."""

    net: Net
    process: NlbProcess
    stub: NLBServiceStub
    a: Hosted
    b: Hosted

    async def serving(self, instances: int = 2) -> bool:
        status = await self.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest(), wait_for_ready=True)
        checks = [text for key, text in status.details.items() if key.startswith("listener ")]
        return all(text.startswith(f"{instances} instances") for text in checks)

    async def configure(self, *listeners: Listener) -> None:
        config = types_pb2.ConfigUpdate(
            config_type="state", config_data=encode(DesiredState(listeners=listeners))
        )
        answer = await self.stub.UpdateNLBConfig(nlb_pb2.UpdateNLBConfigRequest(config=config))
        assert answer.success, answer

    async def carriers(self) -> dict[str, str]:
        status = await self.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
        return {listener.name: listener.data_plane for listener in status.listeners}

    def tables(self) -> str:
        return self.net.run(self.net.lb, "nft", "list", "tables")


@asynccontextmanager
async def running(net: Net, path: Path, *listeners: Listener, within: tuple[str, ...] = ()):
    process = NlbProcess(
        path,
        DesiredState(listeners=listeners),
        heartbeat=60.0,
        host=NLB,
        within=("ip", "netns", "exec", net.lb, *within),
        more={"kernel": {"keep_source": True}},
    )
    try:
        await process.start()
        options = [("grpc.max_reconnect_backoff_ms", 200)]
        async with grpc.aio.insecure_channel(f"{NLB}:{process.grpc_port}", options=options) as channel:
            stub = NLBServiceStub(channel)
            a, b = Hosted(net, net.m1, M1, "a", "v1"), Hosted(net, net.m2, M2, "b", "v2")
            async with a.running(stub), b.running(stub):
                rig = Rig(net, process, stub, a, b)
                await until(rig.serving)
                yield rig
    finally:
        if process.process.returncode is not None:
            await process.start()  # only a new one can stop the Envoy that a killed one left
        await process.stop()


async def split(net: Net, port: int, requests: int = REQUESTS) -> Counter[str]:
    return Counter([await ask(net.client, LB, port) for _ in range(requests)])


async def test_both_planes_split_alike_and_modules_see_the_client(net, tmp_path):
    async with running(net, tmp_path, *three(v1=70)) as rig:
        assert await rig.carriers() == {"kernel": "kernel", "envoy": "envoy", "auto": "kernel"}
        for port in (KERNEL, ENVOY, AUTO):
            connection = await connect(net.client, LB, port)
            assert connection.seen == CLIENT
            connection.abort()
        for port in (KERNEL, ENVOY):
            seen = await split(net, port)
            wanted = {"a": 0.7 * REQUESTS, "b": 0.3 * REQUESTS}
            assert sum((seen[name] - share) ** 2 / share for name, share in wanted.items()) < CHI_SQUARE, seen
        routed = await rig.stub.RouteRequest(
            nlb_pb2.RouteRequestRequest(route=types_pb2.Route(destination_port=AUTO), dry_run=True)
        )
        assert routed.target_endpoint == "plain"
        assert any(
            step.startswith("the kernel data plane carries it: the kernel does random")
            for step in routed.trace
        )


async def test_open_connections_survive_weights_a_drain_and_a_killed_nlb(net, tmp_path):
    async with running(net, tmp_path, *three()) as rig:
        kept = [await connect(net.client, LB, port) for port in (KERNEL, ENVOY, AUTO) for _ in range(6)]

        await rig.configure(*three(v1=0))
        assert all([await connection.echo() for connection in kept])
        assert [await split(net, port, 20) for port in (KERNEL, ENVOY)] == [{"b": 20}, {"b": 20}]
        await rig.configure(*three(v1=50))

        await asyncio.sleep(0.5)  # the configuration is on disk a moment after it was answered
        await rig.process.kill()
        assert all([await connection.echo() for connection in kept])
        assert set(await split(net, KERNEL, 40)) == {"a", "b"}
        await rig.process.start()
        await rig.a.register(rig.stub)
        await rig.b.register(rig.stub)
        await until(rig.serving)
        assert all([await connection.echo() for connection in kept])
        assert set(await split(net, AUTO, 40)) == {"a", "b"}

        on_a = sum(connection.server == "a" for connection in kept)
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(_unregister(rig.stub, rig.a))
            await until(lambda: rig.serving(1))
            assert set(await split(net, KERNEL, 20)) == {"b"}
            assert all([await connection.echo() for connection in kept])
            await asyncio.sleep(0.5)  # the leaving one has counted what it waits for
            assert not leaving.done()
            for connection in kept:
                connection.abort()
            assert (await leaving).active_connections_drained == on_a
        assert "marchproxy" in rig.tables()
        await rig.process.stop()
        assert "marchproxy" not in rig.tables()


async def _unregister(stub: NLBServiceStub, module: Hosted) -> nlb_pb2.UnregisterModuleResponse:
    request = nlb_pb2.UnregisterModuleRequest(
        instance_id=module.name,
        registration_id=module.registration_id,
        graceful=True,
        drain_timeout_seconds=10,
    )
    return await stub.UnregisterModule(request)


async def test_without_the_capability_auto_is_envoy_and_kernel_is_refused(net, tmp_path):
    within = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    async with running(net, tmp_path, listening(AUTO, DataPlaneKind.AUTO), within=within) as rig:
        status = await rig.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
        assert status.details["data plane of auto"] == "envoy: the process lacks CAP_NET_ADMIN"
        connection = await connect(net.client, LB, AUTO)
        assert connection.seen == CLIENT
        connection.abort()
        config = types_pb2.ConfigUpdate(
            config_type="state", config_data=encode(DesiredState(listeners=three()))
        )
        answer = await rig.stub.UpdateNLBConfig(nlb_pb2.UpdateNLBConfigRequest(config=config))
        assert not answer.success
        assert "lacks CAP_NET_ADMIN" in str(answer)
        assert await rig.carriers() == {"auto": "envoy"}
