import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet

from marchproxy.store import Sealer, StoreUnusable


def test_a_key_is_made_once(tmp_path):
    path = tmp_path / "state" / "secret.key"
    sealed = Sealer.of_file(path).seal(b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"secret" not in sealed
    assert Sealer.of_file(path).unseal(sealed) == b"secret"
    assert list(path.parent.iterdir()) == [path]


def test_fingerprints_are_of_the_key_and_the_data(tmp_path):
    path = tmp_path / "secret.key"
    one = Sealer.of_file(path)
    assert one.fingerprint(b"a") == Sealer.of_file(path).fingerprint(b"a")
    others = [one.fingerprint(b"b"), Sealer.of_file(tmp_path / "other.key").fingerprint(b"a")]
    assert one.fingerprint(b"a") not in others


def test_of_several_that_make_it_one_does(tmp_path):
    path = tmp_path / "secret.key"
    with ThreadPoolExecutor(8) as pool:
        sealers = list(pool.map(lambda _: Sealer.of_file(path), range(8)))
    for sealer in sealers:
        assert sealers[0].unseal(sealer.seal(b"secret")) == b"secret"


def test_keys_are_replaced_one_after_the_other(tmp_path):
    path = tmp_path / "secret.key"
    old = Sealer.of_file(path)
    path.write_text(f"{Fernet.generate_key().decode()}\n{path.read_text()}")
    both = Sealer.of_file(path)
    sealed = old.seal(b"secret")
    assert both.unseal(sealed) == b"secret"
    assert not both.is_newest(sealed)
    assert both.is_newest(both.seal(b"secret"))
    with pytest.raises(StoreUnusable, match=f"another key than those of {path}"):
        old.unseal(both.seal(b"secret"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\n", "line 1, is no key"),
        (b"A" * 43 + b"=\nshort", "line 2, is no key"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_that_holds_none(tmp_path, content, words):
    path = tmp_path / "secret.key"
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match=words) as told:
        Sealer.of_file(path)
    assert str(path) in str(told.value)
    assert "hunter2" not in str(told.value)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match="cannot be read"):
        Sealer.of_file(tmp_path / "file" / "secret.key")
