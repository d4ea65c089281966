"""What is kept of passwords, and what fits it."""

import base64
import hashlib

import pytest

from marchproxy.modules.dblb.postgres.login import Credentials, md5_answer
from marchproxy.modules.dblb.postgres.secrets import Secret

SALT = b"abcd"


def verifier_of(password: str) -> str:
    made = Secret(password).verifier
    assert made is not None
    stored, server, salt = (
        base64.b64encode(part).decode() for part in (made.stored_key, made.server_key, made.salt)
    )
    return f"SCRAM-SHA-256${made.rounds}:{salt}${stored}:{server}"


MD5 = "md5" + hashlib.md5(b"secretanna").hexdigest()


@pytest.mark.parametrize("text", ["secret", MD5, verifier_of("secret")])
def test_passwords_in_the_clear(text):
    assert Secret(text).fits_password("anna", "secret")
    assert not Secret(text).fits_password("anna", "wrong")
    assert not Secret(text).fits_password("anna", text + "x")


@pytest.mark.parametrize(
    ("text", "fits"), [("secret", True), (MD5, True), (verifier_of("secret"), False), ("x", False)]
)
def test_md5(text, fits):
    answer = md5_answer(Credentials("anna", "shop", "secret"), SALT)
    assert Secret(text).fits_md5("anna", SALT, answer) is fits


def test_a_hash_alone_is_no_password():
    assert not Secret(MD5).fits_password("anna", MD5)


def test_what_scram_needs():
    assert Secret(MD5).verifier is None
    known = verifier_of("secret")
    assert Secret(known).verifier == Secret(known).verifier
    assert "secret" not in repr(Secret("secret"))


@pytest.mark.parametrize(
    ("text", "password"), [("secret", "secret"), (MD5, MD5), (verifier_of("secret"), "")]
)
def test_what_shows_servers_the_same(text, password):
    assert Secret(text).password == password


def test_a_hash_is_enough_for_a_server_that_asks_for_md5():
    assert md5_answer(Credentials("anna", "shop", MD5), SALT) == md5_answer(
        Credentials("anna", "shop", "secret"), SALT
    )
