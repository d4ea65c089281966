"""SCRAM, the side of the server, against a client that somebody else wrote, and against RFC 7677's own example."""

import base64
import hashlib
import hmac

import pytest
from scramp import ScramClient

from marchproxy.modules.dblb.scram import ScramFault, Verifier, begin, user_of


def verifier(password: str, salt: bytes = b"0123456789abcdef", rounds: int = 4096) -> Verifier:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return Verifier(salt, rounds, stored, hmac.digest(salted, b"Server Key", "sha256"))


def test_the_example_of_the_rfc():
    known = verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    exchange = begin("n,,n=user,r=rOprNGfwEbeRWgbNEkqO", known, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert exchange.challenge == (
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = (
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert exchange.judge(final) == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize(("password", "proven"), [("pencil", True), ("pen", False), ("", False)])
def test_a_client(password, proven):
    client = ScramClient(["SCRAM-SHA-256"], "anna", password or "-")
    exchange = begin(client.get_client_first(), verifier("pencil"), "ours")
    assert exchange.user == "anna"
    client.set_server_first(exchange.challenge)
    answer = exchange.judge(client.get_client_final())
    assert (answer is not None) is proven
    if answer is not None:
        client.set_server_final(answer)


@pytest.mark.parametrize(
    ("first", "user"), [("n,,n=,r=abc", ""), ("y,,n=a=2Cb=3D,r=abc", "a,b="), ("n,a=x,n=u,r=abc", "u")]
)
def test_names(first, user):
    assert user_of(first) == user
    assert begin(first, verifier("x"), "ours").challenge.startswith("r=abcours,")


@pytest.mark.parametrize(
    "first",
    ["", "n,,r=abc", "p=tls-unique,,n=u,r=abc", "n,,n=u,r=", "n,,n=u,r=a b", "x,,n=u,r=abc", "n,,n=u"],
)
def test_first_messages_that_are_none(first):
    with pytest.raises(ScramFault):
        begin(first, verifier("x"), "ours")


@pytest.mark.parametrize(
    "final",
    [
        "",
        "c=biws,r=abcours",
        "c=biws,r=abcours,p=!",
        "c=biws,r=abcours,p=AAA",  # no base64
        "c=eSws,r=abcours,p=AAAA",  # another header than the first message had
        "c=biws,r=abctheirs,p=AAAA",
    ],
)
def test_final_messages_that_are_none(final):
    with pytest.raises(ScramFault):
        begin("n,,n=u,r=abc", verifier("x"), "ours").judge(final)


def test_a_proof_of_another_length_proves_nothing():
    assert begin("n,,n=u,r=abc", verifier("x"), "ours").judge("c=biws,r=abcours,p=AAAA") is None
