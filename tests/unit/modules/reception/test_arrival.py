"""Connections on their way in: those that dawdle, those that are too many, and those that talk nonsense."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from marchproxy.kit.clock import SystemClock
from marchproxy.kit.settings import HostPort
from marchproxy.kit.tasks import Isolating
from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.gate import OpenGate
from marchproxy.modules.dblb.service import Surroundings
from marchproxy.modules.dblb.tally import Tallies
from marchproxy.modules.reception.arrival import Arrivals, Door, tls_context
from marchproxy.modules.reception.client import ClientTls
from marchproxy.modules.reception.port import Port
from tests.real.support.certificates import make_certificate
from tests.unit.modules.dblb.echo_service import EchoService

ADDRESS = HostPort("127.0.0.1", 1)
PROXIED = Port("redis_proxy", Protocol.REDIS, ADDRESS, proxied=True)
PLAIN = Port("redis", Protocol.REDIS, ADDRESS)


class Rig:
    def __init__(self, group, **options):
        self.service = EchoService(Surroundings(group, SystemClock(), Tallies(), OpenGate()))
        self.door = Door(self.service, sources=("127.0.0.0/8",))
        self.arrivals = Arrivals(group, lambda port: self.door, **options)
        self.ends = []

    def connect(self, port):
        """A client's end of a connection that has just been accepted."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            accepted, _ = listening.accept()
        for one in (client, accepted):
            one.settimeout(0)
        self.arrivals.take(port, accepted)
        self.ends.append(client)
        return client

    async def hears(self, client):
        """What comes first; nothing: it was cut off."""
        try:
            async with asyncio.timeout(10):
                return await asyncio.get_running_loop().sock_recv(client, 100)
        except ConnectionError:
            return b""


@asynccontextmanager
async def rig(**options):
    async with Isolating() as group:
        made = Rig(group, **options)
        try:
            yield made
        finally:
            made.service.close()
            for one in made.ends:
                one.close()


async def test_who_dawdles_is_cut_off():
    async with rig(seconds=0.02) as one:
        assert await one.hears(one.connect(PROXIED)) == b""
        assert (await one.hears(one.connect(PLAIN))).startswith(b"127.0.0.1")
        assert len(one.arrivals) == 0


async def test_of_too_many_the_oldest_is_cut_off():
    async with rig(most=2) as one:
        first, second, third = (one.connect(PROXIED) for _ in range(3))
        assert await one.hears(first) == b""
        assert len(one.arrivals) == 2
        for client in (second, third):
            client.close()


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x00\x05hello", b"\x16" + bytes(64)])
async def test_a_handshake_that_is_none_ends_alone(tmp_path, first):
    certificate = make_certificate(tmp_path, "localhost")
    tls = ClientTls(tls_context(str(certificate), str(certificate.with_suffix(".key")), ""))
    async with rig() as one:
        one.door = Door(one.service, tls)
        client = one.connect(PLAIN)
        await asyncio.get_running_loop().sock_sendall(client, first)
        said = await one.hears(client)
        assert said[:1] in (b"", b"\x15")  # an alert, perhaps
        other = one.connect(PLAIN)
        await asyncio.get_running_loop().sock_sendall(other, b"PING")
        assert (await one.hears(other)).startswith(b"127.0.0.1")


async def test_a_service_that_fails_does_not_end_the_others():
    async with rig() as one:
        accept = one.service.accept
        one.service.accept = lambda arrival: 1 / 0
        client = one.connect(PLAIN)
        assert await one.hears(client) == b""
        one.service.accept = accept
        assert (await one.hears(one.connect(PLAIN))).startswith(b"127.0.0.1")
