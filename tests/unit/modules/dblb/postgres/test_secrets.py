"""What is kept of passwords, and what fits it."""

import base64
import hashlib

import pytest

from marchproxy.modules.dblb.postgres.login import Credentials, md5_answer
from marchproxy.modules.dblb.postgres.secrets import Secret, read_userlist

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


def test_userlist():
    text = '; people\n"anna" "secret"\n\n"b""ob"  "md5x" ; more\n# none\n'
    assert read_userlist(text) == {"anna": Secret("secret"), 'b"ob': Secret("md5x")}


@pytest.mark.parametrize("line", ["anna secret", '"anna"', '"anna" secret', '"anna "secret"'])
def test_userlist_faults(line):
    with pytest.raises(ValueError, match="line 2"):
        read_userlist(f'"a" "b"\n{line}\n')
