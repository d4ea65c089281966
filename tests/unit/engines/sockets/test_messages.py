"""Messages of NETLINK_SOCK_DIAG."""

import errno
import ipaddress
import socket
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.engines.sockets.messages import Connection, Ended, ask_for, destroy, parse


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=LHHLL", 16 + len(body), kind, 0, 1, 0) + body


def found(family: int, local: int, remote: tuple[str, int], *, inode: int = 7, info: bytes = b"") -> bytes:
    address, port = remote
    key = struct.pack("!HH", local, port) + bytes(16)
    key += ipaddress.ip_address(address).packed.ljust(16, b"\0") + bytes(12)
    body = struct.pack("=BBBB48sLLLLL", family, 1, 0, 0, key, 0, 0, 0, 0, inode)
    return message(20, body + (struct.pack("=HH", 4 + len(info), 2) + info if info else b""))


def tcp_info(sent: int, received: int) -> bytes:
    return bytes(44) + struct.pack("=LLLL", sent, 0, received, 0)


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "10.0.0.9"), (socket.AF_INET6, "2001:db8::9")]
)
def test_a_connection_is_read(family, address):
    (one,) = parse(found(family, 40000, (address, 8080), info=tcp_info(900, 300)))
    assert (one.remote, one.local_port) == ((ipaddress.ip_address(address), 8080), 40000)
    assert (one.inode, one.idle_ms) == (7, 300)


def test_several_parts_of_one_datagram():
    data = found(socket.AF_INET, 1, ("10.0.0.9", 80)) + found(socket.AF_INET, 2, ("10.0.0.9", 80))
    parts = list(parse(data + message(3, struct.pack("=l", 0))))
    assert [type(part) for part in parts] == [Connection, Connection, Ended]
    assert [part.idle_ms for part in parts[:2]] == [0, 0]  # without tcp_info


def test_a_refusal_is_an_errno():
    assert list(parse(message(2, struct.pack("=l", -errno.EPERM)))) == [Ended(errno.EPERM)]


def test_a_connection_is_destroyed_by_the_name_it_was_found_under():
    (one,) = parse(found(socket.AF_INET, 40000, ("10.0.0.9", 8080)))
    request = destroy(one)
    assert struct.unpack_from("=LHH", request) == (72, 21, 5)
    assert request[-48:] == one.key


@pytest.mark.parametrize("data", [b"\1", bytes(16), struct.pack("=LHHLL", 99, 20, 0, 1, 0)])
def test_what_is_no_netlink_is_refused(data):
    with pytest.raises(ValueError, match="netlink"):
        list(parse(data))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(data):
    with suppress(ValueError):  # the one error it may raise
        list(parse(data))


def test_a_request_has_the_length_it_says():
    request = ask_for(socket.AF_INET, 8080)
    assert struct.unpack_from("=L", request) == (len(request),)
