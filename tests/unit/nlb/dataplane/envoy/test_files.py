"""Files that a listener's TLS names and that cannot be used; good ones are met in tests/real."""

import pytest

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.nlb.dataplane.envoy.files import TlsFiles


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "No such file"),
        (b"", "no certificate"),
        (b"\xff\xfe", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
        (b"x" * 1_000_001, "larger than"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_with_its_path(tmp_path, content, word):
    path, key = tmp_path / "a.crt", tmp_path / "a.key"
    key.write_bytes(b"none")
    if content is not None:
        path.write_bytes(content)
    plain = Listener("plain", "0.0.0.0", 80)
    listener = Listener("web", "0.0.0.0", 443, tls=TlsTermination(str(path), str(key)))
    files = TlsFiles()
    (problem,) = files.problems([plain, listener])
    assert problem.path == "listeners[1].tls.certificate"
    assert str(path) in problem.message
    assert word in problem.message
    with pytest.raises(UnusableFile):
        files.material([plain, listener])


def test_a_listener_without_tls_has_no_files():
    assert list(TlsFiles().problems([Listener("web", "0.0.0.0", 80)])) == []
    assert TlsFiles().material([Listener("web", "0.0.0.0", 80)]) == {}
