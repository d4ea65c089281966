"""Certificates that the ALB makes itself: kept, and made anew in time."""

import ssl
import stat
from pathlib import Path

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import SettingsError
from marchproxy.modules.alb.certificates import open_certificates
from marchproxy.modules.alb.certificates.facts import facts_of
from marchproxy.modules.alb.certificates.self_signed import SelfSigned
from marchproxy.modules.alb.https_section import HttpsSection

DAY = 24 * 3600.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_it_is_kept_from_start_to_start(tmp_path: Path, clock: VirtualClock) -> None:
    made = SelfSigned(tmp_path, ["localhost", "*.shop.example", "127.0.0.1", "0:0::1"])
    made.ensure(clock.now())
    first = facts_of(made.certificate.read_bytes())
    assert first.names == ("localhost", "*.shop.example", "127.0.0.1", "::1")
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    ssl.create_default_context(cafile=str(made.certificate)).load_cert_chain(made.certificate, made.key)
    SelfSigned(tmp_path, ["::1", "localhost", "*.shop.example", "127.0.0.1"]).ensure(clock.now())
    assert facts_of(made.certificate.read_bytes()) == first


@pytest.mark.parametrize(("days", "renewed"), [(59, False), (61, True), (400, True)])
def test_it_is_made_anew_a_month_before_it_expires(
    tmp_path: Path, clock: VirtualClock, days: int, renewed: bool
) -> None:
    made = SelfSigned(tmp_path, ["localhost"])
    made.ensure(clock.now())
    first = made.certificate.read_bytes()
    clock.advance(days * DAY)
    made.ensure(clock.now())
    assert (made.certificate.read_bytes() != first) is renewed


def test_a_running_instance_renews_it(tmp_path: Path, clock: VirtualClock) -> None:
    certificates = open_certificates(HttpsSection(self_signed=["localhost"]), tmp_path, clock=clock)
    before = list(certificates.resources())
    certificates.look()
    assert list(certificates.resources()) == before
    clock.advance(61 * DAY)
    certificates.look()
    certificates.look()
    assert list(certificates.resources()) != before


def test_other_names_or_a_spoilt_file_make_another(tmp_path: Path, clock: VirtualClock) -> None:
    made = SelfSigned(tmp_path, ["localhost"])
    made.ensure(clock.now())
    SelfSigned(tmp_path, ["shop.example"]).ensure(clock.now())
    assert facts_of(made.certificate.read_bytes()).names == ("shop.example",)
    made.key.write_text("")
    SelfSigned(tmp_path, ["shop.example"]).ensure(clock.now())
    assert made.key.read_text()


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, clock: VirtualClock) -> None:
    https = HttpsSection(self_signed=["localhost"])
    with pytest.raises(SettingsError, match=r"https\.self_signed.*cannot write to"):
        open_certificates(https, tmp_path / "none", clock=clock)
