"""Certificates: judged before they are kept, written where documents can name them, and known where they are used."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from marchproxy.engines.certificates.self_signed import make_self_signed
from marchproxy.kit.clock import SystemClock, VirtualClock
from marchproxy.kit.tasks import beside
from marchproxy.manager.certificates import Certificates
from marchproxy.model.problem import InvalidValue, RefusalCode, Refused
from marchproxy.store import Sealer, Store, StoreSettings, open_store

NOW = datetime.now(UTC)
CHAIN, KEY = make_self_signed(["shop.example.com", "10.0.0.1"], NOW)
OTHER_CHAIN, OTHER_KEY = make_self_signed(["other.example.com"], NOW)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    settings = StoreSettings(f"sqlite:///{tmp_path}/manager.db")
    async with open_store(settings, Sealer.of_file(tmp_path / "secret.key")) as store:
        yield store


@pytest.fixture
def document() -> dict[str, list]:
    return {}


@pytest.fixture
def certificates(store, tmp_path, document) -> Certificates:
    return Certificates(store, tmp_path / "certificates", lambda: document, clock=VirtualClock())


async def test_a_pair_is_stored_and_written(certificates):
    known = await certificates.put("shop", CHAIN, KEY, by="ann")
    assert known.facts is not None
    assert (known.facts.names, known.by, known.used_by) == (("shop.example.com", "10.0.0.1"), "ann", ())
    for path, content in zip(certificates.files("shop"), (CHAIN, KEY), strict=True):
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o600
    assert Path(known.certificate).parent.stat().st_mode & 0o777 == 0o700
    again = await certificates.put("shop", OTHER_CHAIN, OTHER_KEY, by="ben")
    assert (again.facts.names, again.by) == (("other.example.com",), "ben")
    assert certificates.files("shop")[1].read_bytes() == OTHER_KEY


@pytest.mark.parametrize(
    ("name", "chain", "key", "places"),
    [
        ("shop", CHAIN, OTHER_KEY, ["key"]),
        ("shop", b"nonsense", KEY, ["certificate"]),
        ("shop", CHAIN, b"", ["key"]),
        ("../shop", CHAIN, KEY, ["name"]),
        ("Shop", CHAIN, b"x" * 300_000, ["name", "key"]),
        (".hidden", CHAIN, KEY, ["name"]),
    ],
)
async def test_what_is_of_no_use_is_not_kept(certificates, store, tmp_path, name, chain, key, places):
    with pytest.raises(InvalidValue) as caught:
        await certificates.put(name, chain, key, by="ann")
    assert [problem.path for problem in caught.value.problems] == places
    assert str(tmp_path) not in str(caught.value)
    assert await store.certificates() == ()
    assert list((tmp_path / "certificates").glob("*")) == []


async def test_those_that_the_document_names(certificates, document, tmp_path):
    certificate, key = await stored_files(certificates)
    (tmp_path / "own.pem").write_bytes(OTHER_CHAIN)
    (tmp_path / "own.key").write_bytes(OTHER_KEY)
    document["listeners"] = [
        {"name": "web", "tls": {"certificate": certificate, "key": key}},
        {"name": "plain"},
        {"name": "far", "tls": {"certificate": "/nowhere/x.pem", "key": "/nowhere/x.key"}},
    ]
    own = {"certificate": str(tmp_path / "own.pem"), "key": str(tmp_path / "own.key")}
    document["pools"] = [{"name": "shop", "tls": own}, {"name": "any", "tls": {"ca": "/x"}}]
    shop, far, mine = await certificates.known()
    assert (shop.name, shop.used_by) == ("shop", ("listeners/web.tls",))
    assert (far.name, far.facts, far.used_by) == ("", None, ("listeners/far.tls",))
    assert "/nowhere/x.pem" in far.trouble
    assert (mine.facts.names, mine.used_by) == (("other.example.com",), ("pools/shop.tls",))


async def stored_files(certificates: Certificates) -> tuple[str, str]:
    await certificates.put("shop", CHAIN, KEY, by="ann")
    certificate, key = certificates.files("shop")
    return str(certificate), str(key)


async def test_what_is_in_use_is_not_removed(certificates, document):
    certificate, key = await stored_files(certificates)
    document["listeners"] = [{"name": "web", "tls": {"certificate": certificate, "key": key}}]
    with pytest.raises(Refused, match=r"in use by listeners/web\.tls"):
        await certificates.remove("shop")
    document.clear()
    await certificates.remove("shop")
    assert not Path(certificate).parent.exists()
    with pytest.raises(Refused) as caught:
        await certificates.remove("shop")
    assert caught.value.code is RefusalCode.NOT_FOUND


async def test_files_that_are_not_as_stored_are_written_again(certificates):
    certificate, key = (Path(path) for path in await stored_files(certificates))
    key.unlink()
    certificate.write_bytes(b"somebody else's")
    await certificates.restore()
    assert (certificate.read_bytes(), key.read_bytes()) == (CHAIN, KEY)


async def test_what_another_manager_stores_is_written_here_too(certificates, store, tmp_path):
    mine = Certificates(store, tmp_path / "mine", dict, clock=SystemClock())
    async with beside(mine.run(), name="certificates"):
        await certificates.put("shop", CHAIN, KEY, by="ann")
        for _ in range(1000):
            if mine.files("shop")[0].exists():
                break
            await SystemClock().sleep(0.01)
        assert mine.files("shop")[0].read_bytes() == CHAIN


async def test_a_folder_that_cannot_be_written_is_told(store, tmp_path):
    (tmp_path / "taken").write_text("a file where the folder would be")
    certificates = Certificates(store, tmp_path / "taken", dict, clock=VirtualClock())
    with pytest.raises(Refused, match="cannot be written"):
        await certificates.put("shop", CHAIN, KEY, by="ann")
    assert await store.certificates() == ()
