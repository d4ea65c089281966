"""What opens a PostgreSQL connection."""

import struct

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres.encode import SSL_REQUEST, cancel, startup
from marchproxy.wire.postgres.startup import (
    LONGEST,
    CancelRequest,
    GssRequest,
    SslRequest,
    Startup,
    read_opening,
)

PARAMETERS = {"user": "anna", "database": "shop", "application_name": "ledger é"}


def packet(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!II", 8 + len(body), code) + body


@pytest.mark.parametrize(
    ("data", "opening"),
    [
        (SSL_REQUEST, SslRequest()),
        (packet(80877104), GssRequest()),
        (cancel(4711, b"abcd"), CancelRequest(4711, b"abcd")),
        (cancel(4711, b"k" * 256), CancelRequest(4711, b"k" * 256)),
        (startup(PARAMETERS), Startup(0, PARAMETERS)),
        (startup(PARAMETERS, minor=2), Startup(2, PARAMETERS)),
        (startup({**PARAMETERS, "_pq_.x": "1"}), Startup(0, PARAMETERS, ("_pq_.x",))),
    ],
)
def test_whole_and_in_pieces(data, opening):
    for size in range(len(data)):
        assert read_opening(data[:size]) is None
    assert read_opening(data + b"rest") == (opening, len(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct.pack("!I", 7), "7 bytes"),
        (struct.pack("!I", LONGEST + 1), "10001 bytes"),
        (struct.pack("!I", 2**32 - 1), "4294967295 bytes"),
        (packet(80877103, b"x"), "8 bytes"),
        (packet(80877102, b"1234567"), "no 15 bytes"),
        (packet(80877102, b"p" * 261), "no 269 bytes"),
        (packet(2 << 16, b"user\0a\0\0"), "protocol 2.0"),
        (packet(4 << 16, b"user\0a\0\0"), "protocol 4.0"),
        (packet(3 << 16, b"user\0anna"), "zero byte"),
        (packet(3 << 16, b"user\0\0\0"), "no user"),
        (packet(3 << 16, b"database\0shop\0\0"), "no user"),
        (packet(3 << 16, b"\0"), "no user"),
        (packet(3 << 16, b"user\0anna\0database\0\0"), "without a name or a value"),
        (packet(3 << 16, b"user\0\xff\0\0"), "UTF-8"),
    ],
)
def test_faults(data, words):
    with pytest.raises(ProtocolFault, match=words):
        read_opening(data)
