"""Files of pools with TLS: what was good before stays in use."""

from pathlib import Path
from shutil import copy

import pytest

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool, UpstreamTls
from marchproxy.modules.http.pool_files import PoolFiles
from tests.golden.alb.cases import HERE

PEM = HERE / "upstream-tls"


@pytest.fixture
def pool(tmp_path: Path) -> BackendPool:
    for name in ("certificate.pem", "key.pem"):
        copy(PEM / name, tmp_path)
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    return BackendPool(PoolName("shop"), tls=UpstreamTls(certificate, "shop", certificate, key))


def test_a_garbled_file_keeps_what_was_good(pool: BackendPool, tmp_path: Path) -> None:
    files = PoolFiles()
    good = files.material([pool])
    assert files.troubles([pool]) == {}
    (tmp_path / "key.pem").write_text("half writ")
    kept = files.material([pool])
    assert kept[pool.tls] is good[pool.tls]  # type: ignore[index]
    assert "key.pem" in files.troubles([pool])[pool.name]
    assert list(files.problems([pool])) == []  # another change is not refused for it
    copy(PEM / "key.pem", tmp_path)
    assert files.material([pool]) == good
    assert files.troubles([pool]) == {}


def test_files_that_were_never_good(pool: BackendPool, tmp_path: Path) -> None:
    (tmp_path / "key.pem").unlink()
    files = PoolFiles()
    assert [problem.path for problem in files.problems([pool])] == ["pools[0].tls.key"]
    with pytest.raises(UnusableFile):
        files.material([pool])


def test_a_key_is_in_no_text(pool: BackendPool) -> None:
    assert "PRIVATE" not in repr(PoolFiles().material([pool]))


def test_the_authorities_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM / "certificate.pem"))
    tls = UpstreamTls()
    assert (
        PoolFiles().material([BackendPool(PoolName("shop"), tls=tls)])[tls].ca
        == (PEM / "certificate.pem").read_bytes()
    )
    insecure = UpstreamTls(insecure=True)
    assert PoolFiles().material([BackendPool(PoolName("shop"), tls=insecure)])[insecure].ca == b""


def test_a_file_in_use_that_is_written(pool: BackendPool, tmp_path: Path) -> None:
    files = PoolFiles()
    files.material([pool])
    assert not files.changed()
    assert not files.changed()
    (tmp_path / "key.pem").write_text("half writ")
    assert files.changed()
    assert not files.changed()  # told once, or Envoy would be asked again and again
    (tmp_path / "key.pem").unlink()
    assert files.changed()
    files.keep([])
    copy(PEM / "key.pem", tmp_path)
    assert not files.changed()


def test_database_servers_are_no_business_of_an_alb(tmp_path: Path) -> None:
    tls = UpstreamTls(ca=str(tmp_path / "nowhere.pem"))
    assert (
        list(PoolFiles().problems([BackendPool(PoolName("db"), protocol=Protocol.POSTGRES, tls=tls)])) == []
    )
