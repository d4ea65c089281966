"""HTTPS and what belongs to it: clients' certificates, HSTS, redirects, and TLS that ended at a proxy before the ALB."""

import asyncio
import json
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.authority import Authority
from tests.ports import free_port
from tests.real.support.backends import Backend, serving
from tests.real.support.https import SecureAlb, curl, trusting
from tests.real.support.system import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HSTS = "strict-transport-security"
ENDED = 8443
PUBLIC = 443


def state(backend: Backend) -> dict:
    pools = [{"name": "web", "endpoints": [backend.address]}]
    return {"routes": [{"id": "web", "hosts": ["shop.example"], "backends": ["web"]}], "pools": pools}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def backend() -> AsyncIterator[Backend]:
    async with serving("a") as (backend,):
        yield backend


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def alb(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> AsyncIterator[SecureAlb]:
    """It sends plain HTTP to https, and knows of an NLB that ends TLS."""
    https = {
        "self_signed": ["shop.example"],
        "hsts": {"max_age": "1h"},
        "redirect_http": True,
        "public_port": PUBLIC,
        "tls_ended_ports": [ENDED],
    }
    made = SecureAlb(
        tmp_path_factory.mktemp("https"),
        state(backend),
        proxied=True,
        https=https,
        tls_proxy_traffic=f"127.0.0.1:{free_port()}",
    )
    try:
        yield await made.start()
    finally:
        await made.close()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_over_tls_every_answer_has_the_header(alb: SecureAlb, version: str) -> None:
    answer = await curl(alb.tls, "https://shop.example/echo", version)
    assert (answer.status, answer.headers[HSTS]) == (200, "max-age=3600")
    assert json.loads(answer.body)["headers"]["x-forwarded-proto"] == "https"
    for url, status in (("https://shop.example/status/500", 500), ("https://nobody.example/", 404)):
        answer = await curl(alb.tls, url, version)
        assert (answer.status, answer.headers[HSTS]) == (status, "max-age=3600")


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://shop.example/a/b?c=d&e=%2f", "https://shop.example/a/b?c=d&e=%2f"),
        ("http://shop.example:8080/", "https://shop.example/"),
        (
            "http://192.0.2.1/.well-known/acme-challenge/x",
            "https://192.0.2.1/.well-known/acme-challenge/x",
        ),
    ],
)
async def test_plain_requests_are_sent_to_https(
    alb: SecureAlb, url: str, location: str, version: str
) -> None:
    for method in ("GET", "POST"):
        answer = await curl(alb.port, url, version, "-X", method)
        assert (answer.status, answer.headers["location"]) == (308, location)
        assert HSTS not in answer.headers  # RFC 6797, section 7.2


async def test_a_client_that_follows_keeps_its_method_and_body(alb: SecureAlb) -> None:
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sSkL", "--max-time", "20", "-d", "hello", "http://shop.example/upload"),
        *("--connect-to", f"shop.example:80:127.0.0.1:{alb.port}"),
        *("--connect-to", f"shop.example:443:127.0.0.1:{alb.tls}"),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert json.loads(out)["size"] == 5


