"""UDP through the NLB's Envoy: questions and answers, long flows, and who is turned away."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, Protocol, TrafficEndpoint, Version
from marchproxy.model.plan import ForwardingPlan, ListenerPlan, Target, VersionTargets
from marchproxy.model.pool import BalancePolicy
from marchproxy.nlb.dataplane.plane import Forwarding, PlaneRefused
from tests.ports import free_port
from tests.real.plane_rig import Plane, envoy_plane

ELSEWHERE = "127.0.0.2"


class Answering(asyncio.DatagramProtocol):
    """Answers each datagram with its name and the datagram."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clients: Counter = Counter()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, client) -> None:
        self.clients[client] += 1
        self.transport.sendto(self.name.encode() + b" " + data, client)

    def target(self, weight: int = 100) -> Target:
        host, port = self.transport.get_extra_info("sockname")
        endpoint = TrafficEndpoint(self.name, Protocol.UDP, f"{host}:{port}")
        return Target(InstanceId(self.name), Version("v1"), endpoint, weight, endpoint)


@asynccontextmanager
async def answering(*names: str):
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        servers = []
        for name in names:
            transport, server = await loop.create_datagram_endpoint(
                lambda name=name: Answering(name), local_addr=("127.0.0.1", 0)
            )
            stack.callback(transport.close)
            servers.append(server)
        yield servers


@dataclass
class Client(asyncio.DatagramProtocol):
    """A client with a port of its own."""

    received: asyncio.Queue

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, _) -> None:
        self.received.put_nowait(data)

    async def ask(self, text: str, seconds: float = 10) -> str:
        """The answer; empty when there is none in time."""
        self.transport.sendto(text.encode())
        try:
            async with asyncio.timeout(seconds):
                return (await self.received.get()).decode()
        except TimeoutError:
            return ""


@asynccontextmanager
async def client(port: int, source: str = "127.0.0.1"):
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(
        lambda: Client(asyncio.Queue()), local_addr=(source, 0), remote_addr=("127.0.0.1", port)
    )
    try:
        yield made
    finally:
        transport.close()


async def carry(plane: Plane, listener: Listener, *targets: Target, parked: tuple[Target, ...] = ()) -> None:
    versions = (VersionTargets(Version("v1"), 100, targets),) if targets else ()
    plan = ForwardingPlan((ListenerPlan(listener, versions),))
    await plane.envoy.apply(Forwarding(plan, {listener.name: parked}))


def dns(**more) -> Listener:
    return Listener("dns", "127.0.0.1", free_port(), Protocol.UDP, **more)


async def test_questions_are_shared_and_each_client_stays_with_its_instance(tmp_path):
    listener = dns(balance=BalancePolicy.ROUND_ROBIN)
    async with answering("a", "b") as (a, b), envoy_plane(tmp_path) as plane, AsyncExitStack() as stack:
        await carry(plane, listener, a.target(), b.target())
        clients = [await stack.enter_async_context(client(listener.port)) for _ in range(20)]
        for one in clients:
            assert {await one.ask("1"), await one.ask("2")} in ({"a 1", "a 2"}, {"b 1", "b 2"})
        assert (len(a.clients), len(b.clients)) == (10, 10)
        seen = await plane.until("dns", lambda seen: (seen.received, seen.sent) == (40, 120))
        assert (seen.total, seen.active, seen.denied) == (20, 20, 0)


async def test_a_long_flow_survives_changes_and_the_draining_of_its_instance(tmp_path):
    listener = dns()
    async with answering("a", "b") as (a, b), envoy_plane(tmp_path) as plane:
        await carry(plane, listener, a.target())
        async with client(listener.port) as one, client(listener.port) as other:
            assert await one.ask("1") == "a 1"
            await carry(plane, listener, b.target(), parked=(a.target(0),))
            assert await one.ask("2") == "a 2"  # its own flow goes on
            assert await other.ask("1") == "b 1"  # a new one goes elsewhere
            await carry(plane, listener, b.target())
            assert await one.ask("3") == "b 3"  # its instance is gone


async def test_networks_are_turned_away_and_counted(tmp_path):
    listener = dns(allow=("127.0.0.0/8",), deny=(ELSEWHERE,))
    async with answering("a") as (a,), envoy_plane(tmp_path) as plane:
        await carry(plane, listener, a.target())
        async with client(listener.port) as one, client(listener.port, ELSEWHERE) as denied:
            assert await denied.ask("1", 0.2) == ""
            assert await one.ask("1") == "a 1"
            assert a.clients.total() == 1
            seen = await plane.of("dns")
            assert (seen.total, seen.denied) == (2, 1)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_port_that_another_program_has_is_refused(tmp_path, workers):
    async with answering("a", "other") as (a, other), envoy_plane(tmp_path, workers=workers) as plane:
        taken = replace(dns(), port=other.transport.get_extra_info("sockname")[1])
        with pytest.raises(PlaneRefused, match=r'listener "dns".*already in use'):
            await carry(plane, taken, a.target())
        free = dns()
        await carry(plane, free, a.target())
        await carry(plane, replace(free, idle_timeout=9.0), a.target())  # its own port is no obstacle


async def test_a_silent_session_ends(tmp_path):
    listener = dns(idle_timeout=0.5)
    async with answering("a") as (a,), envoy_plane(tmp_path) as plane, client(listener.port) as one:
        await carry(plane, listener, a.target())
        assert await one.ask("1") == "a 1"
        await plane.until("dns", lambda seen: seen.active == 0)
        assert await one.ask("2") == "a 2"
        assert len(a.clients) == 2


async def test_there_are_no_more_sessions_than_allowed(tmp_path):
    listener = dns(max_connections=2)
    async with answering("a") as (a,), envoy_plane(tmp_path) as plane, AsyncExitStack() as stack:
        await carry(plane, listener, a.target())
        clients = [await stack.enter_async_context(client(listener.port)) for _ in range(3)]
        assert [await one.ask("1") for one in clients[:2]] == ["a 1", "a 1"]
        assert await clients[2].ask("1", 0.2) == ""
        await plane.until("dns", lambda seen: seen.denied == 1)
        assert await clients[0].ask("2") == "a 2"


async def test_a_hundred_clients_at_once_over_http3_s_port_and_several_workers(tmp_path):
    listener = replace(dns(), name="quic", protocol=Protocol.HTTP3)
    async with (
        answering("a", "b") as (a, b),
        envoy_plane(tmp_path, workers=2) as plane,
        AsyncExitStack() as stack,
    ):
        await carry(plane, listener, a.target(), b.target())
        clients = [await stack.enter_async_context(client(listener.port)) for _ in range(100)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.ask(str(number))) for number, one in enumerate(clients)]
        assert {task.result().partition(" ")[2] for task in tasks} == {str(number) for number in range(100)}
        assert a.clients.total() + b.clients.total() == 100
