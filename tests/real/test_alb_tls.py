"""Certificates of the ALB's own listeners: chosen by name, renewed under load, asked of clients; old TLS refused."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.authority import Authority, Issued
from tests.real.support.alb import route
from tests.real.support.backends import Backend, serving
from tests.real.support.certificates import s_client
from tests.real.support.https import SecureAlb, certificate_at, curl, name_at, trusting
from tests.real.support.load import load
from tests.real.support.system import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class World:
    alb: SecureAlb
    authority: Authority
    default: Issued
    shop: Issued
    folder: Path

    async def said(self, words: str) -> None:
        """Wait until the instance says this of itself."""

        async def says() -> bool:
            async with httpx.AsyncClient(trust_env=False) as client:
                return words in (await client.get(f"http://127.0.0.1:{self.alb.health}/readyz")).text

        await until(says, 20)

    async def shows(self, name: str, wanted: str) -> None:
        """Wait until new clients that ask for the name are shown the certificate of that common name."""

        async def shown() -> bool:
            return await name_at(self.alb.tls, name) == wanted

        await until(shown, 20)


def state(backend: Backend) -> dict:
    pools = [{"name": "web", "endpoints": [backend.address]}]
    return {"routes": [{"id": "web", "backends": ["web"]}], "pools": pools}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def backend() -> AsyncIterator[Backend]:
    async with serving("a") as (backend,):
        yield backend


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    default = authority.issue("default", ["default.example"])
    shop = authority.issue("shop", ["shop.example", "*.shop.example"])
    wild = authority.issue("wild", ["*.example"])
    https = {"certificates": [default.settings, wild.settings, shop.settings]}
    alb = SecureAlb(folder, state(backend), https=https)
    try:
        await alb.start()
        yield World(alb, authority, default, shop, folder)
    finally:
        await alb.close()


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("shop.example", "shop"),  # exact before the wildcard that stands before it
        ("eu.shop.example", "shop"),
        ("other.example", "wild"),
        ("default.example", "default"),
        ("a.b.example", "default"),  # a wildcard stands for one label (RFC 9525, section 6.3)
        ("elsewhere.test", "default"),
        ("", "default"),
    ],
)
async def test_the_certificate_is_chosen_by_the_name_that_a_client_asks_for(
    world: World, asked: str, shown: str
) -> None:
    assert await name_at(world.alb.tls, asked) == shown


async def test_a_client_that_verifies_is_served(world: World) -> None:
    answer = await curl(world.alb.tls, "https://shop.example/", ca=world.authority.certificate)
    assert (answer.exit, answer.status, answer.body) == (0, 200, "a")
    refusing = await curl(world.alb.tls, "https://a.b.example/", ca=world.authority.certificate)
    assert refusing.exit == 60  # curl's own word for a certificate that does not fit


@pytest.mark.parametrize(
    ("options", "made"),
    [
        (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "New, (NONE)"),
        (("-tls1_2",), "New, TLSv1.2, Cipher is ECDHE-ECDSA-"),
        (("-tls1_3",), "New, TLSv1.3"),
        # neither forward secret nor authenticated as a whole
        (("-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:@SECLEVEL=0"), "New, (NONE)"),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"), "New, (NONE)"),
    ],
)
async def test_versions_and_ciphers(world: World, options: tuple[str, ...], made: str) -> None:
    assert made in await s_client(world.alb.tls, *options)


async def test_kinds_of_keys(backend: Backend, tmp_path: Path) -> None:
    """One name may have a certificate of each kind: a client gets the one that it can verify."""
    authority = Authority(tmp_path)
    keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
    }
    issued = [
        authority.issue(kind, [f"{kind}.example", "both.example"], key=key) for kind, key in keys.items()
    ]
    alb = SecureAlb(tmp_path, state(backend), https={"certificates": [item.settings for item in issued]})
    try:
        await alb.start()
        for kind in keys:
            assert await name_at(alb.tls, f"{kind}.example") == kind
            answer = await curl(alb.tls, f"https://{kind}.example/", ca=authority.certificate)
            assert (answer.exit, answer.status) == (0, 200)
        for cipher, made in (
            ("ECDHE-RSA-AES128-GCM-SHA256", "CN = rsa"),
            ("ECDHE-ECDSA-AES128-GCM-SHA256", "CN = p256"),
        ):
            said = await s_client(alb.tls, "-servername", "both.example", "-tls1_2", "-cipher", cipher)
            assert f"subject={made}" in said
    finally:
        await alb.close()


async def test_what_is_no_tls_gets_nothing(world: World) -> None:
    answer = await curl(world.alb.tls, "http://shop.example/")
    assert (answer.exit, answer.status) != (0, 200)
    assert answer.body == ""


async def test_a_certificate_is_replaced_under_load_and_nobody_notices(world: World) -> None:
    new = world.authority.issue("renewed", ["shop.example"])
    tls = trusting(world.authority.certificate)
    kept = {"tls": tls, "host": "shop.example"}
    async with (
        load(world.alb.tls, **kept) as tally,
        load(world.alb.tls, **kept, keep_alive=False, connections=2) as fresh,
    ):
        await tally.more(50)
        await fresh.more(10)
        world.shop.replace_with(new)
        await world.shows("shop.example", "renewed")
        await tally.more(50)
        await fresh.more(10)
    assert (tally.bad(), fresh.bad()) == ([], [])
    assert await name_at(world.alb.tls, "eu.shop.example") == "default"  # the new one has not that name


@pytest.mark.parametrize(
    ("part", "garbage", "words"),
    [
        ("certificate", b"-----BEGIN CERTIFICATE-----\nMIIBIjANBgk", "holds no certificate as PEM"),
        ("key", None, "is not the key of the certificate"),
    ],
)
async def test_a_file_of_no_use_leaves_the_good_one_in_use(
    world: World, part: str, garbage: bytes | None, words: str
) -> None:
    stranger = world.authority.issue("stranger", ["default.example"])
    path: Path = getattr(world.default, part)
    good = path.read_bytes()
    path.write_bytes(stranger.key.read_bytes() if garbage is None else garbage)
    try:
        await world.said(words)
        await world.said(f"certificate {world.default.certificate}")
        assert await name_at(world.alb.tls) == "default"
    finally:
        path.write_bytes(good)
    await world.said('"status": "serving"')


async def test_one_that_has_expired_is_told_of_and_shown(world: World) -> None:
    good = (world.default.certificate.read_bytes(), world.default.key.read_bytes())
    world.default.replace_with(world.authority.issue("late", ["default.example"], days=-1.5))
    await world.shows("", "late")
    await world.said("expired 1 days ago")
    answer = await curl(world.alb.tls, "https://default.example/", ca=world.authority.certificate)
    assert answer.exit == 60
    world.default.certificate.write_bytes(good[0])
    world.default.key.write_bytes(good[1])
    await world.shows("", "default")


async def test_what_envoy_refuses_after_all_is_taken_back_and_holds_up_no_change(world: World) -> None:
    good = (world.default.certificate.read_bytes(), world.default.key.read_bytes())
    world.default.replace_with(world.authority.issue("staple", ["default.example"], must_staple=True))
    await world.said("Envoy refused it: OCSP response is required for must-staple certificate")
    assert await name_at(world.alb.tls) == "default"
    await world.alb.put(route("added", web=100))
    assert (await curl(world.alb.tls, "https://added.test/")).body == "a"
    world.default.certificate.write_bytes(good[0])
    world.default.key.write_bytes(good[1])
    await world.said('"status": "serving"')


async def test_a_pool_s_own_files_are_watched_too(world: World, backend: Backend, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    issued = authority.issue("backend", ["backend.example"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.certificate, issued.key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\ninner")
        await writer.drain()
        writer.close()

    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(other.certificate.read_bytes())
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        pool = {
            "name": "inner",
            "endpoints": [f"127.0.0.1:{port}"],
            "tls": {"ca": str(trusted), "server_name": "backend.example"},
        }
        alb = SecureAlb(
            tmp_path,
            {"routes": [{"id": "inner", "backends": ["inner"]}], "pools": [pool]},
            https={"self_signed": ["localhost"]},
        )
        try:
            await alb.start()

            async def status() -> int:
                return (await curl(alb.tls, "https://localhost/")).status

            assert await status() == 503
            trusted.write_bytes(authority.certificate.read_bytes())

            async def trusts() -> bool:
                return await status() == 200

            await until(trusts, 20)
        finally:
            await alb.close()


async def test_the_control_plane_dies_and_the_next_one_takes_the_newest_files(
    backend: Backend, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("old", ["shop.example"])
    alb = SecureAlb(tmp_path, state(backend), https={"certificates": [files.settings]})
    try:
        await alb.start()
        await alb.kill()
        assert await name_at(alb.tls) == "old"
        files.replace_with(authority.issue("new", ["shop.example"]))
        await alb.start()
        assert len(alb.envoys()) == 1

        async def new() -> bool:
            return await name_at(alb.tls) == "new"

        await until(new, 20)
    finally:
        await alb.close()


async def test_a_certificate_of_our_own_making(backend: Backend, tmp_path: Path) -> None:
    alb = SecureAlb(tmp_path, state(backend), https={"self_signed": ["shop.example"]})
    try:
        await alb.start()
        made = tmp_path / "s" / "alb-1" / "self-signed.crt"
        assert (await curl(alb.tls, "https://shop.example/", ca=made)).body == "a"
        first = await certificate_at(alb.tls)
        (line,) = [json.loads(line) for line in alb.log.read_text().splitlines() if "sha256" in line]
        assert bytes.fromhex(line["sha256"].replace(":", "")) == first.fingerprint(
            first.signature_hash_algorithm
        )
        await alb.process.end()
        await alb.start()
        assert await certificate_at(alb.tls) == first
    finally:
        await alb.close()


async def test_files_that_are_of_no_use_at_the_start(backend: Backend, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one", ["one.example"]), authority.issue("two", ["two.example"])
    mixed = {"certificate": str(one.certificate), "key": str(two.key)}
    alb = SecureAlb(tmp_path, state(backend), https={"certificates": [mixed]})
    try:
        process = await alb.launch()
        assert await process.ended(20) != 0
        said = alb.log.read_text()
        assert "https.certificates[0].key" in said
        assert "is not the key of the certificate" in said
        assert alb.envoys() == []
    finally:
        await alb.close()