async def behind_proxy(port: int, to: int, request: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """What comes back for a request that a proxy header says was made to the port `to` by 192.0.2.9."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        addresses = bytes((192, 0, 2, 9, 127, 0, 0, 1)) + struct.pack("!HH", 4000, to)
        writer.write(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + struct.pack("!H", len(addresses)) + addresses)
        if tls is not None:
            await writer.start_tls(tls, server_hostname="shop.example")
        writer.write(request)
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


ECHO = b"GET /echo HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\nx-forwarded-proto: http\r\n\r\n"


async def test_where_tls_ended_before_nothing_is_sent_in_a_circle(alb: SecureAlb) -> None:
    secure = await behind_proxy(alb.proxied, ENDED, ECHO)
    assert secure.startswith(b"HTTP/1.1 200 ")
    assert b"strict-transport-security: max-age=3600" in secure
    assert b'"x-forwarded-proto": "https"' in secure
    assert b'"x-forwarded-for": "192.0.2.9"' in secure
    plain = await behind_proxy(alb.proxied, 80, ECHO)
    assert plain.startswith(b"HTTP/1.1 308 ")
    assert b"strict-transport-security" not in plain


async def test_tls_behind_a_proxy_header(alb: SecureAlb) -> None:
    port = int(alb.settings["tls_proxy_traffic"].rpartition(":")[2])
    made = alb.directory / "s" / "alb-1" / "self-signed.crt"
    answer = await behind_proxy(port, 443, ECHO, trusting(made))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"x-forwarded-for": "192.0.2.9"' in answer
    assert b"strict-transport-security: max-age=3600" in answer
    assert (await curl(port, "https://shop.example/")).exit != 0  # without the header nobody is heard


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guarded(
    tmp_path_factory: pytest.TempPathFactory, backend: Backend
) -> AsyncIterator[tuple[SecureAlb, Authority, Path]]:
    """It asks clients for certificates; and the file of who may sign them."""
    folder = tmp_path_factory.mktemp("mtls")
    clients = Authority(folder, "clients")
    trusted = folder / "trusted.pem"
    trusted.write_bytes(clients.certificate.read_bytes())
    https = {"self_signed": ["shop.example"], "client_ca": str(trusted), "minimum_version": "1.3"}
    made = SecureAlb(folder, state(backend), https=https)
    try:
        yield await made.start(), clients, trusted
    finally:
        await made.close()


FORGED = ("-H", "x-forwarded-client-cert: Subject=forged")


async def test_clients_show_a_certificate_and_backends_are_told_whose(
    guarded: tuple[SecureAlb, Authority, Path], tmp_path: Path
) -> None:
    alb, clients, _ = guarded
    known, stranger = clients.issue("ann", ["ann.example"]), Authority(tmp_path).issue("eve", ["ann.example"])
    for version in ("--http1.1", "--http2"):
        shown = ("--cert", str(known.certificate), "--key", str(known.key), version)
        answer = await curl(alb.tls, "https://shop.example/echo", *shown, *FORGED)
        told = json.loads(answer.body)["headers"]["x-forwarded-client-cert"]
        assert 'Subject="CN=ann"' in told
        assert "DNS=ann.example" in told
        assert "forged" not in told
    nobody = await curl(alb.tls, "https://shop.example/echo")
    other = ("--cert", str(stranger.certificate), "--key", str(stranger.key))
    strange = await curl(alb.tls, "https://shop.example/echo", *other)
    assert (nobody.exit != 0, strange.exit != 0, nobody.status, strange.status) == (True, True, 0, 0)
    assert (await curl(alb.tls, "https://shop.example/", *shown, "--tls-max", "1.2")).exit == 35


async def test_a_client_who_expired_is_refused(guarded: tuple[SecureAlb, Authority, Path]) -> None:
    alb, clients, _ = guarded
    late = clients.issue("late", ["late.example"], days=-1)
    answer = await curl(
        alb.tls, "https://shop.example/", "--cert", str(late.certificate), "--key", str(late.key)
    )
    assert (answer.exit != 0, answer.status) == (True, 0)


async def test_another_authority_is_believed_without_a_restart(
    guarded: tuple[SecureAlb, Authority, Path], tmp_path: Path
) -> None:
    alb, clients, trusted = guarded
    before, after = clients.issue("before", ["a.example"]), Authority(tmp_path).issue("after", ["a.example"])
    good = trusted.read_bytes()

    async def status(of) -> int:
        return (
            await curl(alb.tls, "https://shop.example/", "--cert", str(of.certificate), "--key", str(of.key))
        ).status

    assert (await status(before), await status(after)) == (200, 0)
    trusted.write_bytes((tmp_path / "authority.ca.pem").read_bytes())

    async def changed() -> bool:
        return (await status(before), await status(after)) == (0, 200)

    await until(changed, 20)
    trusted.write_bytes(good)

    async def as_before() -> bool:
        return await status(before) == 200

    await until(as_before, 20)


async def test_a_certificate_that_is_optional(backend: Backend, tmp_path: Path) -> None:
    clients = Authority(tmp_path, "clients")
    known, stranger = clients.issue("ann", ["ann.example"]), Authority(tmp_path).issue("eve", ["eve.example"])
    https = {
        "self_signed": ["shop.example"],
        "client_ca": str(clients.certificate),
        "client_certificate": "optional",
    }
    alb = SecureAlb(tmp_path, state(backend), https=https)
    try:
        await alb.start()
        nobody = await curl(alb.tls, "https://shop.example/echo", *FORGED)
        assert nobody.status == 200
        assert "x-forwarded-client-cert" not in json.loads(nobody.body)["headers"]
        shown = ("--cert", str(known.certificate), "--key", str(known.key))
        told = json.loads((await curl(alb.tls, "https://shop.example/echo", *shown)).body)["headers"]
        assert 'Subject="CN=ann"' in told["x-forwarded-client-cert"]
        other = ("--cert", str(stranger.certificate), "--key", str(stranger.key))
        assert (await curl(alb.tls, "https://shop.example/", *other)).status == 0
        plain = await curl(alb.port, "http://shop.example/echo", *FORGED)
        assert "x-forwarded-client-cert" not in json.loads(plain.body)["headers"]
    finally:
        await alb.close()
