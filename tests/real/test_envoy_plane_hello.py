"""What is read before a connection is forwarded: TLS hellos, PROXY protocol headers, and what is neither."""

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager

from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol
from tests.ports import free_port
from tests.real.plane_rig import Server, envoy_plane, greeting, hello, talk, tcp
from tests.real.support.certificates import make_certificate, s_client

ELSEWHERE = "127.0.0.2"


async def test_the_tls_hello_finds_the_listener_and_is_passed_on_untouched(tmp_path):
    servers = [Server(name) for name in ("exact", "wild", "h2", "h1", "rest")]
    exact, wild, h2, h1, rest = servers
    port = free_port()

    def listener(name: str, *names: str, **more) -> Listener:
        return Listener(name, "127.0.0.1", port, Protocol.HTTPS, server_names=names, **more)

    named = [
        (listener("exact", "a.example"), exact),
        (listener("wild", "*.example", "b.test"), wild),
        (listener("h2", "c.example", alpn=("h2",)), h2),
        (listener("h1", "c.example", alpn=("http/1.1", "http/1.0")), h1),
    ]
    asked = [
        ("a.example", (), "exact"),
        ("A.Example", ("h2",), "exact"),
        ("x.a.example", (), "wild"),
        ("b.test", (), "wild"),
        ("c.example", ("h2", "http/1.1"), "h2"),
        ("c.example", ("http/1.1", "h2"), "h1"),  # the client's order counts
        ("c.example", ("other", "http/1.0"), "h1"),
        ("c.example", ("h3",), ""),
        ("c.example", (), ""),
        ("nobody.test", (), ""),
    ]
    async with envoy_plane(tmp_path, *servers) as plane:
        await plane.carry(*named)
        for name, alpn, expected in asked:
            sent = hello(name, alpn)
            assert (await greeting(port, send=sent)).partition(" ")[0] == expected, (name, alpn)
        assert hello("b.test") != bytes(wild.received)  # two hellos so far, and no two are the same
        counts = (await plane.counts()).listeners
        assert {name: seen.total - seen.denied for name, seen in counts.items()} == {
            "exact": 2, "wild": 2, "h2": 1, "h1": 2,
        }  # fmt: skip
        assert sum(seen.denied for seen in counts.values()) == 3

        await plane.carry(*named, (tcp("rest", port=port), rest))
        for name, alpn, expected in asked:
            answer = await greeting(port, send=hello(name, alpn))
            assert answer.partition(" ")[0] == (expected or "rest"), (name, alpn)
        assert (await greeting(port, send=b"no hello at all")).startswith("rest ")
        assert (await greeting(port)).startswith("rest ")  # says nothing: the server speaks first


async def test_a_client_that_never_says_who_it_is_is_closed_within_the_limit_and_counted(tmp_path):
    a = Server("a")
    named = Listener("named", "127.0.0.1", free_port(), Protocol.HTTPS, server_names=("a.example",))
    proxied = tcp("proxied", proxy_protocol=True)
    whole = hello("a.example")
    nonsense = {
        named.port: [b"", whole[:40], b"\x16\x03\x01\x40\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4096],
        proxied.port: [b"", b"PROX", b"\r\n\r\n\0\r\nQUIT\n\x21", b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 x\r\n", b"\0" * 4096],
    }  # fmt: skip

    async def closed(port: int, sent: bytes, *, slowly: bool) -> bool:
        async with talk(port, send=b"" if slowly else sent) as client:
            for one in sent if slowly else b"":
                if client.reader.at_eof() or client.writer.is_closing():
                    break
                client.writer.write(bytes([one]))
                await asyncio.sleep(0.3)
            return await client.ended()

    async with envoy_plane(tmp_path, a) as plane:
        await plane.carry((named, a), (proxied, a))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(closed(port, sent, slowly=False))
                for port, texts in nonsense.items()
                for sent in texts
            ]
            tasks += [
                group.create_task(closed(named.port, whole[:60], slowly=True)),
                group.create_task(closed(proxied.port, b"PROXY TCP4 1.2.3.4 5.6.7.8 1", slowly=True)),
            ]
        assert all(task.result() for task in tasks)
        assert (await plane.of("named")).denied == 6
        assert (await plane.of("proxied")).denied == 7
        assert a.seen == []
        assert (await greeting(named.port, send=whole)).startswith("a ")


async def test_tls_is_passed_through_to_the_server_that_has_the_certificate(tmp_path):
    certificates = [make_certificate(tmp_path, name) for name in ("one.example", "two.example")]
    port = free_port()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(tls_server(certificate)) for certificate in certificates]
        plane = await stack.enter_async_context(envoy_plane(tmp_path))
        await plane.carry(
            *(
                (Listener(name, "127.0.0.1", port, Protocol.HTTPS, server_names=(server.name,)), server)
                for name, server in zip(("first", "second"), servers, strict=True)
            )
        )
        for certificate in certificates:
            asked = ("-servername", certificate.stem, "-alpn", "h2", "-CAfile", str(certificate))
            answer = await s_client(port, *asked)
            assert f"CN = {certificate.stem}" in answer
            assert "Verification: OK" in answer
            assert "ALPN protocol: h2" in answer
        assert "CN = " not in await s_client(port, "-servername", "three.example")


@asynccontextmanager
async def tls_server(certificate):
    """A TLS server of its own behind the NLB, which has no certificate for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def serve(_, writer) -> None:
        writer.write(b"through\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield Server(certificate.stem, proxied=False, port=server.sockets[0].getsockname()[1])


V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes((192, 0, 2, 8, 198, 51, 100, 1)) + b"\x12\x67\x01\xbb"
V6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"


async def test_the_header_of_a_trusted_proxy_tells_the_client_s_address(tmp_path):
    a = Server("a")
    raw = tcp(proxy_protocol=True, trusted_proxies=("127.0.0.1",), deny=("192.0.2.66", ELSEWHERE))
    async with envoy_plane(tmp_path, a) as plane:
        await plane.carry((raw, a))
        assert await greeting(raw.port, send=V1) == "a 192.0.2.7:4711"
        assert await greeting(raw.port, send=V2 + b"rest") == "a 192.0.2.8:4711"
        assert await greeting(raw.port, send=V6) == "a 2001:0db8:0000:0000:0000:0000:0000:0007:4711"
        assert (
            await greeting(raw.port, send=V1.replace(b".7 ", b".66 ")) == ""
        )  # denied as what it says it is
        assert await greeting(raw.port, send=V1, source="127.0.0.3") == ""  # a forger
        assert (await plane.of("raw")).denied == 2
        assert len(a.seen) == 3
