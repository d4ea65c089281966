"""What every store does when the key is another one."""

import pytest
from cryptography.fernet import Fernet

from marchproxy.model.revision import RevisionNumber
from marchproxy.store import StoreUnusable
from tests.store_suite.place import Place, certificate, committed, draft


class SealingSuite:
    async def test_a_wrong_key_is_told_with_its_file(self, place: Place):
        async with place.open() as store:
            await committed(store)
        path = place.folder / "secret.key"
        right = path.read_text()
        path.write_bytes(Fernet.generate_key())
        with pytest.raises(StoreUnusable, match=rf"another key than those of {path}.*put that key back"):
            async with place.open():
                pytest.fail("it was opened")
        path.write_text(right)
        async with place.open() as store:
            assert await store.revision(RevisionNumber(1)) is not None

    async def test_with_a_newer_key_all_is_sealed_anew(self, place: Place):
        async with place.open() as store:
            await committed(store, count=3)
            await store.put_certificate(certificate())
            abandoned = await store.begin(draft(3))
            await store.abandon(abandoned.number)
        path = place.folder / "secret.key"
        newest = Fernet.generate_key().decode()
        path.write_text(f"{newest}\n{path.read_text()}")
        async with place.open() as store:
            assert (await store.certificates())[0].key_pem == certificate().key_pem
        path.write_text(f"{newest}\n")
        async with place.open() as store:
            for number in (1, 2, 3):
                kept = await store.revision(RevisionNumber(number))
                assert kept is not None
                assert kept.document == b"document %d" % number
            assert await store.certificates() == (certificate(),)
