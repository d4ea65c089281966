import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.nlb.dataplane.relay.header import encode_header

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


@pytest.mark.parametrize(
    ("source", "destination", "rest"),
    [
        ("192.0.2.1:4660", "198.51.100.2:80", "21 11 000c c0000201 c6336402 1234 0050"),
        ("[::ffff:192.0.2.1]:4660", "[::ffff:198.51.100.2]:80", "21 11 000c c0000201 c6336402 1234 0050"),
        (
            "[2001:db8::1]:4660",
            "[2001:db8::2]:80",
            f"21 21 0024 20010db8{'0' * 23}1 20010db8{'0' * 23}2 1234 0050",
        ),
        ("[fe80::1%eth0]:1", "[fe80::2%eth0]:2", f"21 21 0024 fe80{'0' * 27}1 fe80{'0' * 27}2 0001 0002"),
        (
            "192.0.2.1:1",
            "[2001:db8::2]:2",
            f"21 21 0024 {'0' * 20}ffffc0000201 20010db8{'0' * 23}2 0001 0002",
        ),
    ],
)
def test_header(source, destination, rest):
    header = encode_header(HostPort.parse(source), HostPort.parse(destination))
    assert header == SIGNATURE + bytes.fromhex(rest)


def test_a_name_is_refused():
    with pytest.raises(ValueError, match=r"client\.example"):
        encode_header(HostPort("client.example", 1), HostPort("192.0.2.1", 2))
