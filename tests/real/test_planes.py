"""The NLB's two data planes with the real kernel and a real Envoy, in network namespaces: client, NLB, two module hosts."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from marchproxy.contract.document import encode
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.model.listener import DataPlaneKind, Listener
from marchproxy.model.module import Version
from marchproxy.model.pool import BalancePolicy
from marchproxy.model.route import VersionWeight
from marchproxy.model.state import DesiredState
from tests.real.nft_rig import CLIENT, LB, Net, ask, close_sockets, connect
from tests.real.nlb_rig import until
from tests.real.planes_rig import make_controlled_net, running

KERNEL, ENVOY, AUTO = 8001, 8002, 8003
CHI_SQUARE = 19.5  # one degree of freedom, p = 1e-5
REQUESTS = 400


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with make_controlled_net() as made:
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
            leaving = group.create_task(rig.leave(rig.a))
            await until(lambda: rig.serving(1))
            assert set(await split(net, KERNEL, 20)) == {"b"}
            assert all([await connection.echo() for connection in kept])
            await asyncio.sleep(2)  # the leaving one has counted what it waits for
            assert not leaving.done()
            for connection in kept:
                connection.abort()
            assert (await leaving).active_connections_drained == on_a
        assert "marchproxy" in rig.tables()
        await rig.process.stop()
        assert "marchproxy" not in rig.tables()


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


async def test_a_listener_moves_between_planes_and_no_new_connection_is_refused(net, tmp_path):
    listener = replace(listening(AUTO, DataPlaneKind.ENVOY), name="web")
    async with running(net, tmp_path, listener) as rig:
        done, answered, kept, cut = asyncio.Event(), 0, [], 0
        # so few client ports that each is used again while connections from before are remembered
        net.run(net.client, "sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=40000 40199")

        async def load() -> None:
            nonlocal answered, cut
            while not done.is_set():
                try:
                    await ask(net.client, LB, AUTO)  # raises when it is refused
                    answered += 1
                except (ConnectionResetError, TimeoutError):
                    cut += 1  # it had been taken: docs/adr/0008, the last consequence but one

        async def pause() -> None:
            enough = answered + 100
            async with asyncio.timeout(30):
                while answered < enough:
                    await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(load())
            for kind in (DataPlaneKind.KERNEL, DataPlaneKind.ENVOY) * 2:
                await pause()
                if kind is DataPlaneKind.ENVOY:
                    kept.append(await connect(net.client, LB, AUTO))  # through the kernel
                await rig.configure(replace(listener, data_plane=kind))
                assert await rig.carriers() == {"web": kind.value}
                await pause()
                assert all([await connection.echo() for connection in kept])
            done.set()
        assert cut <= 1
        for connection in kept:
            connection.abort()
