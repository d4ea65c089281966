"""The files that `https` names: read, watched, judged; a worse file never takes the place of a good one."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import SettingsError
from marchproxy.model.module import HealthStatus
from marchproxy.modules.base.engine import EngineHealth
from marchproxy.modules.http.certificates import Certificates, open_certificates, tls_of
from marchproxy.modules.http.https_section import HttpsSection
from tests.authority import Authority, Issued, Key

SERVING = EngineHealth(HealthStatus.HEALTHY, "serving", {"envoy": "ok"})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def opened(folder: Path, *issued: Issued, **more: Any) -> Certificates:
    https = HttpsSection(certificates=[item.settings for item in issued], **more)
    return open_certificates(https, folder, clock=_now())


def _now() -> VirtualClock:
    return VirtualClock(datetime.now(UTC))


def shown(certificates: Certificates) -> dict[str, bytes]:
    return {resource.name: resource.body.value for resource in certificates.resources()}


def test_secrets_are_named_after_their_files_and_shown_in_their_order(
    tmp_path: Path, authority: Authority
) -> None:
    one, two = authority.issue("one", ["one.example"]), authority.issue("two", ["two.example"])
    https = HttpsSection(certificates=[one.settings, two.settings], client_ca=authority.certificate)
    secrets = shown(open_certificates(https, tmp_path, clock=_now()))
    tls = tls_of(https, tmp_path)
    assert tls.certificates == tuple(f"https.certificate.{item.certificate}" for item in (one, two))
    assert set(secrets) == {*tls.certificates, tls.client_ca}
    assert one.key.read_bytes() in secrets[tls.certificates[0]]


def test_a_renewed_pair_is_taken_once_it_is_left_alone(tmp_path: Path, authority: Authority) -> None:
    files, other = authority.issue("one", ["one.example"]), authority.issue("two", ["two.example"])
    certificates = opened(tmp_path, files)
    before = shown(certificates)
    assert not certificates.look()
    files.certificate.write_bytes(other.certificate.read_bytes())
    assert not certificates.look()  # it may still be being written
    assert not certificates.look()  # left alone, but of no use without its key
    assert shown(certificates) == before
    assert "is not the key of the certificate" in certificates.standings()[0].trouble
    files.key.write_bytes(other.key.read_bytes())
    assert not certificates.look()
    assert certificates.look()
    assert shown(certificates) != before
    assert certificates.standings()[0].trouble == ""
    assert not certificates.look()


def test_what_is_asked_for_at_once_does_not_wait(tmp_path: Path, authority: Authority) -> None:
    files, other = authority.issue("one", ["one.example"]), authority.issue("two", ["two.example"])
    certificates = opened(tmp_path, files)
    files.replace_with(other)
    assert certificates.look(at_once=True)
    assert not certificates.look()


def test_a_file_that_is_written_again_within_the_grain_of_its_time_is_seen(
    tmp_path: Path, authority: Authority
) -> None:
    files, other = authority.issue("one", ["one.example"]), authority.issue("two", ["two.example"])
    pairs = list(zip((files.certificate, files.key), (other.certificate, other.key), strict=True))
    for path in (path for pair in pairs for path in pair):
        path.write_bytes(path.read_bytes().ljust(1000))  # all of one size
    certificates = opened(tmp_path, files)
    for path, source in pairs:
        found = path.stat()
        path.write_bytes(source.read_bytes())
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert certificates.look()  # read once more after the start, when nothing has changed since


def test_a_folder_that_is_swapped_by_a_link_is_seen(tmp_path: Path, authority: Authority) -> None:
    """As Kubernetes replaces the files of a secret."""
    one, two = authority.issue("one", ["a.example"]), authority.issue("two", ["a.example"])
    for name, issued in (("old", one), ("new", two)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tls.crt").write_bytes(issued.certificate.read_bytes())
        (tmp_path / name / "tls.key").write_bytes(issued.key.read_bytes())
    (tmp_path / "data").symlink_to("old")
    files = Issued(tmp_path / "data" / "tls.crt", tmp_path / "data" / "tls.key")
    certificates = opened(tmp_path, files)
    before = shown(certificates)
    certificates.look()
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(tmp_path / "data")
    certificates.look()
    assert certificates.look()
    assert shown(certificates) != before


@pytest.mark.parametrize(
    ("part", "content", "words"),
    [
        ("certificate", b"-----BEGIN CERTIFICATE-----\nMIIB", "holds no certificate as PEM"),
        ("key", b"", "holds no private key as PEM"),
        ("certificate", None, "No such file or directory"),
    ],
)
def test_a_spoilt_file_is_told_and_nothing_else_happens(
    tmp_path: Path, authority: Authority, part: str, content: bytes | None, words: str
) -> None:
    files = authority.issue("one", ["one.example"])
    certificates = opened(tmp_path, files)
    before = shown(certificates)
    path: Path = getattr(files, part)
    good = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert not certificates.look(at_once=True)
    assert shown(certificates) == before
    health = certificates.judge(SERVING)
    assert health.status is HealthStatus.DEGRADED
    assert words in health.message
    assert "the earlier one stays in use" in health.checks[f"certificate {files.certificate}"]
    path.write_bytes(good)
    certificates.look(at_once=True)
    assert certificates.judge(SERVING).status is HealthStatus.HEALTHY


def test_what_envoy_refuses_gives_way_to_what_was_before(tmp_path: Path, authority: Authority) -> None:
    files, other = authority.issue("one", ["one.example"]), authority.issue("two", ["two.example"])
    certificates = opened(tmp_path, files, client_ca=authority.certificate)
    before = shown(certificates)
    name, authorities = before
    assert not certificates.take_back(name, "no")  # there was none before
    assert not certificates.take_back(authorities, "no")
    files.replace_with(other)
    assert certificates.look(at_once=True)
    assert not certificates.take_back("another", "no")
    assert certificates.take_back(name, "too long")
    assert shown(certificates) == before
    assert "Envoy refused it: too long; the earlier one stays" in certificates.judge(SERVING).message
    for _ in range(4):
        if certificates.look():  # once more, now that the change has settled
            assert certificates.take_back(name, "too long")
    assert shown(certificates) == before
    assert "too long" in certificates.judge(SERVING).message  # until the files are others
    files.replace_with(authority.issue("three", ["one.example"]))
    assert certificates.look(at_once=True)
    assert certificates.judge(SERVING).status is HealthStatus.HEALTHY


def test_every_fault_at_the_start_is_named_with_its_field(tmp_path: Path, authority: Authority) -> None:
    good, edwards = (
        authority.issue("good", ["a.example"]),
        authority.issue("ed", ["b.example"], key=ed25519.Ed25519PrivateKey.generate()),
    )
    mixed = {"certificate": str(good.certificate), "key": str(edwards.key)}
    nobody = {"certificate": str(tmp_path / "none.crt"), "key": str(good.key)}
    https = HttpsSection.model_validate(
        {"certificates": [nobody, edwards.settings], "client_ca": str(good.key)}
    )
    with pytest.raises(SettingsError) as error:
        open_certificates(https, tmp_path, clock=_now())
    assert {
        (problem.path, problem.message.partition(": ")[2].split(" ")[0]) for problem in error.value.problems
    } == {
        ("https.certificates[0].certificate", "No"),
        ("https.certificates[1].certificate", "its"),
        ("https.client_ca", "holds"),
    }
    with pytest.raises(
        SettingsError, match=r"https\.certificates\[0\]\.key.*is not the key of the certificate"
    ):
        open_certificates(HttpsSection.model_validate({"certificates": [mixed]}), tmp_path, clock=_now())


@pytest.mark.parametrize(
    ("days", "status", "words"),
    [
        (20.5, HealthStatus.HEALTHY, "expires in 20 days"),
        (6.5, HealthStatus.DEGRADED, "expires in 6 days"),
        (-2.5, HealthStatus.DEGRADED, "expired 2 days ago"),
    ],
)
def test_a_certificate_that_expires_is_told_of(
    tmp_path: Path, authority: Authority, days: float, status: HealthStatus, words: str
) -> None:
    files = authority.issue("one", ["one.example"], days=days)
    certificates = opened(tmp_path, files)
    health = certificates.judge(SERVING)
    assert health.status is status
    assert health.checks == {"envoy": "ok", f"certificate {files.certificate}": words}
    assert (words in health.message) is (status is HealthStatus.DEGRADED)
    (left, unusable) = certificates.points()
    assert left.labels == unusable.labels == (("file", str(files.certificate)),)
    assert (left.name, unusable.name) == ("certificate_days_left", "certificate_file_unusable")
    assert left.value == pytest.approx(days, abs=0.01)


def test_how_early_is_a_setting(tmp_path: Path, authority: Authority) -> None:
    files = authority.issue("one", ["one.example"], days=20)
    assert opened(tmp_path, files, warning_days=21).judge(SERVING).status is HealthStatus.DEGRADED
    assert opened(tmp_path, files, warning_days=0).judge(SERVING).status is HealthStatus.HEALTHY


def test_one_that_is_not_good_yet(tmp_path: Path, authority: Authority) -> None:
    files = authority.issue("one", ["one.example"], since=timedelta(days=3))
    health = opened(tmp_path, files).judge(SERVING)
    assert "is good from" in health.message


def test_worse_health_is_not_made_better(tmp_path: Path, authority: Authority) -> None:
    certificates = opened(tmp_path, authority.issue("one", ["one.example"], days=1))
    dead = EngineHealth(HealthStatus.UNHEALTHY, "Envoy is gone", {})
    assert certificates.judge(dead).status is HealthStatus.UNHEALTHY
    degraded = EngineHealth(HealthStatus.DEGRADED, "no healthy endpoint", {})
    assert certificates.judge(degraded).message.startswith("no healthy endpoint; certificate ")


def test_without_https_there_is_nothing_to_tell(tmp_path: Path) -> None:
    certificates = open_certificates(HttpsSection(), tmp_path, clock=_now())
    assert not certificates.look(at_once=True)
    assert (shown(certificates), certificates.points(), certificates.judge(SERVING)) == ({}, (), SERVING)


def test_a_key_is_in_no_text(tmp_path: Path, authority: Authority) -> None:
    certificates = opened(tmp_path, authority.issue("one", ["one.example"]))
    assert "PRIVATE" not in repr([watched.content for _, watched in certificates._pairs])


@pytest.mark.parametrize(
    ("key", "fit"),
    [
        (ec.generate_private_key(ec.SECP256R1()), True),
        (ec.generate_private_key(ec.SECP384R1()), True),
        (ec.generate_private_key(ec.SECP521R1()), True),
        (ec.generate_private_key(ec.SECP256K1()), False),
        (rsa.generate_private_key(65537, 2048), True),
        (rsa.generate_private_key(65537, 1024), False),
        (ed25519.Ed25519PrivateKey.generate(), False),
    ],
    ids=["P-256", "P-384", "P-521", "secp256k1", "RSA 2048", "RSA 1024", "Ed25519"],
)
def test_kinds_of_keys(tmp_path: Path, authority: Authority, key: Key, fit: bool) -> None:
    files = authority.issue("one", ["one.example"], key=key)
    if fit:
        assert shown(opened(tmp_path, files))
    else:
        with pytest.raises(SettingsError, match=r"its key is neither RSA|holds no"):
            opened(tmp_path, files)
