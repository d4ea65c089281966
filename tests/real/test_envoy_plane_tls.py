"""TLS that ends at the NLB: certificates that are renewed, clients that must show one, protocols that are offered."""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import Protocol
from marchproxy.nlb.dataplane.plane import PlaneRefused
from tests.ports import free_port
from tests.real.plane_rig import Conversation, Server, envoy_plane, greeting, talk
from tests.real.support.certificates import make_certificate, s_client


def ending(certificate: Path, protocol: Protocol = Protocol.RTMPS, **more) -> Listener:
    """A listener that ends TLS; `more` belongs to the TLS."""
    tls = TlsTermination(str(certificate), str(certificate.with_suffix(".key")), **more)
    return Listener(certificate.stem, "127.0.0.1", free_port(), protocol, tls=tls)


def trusting(certificate: Path, **alpn: list[str]) -> dict:
    """Options of a client that accepts this certificate alone."""
    context = ssl.create_default_context(cafile=str(certificate))
    if alpn:
        context.set_alpn_protocols(alpn["alpn"])
    return {"ssl": context, "server_hostname": certificate.stem}


def session(conversation: Conversation) -> ssl.SSLObject:
    return conversation.writer.get_extra_info("ssl_object")


async def verified(port: int, certificate: Path) -> bool:
    """Whether the listener shows this certificate."""
    try:
        return (await greeting(port, **trusting(certificate))).startswith("a ")
    except ssl.SSLCertVerificationError:
        return False


def renew(certificate: Path, other: Path) -> None:
    certificate.write_bytes(other.read_bytes())
    certificate.with_suffix(".key").write_bytes(other.with_suffix(".key").read_bytes())


async def test_a_renewed_certificate_is_used_without_touching_connections(tmp_path):
    a, old, new = (
        Server("a"),
        make_certificate(tmp_path, "one.example"),
        make_certificate(tmp_path, "two.example"),
    )
    listener, options = ending(old), trusting(old)
    async with envoy_plane(tmp_path, a) as plane:
        await plane.carry((listener, a))
        async with talk(listener.port, **options) as kept:
            assert (await kept.line()).startswith("a 127.0.0.1:")
            assert session(kept).version() == "TLSv1.3"
            assert session(kept).selected_alpn_protocol() is None

            renew(old, new)
            await plane.carry((listener, a))

            async with asyncio.timeout(20):  # Envoy's workers learn of it a moment after its main thread
                while not await verified(listener.port, new):
                    await asyncio.sleep(0.02)
            assert await kept.echoes()
            stats = await plane.admin.stats(r"^listener_manager\.")
            assert stats.counter("listener_manager.listener_modified") == 0


async def test_a_half_written_certificate_leaves_the_good_one_in_use(tmp_path):
    a, certificate = Server("a"), make_certificate(tmp_path, "one.example")
    listener, options = ending(certificate), trusting(certificate)
    async with envoy_plane(tmp_path, a) as plane:
        await plane.carry((listener, a))
        good = certificate.read_bytes()
        certificate.write_bytes(good[:100])
        assert [problem.path for problem in plane.envoy.check([listener])] == ["listeners[0].tls.certificate"]
        await plane.carry((listener, a))
        assert await greeting(listener.port, **options)
        with pytest.raises(PlaneRefused, match="no certificate"):
            await plane.carry((replace(listener, name="new"), a))


async def test_a_client_without_the_certificate_that_is_asked_for_reaches_nobody(tmp_path):
    a = Server("a")
    certificate, own, strange = (
        make_certificate(tmp_path, name) for name in ("one.example", "own", "strange")
    )
    listener = ending(certificate, client_ca=str(own))
    async with envoy_plane(tmp_path, a) as plane:
        await plane.carry((listener, a))
        for shown in (None, strange):
            options = trusting(certificate)
            if shown is not None:
                options["ssl"].load_cert_chain(shown, shown.with_suffix(".key"))
            with pytest.raises(ssl.SSLError):
                assert await greeting(listener.port, **options)
        assert a.seen == []
        await plane.until(listener.name, lambda seen: seen.denied == 2)
        options = trusting(certificate)
        options["ssl"].load_cert_chain(own, own.with_suffix(".key"))
        assert (await greeting(listener.port, **options)).startswith("a ")


async def test_old_tls_and_what_is_no_tls_is_refused_and_counted(tmp_path):
    a, certificate = Server("a"), make_certificate(tmp_path, "one.example")
    listener = ending(certificate)
    async with envoy_plane(tmp_path, a) as plane:
        await plane.carry((listener, a))
        assert "New, (NONE)" in await s_client(listener.port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        assert "New, TLSv1.2" in await s_client(listener.port, "-tls1_2")
        assert await greeting(listener.port, send=b"GET / HTTP/1.1\r\n\r\n") == ""
        await plane.until(listener.name, lambda seen: seen.denied == 2)


@pytest.mark.parametrize(
    ("protocol", "configured", "offered", "chosen"),
    [
        (Protocol.HTTPS, (), ["http/1.1", "h2"], "h2"),
        (Protocol.HTTP, (), ["http/1.1"], "http/1.1"),
        (Protocol.TCP, (), ["h2"], None),
        (Protocol.TCP, ("mqtt", "h2"), ["h2", "mqtt"], "mqtt"),
    ],
)
async def test_protocols_are_offered_as_configured_or_as_the_listener_s_goes(
    tmp_path, protocol, configured, offered, chosen
):
    a, certificate = Server("a"), make_certificate(tmp_path, "one.example")
    listener = ending(certificate, protocol, alpn=configured)
    async with envoy_plane(tmp_path, a) as plane:
        await plane.carry((listener, a))
        async with talk(listener.port, **trusting(certificate, alpn=offered)) as client:
            assert await client.line()
            assert session(client).selected_alpn_protocol() == chosen


async def test_names_choose_the_certificate_where_listeners_share_a_port(tmp_path):
    servers = [Server("one"), Server("two")]
    certificates = [make_certificate(tmp_path, f"{server.name}.example") for server in servers]
    port = free_port()
    listeners = [
        replace(ending(certificate), port=port, server_names=(certificate.stem,))
        for certificate in certificates
    ]
    async with envoy_plane(tmp_path, *servers) as plane:
        await plane.carry(*zip(listeners, servers, strict=True))
        for server, certificate in zip(servers, certificates, strict=True):
            assert (await greeting(port, **trusting(certificate))).startswith(server.name)
