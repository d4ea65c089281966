"""A server's certificate, renewed while it runs; handshakes in memory."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from marchproxy.kit.settings import SettingsError
from marchproxy.manager.settings import HttpTls
from marchproxy.manager.web.tls import Credentials
from tests.authority import Authority, Issued


def shown(credentials: Credentials, name: str | None = "manager.example") -> int:
    """The serial number of what a client is shown."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    client = trust.wrap_bio(down, up, server_hostname=name)
    server = credentials.context.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found).serial_number


def serial(issued: Issued) -> int:
    return x509.load_pem_x509_certificates(issued.certificate.read_bytes())[0].serial_number


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def settings(issued: Issued) -> HttpTls:
    return HttpTls(cert=issued.certificate, key=issued.key)


async def looked(credentials: Credentials) -> None:
    for _ in range(3):  # a change must have settled
        await credentials.look()


@pytest.mark.parametrize("name", ["manager.example", None])
async def test_new_connections_are_shown_the_renewed_certificate(authority, name):
    issued, renewed = (authority.issue(stem, ["manager.example"]) for stem in ("one", "two"))
    credentials = Credentials(settings(issued))
    assert shown(credentials, name) == serial(issued)
    issued.replace_with(renewed)
    assert shown(credentials, name) != serial(renewed)  # nobody has looked yet
    await looked(credentials)
    assert shown(credentials, name) == serial(renewed)


async def test_files_of_no_use_change_nothing(authority):
    issued, other = (authority.issue(stem, ["manager.example"]) for stem in ("one", "two"))
    credentials, before = Credentials(settings(issued)), serial(issued)
    for spoil in (
        lambda: issued.key.write_bytes(other.key.read_bytes()),
        lambda: issued.certificate.write_text("half a"),
        issued.certificate.unlink,
    ):
        spoil()
        await looked(credentials)
        assert shown(credentials) == before
    issued.replace_with(other)
    await looked(credentials)
    assert shown(credentials) == serial(other)


def test_a_start_with_files_of_no_use_names_the_setting(authority, tmp_path):
    issued, other = (authority.issue(stem, ["manager.example"]) for stem in ("one", "two"))
    with pytest.raises(SettingsError, match=r"manager\.tls\.key"):
        Credentials(HttpTls(cert=issued.certificate, key=other.key))
    with pytest.raises(SettingsError, match=r"manager\.tls\.cert.*No such file"):
        Credentials(HttpTls(cert=tmp_path / "gone", key=other.key))


def test_old_versions_of_tls_are_refused(authority):
    credentials = Credentials(settings(authority.issue("one", ["manager.example"])))
    assert credentials.context.minimum_version is ssl.TLSVersion.TLSv1_2
