import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.proxy_protocol import LONGEST_V2, Address, Header, MalformedHeader, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = bytes((192, 0, 2, 7, 10, 0, 0, 1)) + struct.pack("!HH", 4321, 80)
V6 = bytes.fromhex("20010db8" + "0" * 23 + "7") + bytes(15) + b"\1" + struct.pack("!HH", 4321, 80)
CLIENT, SERVER = Address("192.0.2.7", 4321), Address("10.0.0.1", 80)


def v2(body=V4, *, command=0x21, family=0x11, length=None):
    return (
        SIGNATURE
        + bytes((command, family))
        + struct.pack("!H", len(body) if length is None else length)
        + body
    )


def v1(text):
    return f"PROXY {text}\r\n".encode()


HEADERS = [
    (v2(), Header(28, CLIENT, SERVER)),
    (v2(V4 + b"\x04\0\3abc"), Header(34, CLIENT, SERVER)),
    (v2(V6, family=0x21), Header(52, Address("2001:db8::7", 4321), Address("::1", 80))),
    (v2(V4, command=0x20), Header(28)),
    (v2(b"anything", command=0x20, family=0x99), Header(24)),
    (v2(b"", family=0), Header(16)),
    (v2(b"\xff", family=0), Header(17)),
    (v2(bytes(216), family=0x31), Header(232)),
    (v1("TCP4 192.0.2.7 10.0.0.1 4321 80"), Header(39, CLIENT, SERVER)),
    (v1("TCP6 2001:DB8::7 ::1 4321 80"), Header(36, Address("2001:db8::7", 4321), Address("::1", 80))),
    (v1("UNKNOWN"), Header(15)),
    (v1("UNKNOWN ffff::1 whatever"), Header(32)),
]


@pytest.mark.parametrize(("data", "header"), HEADERS)
@pytest.mark.parametrize("more", [b"", b"GET / HTTP/1.1\r\n"])
def test_whole(data, header, more):
    assert parse(data + more) == header


@pytest.mark.parametrize("data", [data for data, _ in HEADERS])
def test_every_beginning_waits_for_more(data):
    assert [parse(data[:end]) for end in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXX",
        b"\r\n\r\n\1",
        v1("TCP4 192.0.2.7 10.0.0.1 4321"),
        v1("TCP4 192.0.2.7  10.0.0.1 4321 80"),
        v1("TCP4 192.0.2.07 10.0.0.1 4321 80"),
        v1("TCP4 192.0.2.256 10.0.0.1 4321 80"),
        v1("TCP4 ::1 ::1 4321 80"),
        v1("TCP6 192.0.2.7 10.0.0.1 4321 80"),
        v1("TCP6 fe80::1%eth0 ::1 4321 80"),
        v1("TCP4 192.0.2.7 10.0.0.1 04321 80"),
        v1("TCP4 192.0.2.7 10.0.0.1 65536 80"),
        v1("TCP4 192.0.2.7 10.0.0.1 -1 80"),
        v1("TCP4 192.0.2.7 10.0.0.1 \u0664 80"),
        v1("UDP4 192.0.2.7 10.0.0.1 4321 80"),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4321 80\n" + b"x" * 107,
        b"PROXY UNKNOWN" + b" " * 107,
        v2(command=0x11),
        v2(command=0x22),
        v2(family=0x12),
        v2(V4[:11]),
        v2(V4, family=0x21),
        v2(V4 + b"\4\0"),
        v2(V4 + b"\4\0\4abc"),
        v2(b"", length=LONGEST_V2 + 1),
    ],
)
def test_malformed(data):
    with pytest.raises(MalformedHeader):
        parse(data)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, v2()[:16]]))
def test_whatever_comes_it_is_a_header_or_none(data, start):
    try:
        header = parse(start + data)
    except MalformedHeader:
        return
    assert header is None or 0 < header.size <= len(start + data)


@given(
    st.binary(max_size=120),
    st.integers(0, 120),
    st.sampled_from([b"", b"PROXY ", SIGNATURE + b"\x21\x11\0\x0c"]),
)
def test_more_bytes_never_change_the_answer(data, cut, start):
    data = start + data

    def answer(part):
        try:
            return parse(part)
        except MalformedHeader:
            return "malformed"

    early = answer(data[:cut])
    assert early is None or early == answer(data)
