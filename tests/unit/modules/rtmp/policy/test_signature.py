"""Tokens: for what and until when they are good; the first is one that openssl has made."""

import pytest

from marchproxy.model.streams import StreamKey
from marchproxy.modules.rtmp.policy.signature import check_signature
from marchproxy.modules.rtmp.policy.signing import read_secret, sign

SECRET = b"0123456789abcdef"
KEY = StreamKey("live.example", "live", "cam1")
END = 1_800_000_000
#: printf 'publish\nlive.example/live/cam1\n1800000000' | openssl dgst -sha256 -hmac 0123456789abcdef
BY_OPENSSL = "eefd08fb4ad14f52bf2906401ba4ff35c6aaa946ecc1e98530133fa3b19970c8"


def shown(signature: str, expires: object = END) -> dict[str, str]:
    return {"expires": str(expires), "signature": signature}


def test_what_openssl_makes_is_good() -> None:
    assert sign(SECRET, "publish", KEY.text, END) == BY_OPENSSL
    assert check_signature(SECRET, "publish", KEY, shown(BY_OPENSSL), now=END - 1) is None
    assert check_signature(SECRET, "publish", KEY, shown(BY_OPENSSL.upper()), now=0) is None


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        ({}, "denied", "no signature was shown"),
        ({"signature": BY_OPENSSL}, "denied", "a token is expires="),
        ({"expires": str(END)}, "denied", "a token is expires="),
        (shown("ä" * 64), "denied", "a token is expires="),
        (shown(BY_OPENSSL[:-1]), "denied", "a token is expires="),
        (shown(BY_OPENSSL, f" {END}"), "denied", "a token is expires="),
        (shown(BY_OPENSSL, "9" * 400), "denied", "a token is expires="),
        (shown(BY_OPENSSL, "\u0661"), "denied", "a token is expires="),
        (shown("0" * 64), "denied", "the signature is not right"),
        (shown(BY_OPENSSL, END + 1), "denied", "the signature is not right"),
        (shown(sign(b"another secret", "publish", KEY.text, END)), "denied", "the signature is not right"),
        (shown(sign(SECRET, "play", KEY.text, END)), "denied", "the signature is not right"),
        (
            shown(sign(SECRET, "publish", "live.example/live/cam2", END)),
            "denied",
            "the signature is not right",
        ),
        (shown(sign(SECRET, "publish", "other.example/live/*", END)), "denied", "the signature is not right"),
        (shown(sign(SECRET, "publish", "live.example/*/cam1", END)), "denied", "the signature is not right"),
        (
            shown(sign(SECRET, "publish", KEY.text, END - 10), END - 10),
            "expired",
            "the token ended at 2027-01-15 07:59:50 UTC",
        ),
        (shown(sign(SECRET, "publish", KEY.text, END - 5), END - 5), "expired", "the token ended at"),
        (shown(sign(SECRET, "publish", KEY.text, "99999999999"), "99999999999"), "", ""),
        (shown(sign(SECRET, "publish", "live.example/live/*", END)), "", ""),
    ],
)
def test_for_what_tokens_are_good(given: dict[str, str], reason: str, words: str) -> None:
    refusal = check_signature(SECRET, "publish", KEY, given, now=END - 5)
    assert (refusal.reason if refusal else "") == reason
    assert (refusal.words if refusal else "").startswith(words)


@pytest.mark.parametrize("content", [b"longenough", b"longenough\n", b"longenough\r\n"])
def test_a_secret_ends_before_the_line_break(content: bytes) -> None:
    assert read_secret(content) == b"longenough"


@pytest.mark.parametrize("content", [b"", b"\n", b"short"])
def test_what_could_be_guessed_is_no_secret(content: bytes) -> None:
    with pytest.raises(ValueError, match="openssl rand"):
        read_secret(content)
