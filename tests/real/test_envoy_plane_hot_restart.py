"""Hot restart of the NLB's Envoy: connections of any protocol stay, datagrams are answered all the while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, Protocol, TrafficEndpoint, Version
from marchproxy.model.plan import Target
from tests.ports import free_port
from tests.real.hot_rig import until
from tests.real.plane_rig import Server, envoy_plane, greeting, talk, tcp


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, client) -> None:
        self.transport.sendto(data, client)


@asynccontextmanager
async def datagrams() -> AsyncIterator[Target]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("127.0.0.1", 0))
    try:
        endpoint = TrafficEndpoint(
            "dns", Protocol.UDP, f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
        )
        yield Target(InstanceId("dns"), Version("v1"), endpoint, 100, endpoint)
    finally:
        transport.close()


class Asking(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, _) -> None:
        self.answers.put_nowait(data)


async def answered(port: int, text: bytes) -> bool:
    """Whether a datagram of a new flow comes back; asked three times, as clients of UDP do."""
    transport, asking = await asyncio.get_running_loop().create_datagram_endpoint(
        Asking, remote_addr=("127.0.0.1", port)
    )
    try:
        for _ in range(3):
            transport.sendto(text)
            try:
                async with asyncio.timeout(5):
                    return await asking.answers.get() == text
            except TimeoutError:
                continue
        return False
    finally:
        transport.close()


async def test_connections_stay_and_datagrams_are_answered(tmp_path):
    server, raw = Server("one"), tcp()
    dns = Listener("dns", "127.0.0.1", free_port(), Protocol.UDP)
    async with datagrams() as target, envoy_plane(tmp_path, server, workers=2) as plane:
        await plane.carry((raw, server), (dns, target))
        process = plane.envoy.process
        async with talk(raw.port) as before:
            assert await before.line()
            assert await answered(dns.port, b"before")
            await process.hand_over(5)
            echoed = 0
            while await before.echoes():  # until its time is up
                echoed += 1
                assert await greeting(raw.port)
                assert await answered(dns.port, b"meanwhile")
                await asyncio.sleep(0.2)
            assert echoed >= 3
            await until(lambda: process.status().retired_pid is None, 30)
        assert await greeting(raw.port)
        assert await answered(dns.port, b"after")
        facts = await plane.envoy.health()
        assert (facts["epoch"], facts["restarts"]) == ("1", "0")
        exposition = (await plane.envoy.exposition()).decode()
        assert "marchproxy_envoy_hot_restarts_total 1.0" in exposition
        second = tcp("second")
        await plane.carry(
            (raw, server), (second, server), (dns, target)
        )  # what is published reaches the new one
        assert await greeting(second.port)
