"""The certificate that an ALB makes itself: renewed while it runs."""

from pathlib import Path

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.kit.settings import SettingsError
from marchproxy.modules.http.certificates import open_certificates
from marchproxy.modules.http.https_section import HttpsSection

DAY = 24 * 3600.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_a_running_instance_renews_it(tmp_path: Path, clock: VirtualClock) -> None:
    certificates = open_certificates(HttpsSection(self_signed=["localhost"]), tmp_path, clock=clock)
    before = list(certificates.resources())
    certificates.look()
    assert list(certificates.resources()) == before
    clock.advance(61 * DAY)
    certificates.look()
    certificates.look()
    assert list(certificates.resources()) != before


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, clock: VirtualClock) -> None:
    https = HttpsSection(self_signed=["localhost"])
    with pytest.raises(SettingsError, match=r"https\.self_signed.*cannot write to"):
        open_certificates(https, tmp_path / "none", clock=clock)
