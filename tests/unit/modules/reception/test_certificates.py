"""Certificates for clients: copied when they are good, and kept when they are not any more."""

import ssl
import stat
from pathlib import Path

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import SettingsError
from marchproxy.modules.reception.arrival import certificate_user, tls_context
from marchproxy.modules.reception.certificates import ClientCertificates
from marchproxy.modules.reception.section import ClientTlsSection
from tests.real.support.certificates import make_certificate


def section(certificate, **more):
    return ClientTlsSection(certificate=certificate, key=certificate.with_suffix(".key"), **more)


def shown(certificates):
    return Path(certificates.material.certificate).read_bytes()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "workers"
    made.mkdir()
    return made


def test_workers_find_a_copy_that_only_we_may_read(tmp_path, folder):
    authority = make_certificate(tmp_path, "authority")
    certificates = ClientCertificates(
        section(make_certificate(tmp_path, "db"), client_ca=authority, required=True),
        folder,
        clock=VirtualClock(),
    )
    material = certificates.material
    assert material.required
    assert stat.S_IMODE(Path(material.key).stat().st_mode) == 0o600
    context = tls_context(material.certificate, material.key, material.authorities)
    assert context.verify_mode is ssl.CERT_OPTIONAL


def test_a_better_certificate_is_taken_and_a_worse_one_is_not(tmp_path, folder):
    file = make_certificate(tmp_path, "db")
    certificates = ClientCertificates(section(file), folder, clock=VirtualClock())
    first = shown(certificates)
    certificates.look()
    make_certificate(tmp_path, "db")
    assert [certificates.look(), certificates.look()] == [False, True]  # once it was left alone
    second = shown(certificates)
    assert second not in (first, b"")
    file.write_text("spoilt")
    assert [certificates.look(), certificates.look()] == [False, False]
    assert shown(certificates) == second
    assert str(file) in certificates.trouble()


def test_one_is_made_for_first_steps(folder):
    certificates = ClientCertificates(
        ClientTlsSection(self_signed=["localhost"]), folder, clock=VirtualClock()
    )
    tls_context(certificates.material.certificate, certificates.material.key, "")


def test_every_file_that_is_of_no_use_is_told(tmp_path, folder):
    with pytest.raises(SettingsError) as caught:
        ClientCertificates(
            section(tmp_path / "none.crt", client_ca=tmp_path / "no-ca"), folder, clock=VirtualClock()
        )
    assert [problem.path for problem in caught.value.problems] == [
        "client_tls.certificate",
        "client_tls.client_ca",
    ]


@pytest.mark.parametrize(
    ("shown", "user"),
    [
        (None, ""),
        ({}, ""),
        ({"subject": ((("organizationName", "x"),), (("commonName", "alice"),))}, "alice"),
        ({"subject": ((("commonName", "alice"),), (("commonName", "bob"),))}, ""),  # which one?
    ],
)
def test_whom_a_certificate_is_for(shown, user):
    assert certificate_user(shown) == user
