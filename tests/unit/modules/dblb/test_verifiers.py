"""Verifiers: those that are made up look like those that are made."""

import base64

import pytest

from marchproxy.modules.dblb.verifiers import MONGODB, POSTGRES, is_verifier, read_verifier


@pytest.mark.parametrize("manner", [POSTGRES, MONGODB])
def test_nobody_sees_which_users_there_are(manner):
    made, pretended = manner.verifier("secret"), manner.pretended("ann")
    assert (len(made.salt), made.rounds) == (len(pretended.salt), pretended.rounds)
    assert manner.pretended("ann").salt == pretended.salt != manner.pretended("bob").salt
    assert manner.pretended("ann").stored_key != pretended.stored_key


def test_the_same_name_at_two_ports_shows_nothing():
    assert POSTGRES.pretended("ann").salt[:8] != MONGODB.pretended("ann").salt[:8]


def test_a_verifier_is_read_as_it_is_written():
    made = POSTGRES.verifier("secret")
    salt, stored, server = (
        base64.b64encode(part).decode() for part in (made.salt, made.stored_key, made.server_key)
    )
    text = f"SCRAM-SHA-256$4096:{salt}${stored}:{server}"
    assert is_verifier(text)
    assert read_verifier(text) == made


@pytest.mark.parametrize("text", ["secret", "", "SCRAM-SHA-256$", "md5" + 32 * "0"])
def test_other_secrets_are_none(text):
    assert not is_verifier(text)
    assert read_verifier(text) is None
