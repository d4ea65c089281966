"""An NLB process whose Envoy carries UDP and ends TLS: from the configuration to what a client gets, and over its death."""

import asyncio
import ssl
from dataclasses import replace

from marchproxy.contract.document import encode
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import Protocol
from marchproxy.model.state import DesiredState
from tests.nlb_module import TinyModule
from tests.ports import free_port
from tests.real.nlb_rig import nlb_process, until
from tests.real.plane_rig import greeting, talk
from tests.real.support.certificates import make_certificate
from tests.real.test_envoy_plane_udp import answering, client
from tests.real.test_nlb import registered


class UdpModule(TinyModule):
    """Takes datagrams where another socket of the test answers them."""

    datagrams = 0

    def message(self) -> types_pb2.ModuleInstance:
        message = super().message()
        message.traffic_endpoints.add(
            name="datagrams", protocol=types_pb2.PROTOCOL_UDP, address=f"127.0.0.1:{self.datagrams}"
        )
        return message


async def configure(stub, *listeners: Listener, validate_only: bool = False):
    config = types_pb2.ConfigUpdate(
        config_type="state", config_data=encode(DesiredState(listeners=listeners))
    )
    return await stub.UpdateNLBConfig(
        nlb_pb2.UpdateNLBConfigRequest(config=config, validate_only=validate_only),
        wait_for_ready=True,
        timeout=20,
    )


async def test_udp_that_the_kernel_cannot_carry_is_envoy_s(tmp_path):
    dns = Listener("dns", "127.0.0.1", free_port(), Protocol.UDP)
    module = UdpModule("a")
    async with answering("a") as (server,), nlb_process(tmp_path, dns) as (nlb, stub):
        module.datagrams = server.transport.get_extra_info("sockname")[1]
        async with registered(stub, module), client(dns.port) as one:
            assert await one.ask("1") == "a 1"
            status = await stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
            assert [listener.data_plane for listener in status.listeners] == ["envoy"]
            await nlb.kill()
            assert await one.ask("2") == "a 2"
            await nlb.start()
            assert await one.ask("3") == "a 3"
            assert len(server.clients) == 1  # one flow all the time


async def test_tls_from_the_document_to_the_client_and_over_the_death_of_the_nlb(tmp_path):
    port, module = free_port(), TinyModule("a")
    old, new = (make_certificate(tmp_path, name) for name in ("one.example", "two.example"))
    tls = TlsTermination(str(old), str(old.with_suffix(".key")))
    listener = Listener("web", "127.0.0.1", port, Protocol.HTTPS, tls=tls)

    def trusting(certificate) -> dict:
        context = ssl.create_default_context(cafile=str(certificate))
        return {"ssl": context, "server_hostname": certificate.stem, "send": b"hello\n"}

    async def shows(certificate) -> bool:
        try:
            return (await greeting(port, **trusting(certificate))).startswith("a v1 127.0.0.1:")
        except (ssl.SSLError, OSError):
            return False

    async with nlb_process(tmp_path, listener) as (nlb, stub), registered(stub, module):
        for broken, path in (
            (replace(tls, certificate="/no/such.crt"), "listeners[0].tls.certificate"),
            (replace(tls, key=str(new.with_suffix(".key"))), "listeners[0].tls.key"),
            (replace(tls, client_ca=str(old.with_suffix(".key"))), "listeners[0].tls.client_ca"),
        ):
            refused = await configure(stub, replace(listener, tls=broken), validate_only=True)
            assert not refused.success
            assert path in str(refused), refused

        assert await shows(old)
        async with talk(port, **trusting(old)) as kept:
            assert (await kept.line()).endswith("hello")
            old.write_bytes(new.read_bytes())
            old.with_suffix(".key").write_bytes(new.with_suffix(".key").read_bytes())
            assert (await configure(stub, listener)).success  # the same document: its files are others
            await until(lambda: shows(new))
            await nlb.kill()
            assert await shows(new)
            await nlb.start()
            assert await shows(new)
            assert (await configure(stub, replace(listener, idle_timeout=60.0))).success
            await asyncio.sleep(1.5)  # longer than Envoy's drain would let it be
            kept.writer.write(b"still here\n")
            assert (await kept.line()).endswith("still here")
    for stored in tmp_path.rglob("snapshot.json"):
        assert stored.stat().st_mode & 0o077 == 0  # it holds the key
