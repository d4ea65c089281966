"""What is known of a password, in each of its forms."""

import pytest

from marchproxy.modules.dblb.mysql.secrets import Secret
from marchproxy.wire.mysql.proofs import CACHING, NATIVE, caching_hash, native_hash

SALT = bytes.fromhex("F9CC98CE08892924F50A213B6BC571A2C11778C5")
RAW = b"$A$005$" + SALT + b"bTy95Y99eAME1dwEkHOA1ndHGBWz.1bxSSRkuTXFGV/"
FORMS = {
    "plain": "hashcat",
    "native": "*" + native_hash(b"hashcat").hex(),
    "verifier": "0x" + RAW.hex(),
}


@pytest.mark.parametrize(
    ("form", "method", "native", "known"),
    [("plain", CACHING, True, True), ("native", NATIVE, True, False), ("verifier", CACHING, False, False)],
)
def test_how_a_user_is_asked(form, method, native, known):
    secret = Secret(FORMS[form])
    assert (secret.method, secret.takes(NATIVE), secret.takes(CACHING)) == (method, native, True)
    assert secret.password == ("hashcat" if known else None)
    assert bool(secret.cached) is known


@pytest.mark.parametrize("form", FORMS)
def test_a_password_that_was_shown_is_known_from_then_on(form):
    secret = Secret(FORMS[form])
    assert not secret.shown(b"wrong")
    assert secret.shown(b"hashcat")
    assert (secret.password, secret.cached) == ("hashcat", caching_hash(b"hashcat"))


def test_nobody_can_read_a_secret_from_its_looks():
    assert "hashcat" not in repr(Secret("hashcat"))
