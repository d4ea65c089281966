"""Certificates that are made for first steps: kept, and made anew in time."""

import ssl
import stat
from pathlib import Path

import pytest

from marchproxy.engines.certificates.facts import facts_of
from marchproxy.engines.certificates.self_signed import SelfSigned
from marchproxy.kit.clock import VirtualClock

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


def test_other_names_or_a_spoilt_file_make_another(tmp_path: Path, clock: VirtualClock) -> None:
    made = SelfSigned(tmp_path, ["localhost"])
    made.ensure(clock.now())
    SelfSigned(tmp_path, ["shop.example"]).ensure(clock.now())
    assert facts_of(made.certificate.read_bytes()).names == ("shop.example",)
    made.key.write_text("")
    SelfSigned(tmp_path, ["shop.example"]).ensure(clock.now())
    assert made.key.read_text()
