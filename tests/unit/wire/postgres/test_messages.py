"""Single messages, read and written."""

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres import backend, encode, frontend


def test_queries():
    assert frontend.read_query(encode.query("select 1")) == b"select 1"


def test_parse():
    tail = b"select $1\0\0\1\0\0\0\x17"
    parsed = frontend.read_parse(encode.parse(b"s1", tail))
    assert parsed == frontend.Parse(b"s1", tail)
    assert parsed.text == b"select $1"


def test_bind():
    assert frontend.read_bind(encode.message(b"B", b"p\0s1\0\0\0\0\0\0\0")) == (b"p", b"s1")


@pytest.mark.parametrize("kind", [b"D", b"C"])
def test_targets(kind):
    assert frontend.read_target(encode.message(kind, b"Ss1\0")) == (ord("S"), b"s1")
    assert frontend.read_target(encode.message(kind, b"P\0")) == (ord("P"), b"")


def test_what_a_server_says():
    assert backend.read_error(encode.error("57014", "cancelled")) == backend.ErrorFields(
        "ERROR", "57014", "cancelled"
    )
    assert backend.read_parameter(encode.parameter("TimeZone", "UTC")) == ("TimeZone", "UTC")
    assert backend.read_key(encode.key(7, b"abcd")) == (7, b"abcd")
    offered = backend.read_challenge(encode.challenge(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"))
    assert (offered.kind, offered.mechanisms) == (10, ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"))


def test_a_zero_byte_in_words_does_not_end_an_error():
    assert backend.read_error(encode.error("XX000", "a\0b")).message == "a b"


def test_negotiation():
    assert encode.negotiate(2, ["_pq_.x"]) == b"v\0\0\0\x13\0\3\0\2\0\0\0\1_pq_.x\0"


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (frontend.read_query, b"Q\0\0\0\7abc"),
        (frontend.read_query, b"Q\0\0\0\7a\0c\0"),
        (frontend.read_parse, b"P\0\0\0\7abc"),
        (frontend.read_parse, b"P\0\0\0\7a\0b\0"),
        (frontend.read_parse, b"P\0\0\0\7a\0b\0\0\1"),
        (frontend.read_bind, b"B\0\0\0\5a\0b"),
        (frontend.read_target, b"D\0\0\0\4"),
        (frontend.read_target, b"D\0\0\0\6X\0"),
        (frontend.read_target, b"D\0\0\0\6Sab"),
        (backend.read_error, b"E\0\0\0\6SX"),
        (backend.read_parameter, b"S\0\0\0\6a\0"),
        (backend.read_key, b"K\0\0\0\x0b1234567"),
        (backend.read_challenge, b"R\0\0\0\6\0\0"),
    ],
)
def test_faults(read, data):
    with pytest.raises(ProtocolFault):
        read(data)
