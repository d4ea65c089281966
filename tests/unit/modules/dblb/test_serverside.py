"""Servers at Unix sockets, as each protocol reaches them; a pool's TLS is not for those."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.model.pool import UpstreamTls
from marchproxy.modules.dblb.mysql.dialling import Server, learn
from marchproxy.modules.dblb.mysql.login import LoginRefused
from marchproxy.modules.dblb.postgres.dialling import touch
from marchproxy.modules.dblb.serverside import connect
from marchproxy.wire.mysql.packets import packet

REFUSED = packet(0, b"\xff" + (1040).to_bytes(2, "little") + b"#08004Too many connections")
TLS = pytest.mark.parametrize("tls", [None, UpstreamTls()])


@asynccontextmanager
async def listening(path, words=b""):
    """A server that says this, and notes what it hears until its client hangs up."""
    heard = asyncio.Queue()

    async def talk(reader, writer):
        writer.write(words)
        try:
            await heard.put(await reader.read())
        except ConnectionError:
            await heard.put(b"")
        finally:
            writer.close()

    async with asyncio.timeout(20), await asyncio.start_unix_server(talk, path):
        yield HostPort(str(path), 0), heard


@TLS
async def test_postgres(tmp_path, tls):
    async with listening(tmp_path / "s") as (address, heard):
        await touch(address, tls)
        assert await heard.get() == b""


@TLS
async def test_mysql(tmp_path, tls):
    async with listening(tmp_path / "s", REFUSED) as (address, heard):
        with pytest.raises(LoginRefused, match="Too many connections"):
            await learn(Server(address, tls), within=10.0)
        assert await heard.get() == b""


@TLS
async def test_others(tmp_path, tls):
    class Client(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"PING")
            transport.close()

    async with listening(tmp_path / "s") as (address, heard):
        await connect(address, Client, tls)
        assert await heard.get() == b"PING"
