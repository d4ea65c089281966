"""Messages of NETLINK_SOCK_DIAG: requests as bytes, answers as values. Pure. sock_diag(7), linux/inet_diag.h."""

import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_HEADER = struct.Struct("=LHHLL")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST = struct.Struct(
    "=BBBBL"
)  # inet_diag_req_v2 up to the socket id: family, protocol, extensions, pad, states
_FOUND = struct.Struct(
    "=BBBB48sLLLLL"
)  # inet_diag_msg: family, state, timer, retransmits, id, …, user, inode
_ATTRIBUTE = struct.Struct("=HH")
_ID_BYTES = 48  # inet_diag_sockid
_SOURCE_PORT, _TARGET_PORT = slice(0, 2), slice(2, 4)
_TARGET = 20  # where the remote address begins in a socket id
_BY_FAMILY, _DESTROY = 20, 21
_REQUEST_FLAG, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_ESTABLISHED = 1 << 1
_WITH_INFO, _INFO, _BYTECODE = 1 << 1, 2, 1
_PORT_AT_LEAST, _PORT_AT_MOST = 4, 5
_LAST_SENT, _LAST_RECEIVED = 44, 52  # in tcp_info, milliseconds ago


@dataclass(frozen=True, slots=True)
class Connection:
    """An established TCP connection, as the kernel names it; `idle_ms`: since data last went either way."""

    family: int
    key: bytes
    inode: int
    idle_ms: int

    @property
    def local_port(self) -> int:
        """Its port on this side."""
        return int.from_bytes(self.key[_SOURCE_PORT])

    @property
    def remote(self) -> tuple[IpAddress, int]:
        """The other side."""
        size = 4 if self.family == socket.AF_INET else 16
        packed = self.key[_TARGET : _TARGET + size]
        return ipaddress.ip_address(packed), int.from_bytes(self.key[_TARGET_PORT])


@dataclass(frozen=True, slots=True)
class Ended:
    """The last part of an answer; `error` is an errno, 0 when all is well."""

    error: int = 0


def ask_for(family: int, port: int) -> bytes:
    """Ask for the established TCP connections to a remote port."""
    head = _REQUEST.pack(family, socket.IPPROTO_TCP, _WITH_INFO, 0, _ESTABLISHED)
    # two conditions, each: operation, offset if true, offset if false (past the end: no match), then its port
    code = struct.pack("=BBHHHBBHHH", _PORT_AT_LEAST, 8, 20, 0, port, _PORT_AT_MOST, 8, 12, 0, port)
    body = head + bytes(_ID_BYTES) + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(code), _BYTECODE) + code
    return _message(_BY_FAMILY, _REQUEST_FLAG | _DUMP, body)


def destroy(connection: Connection) -> bytes:
    """Ask for the end of a connection: its owner reads an error, the other side gets a reset."""
    head = _REQUEST.pack(connection.family, socket.IPPROTO_TCP, 0, 0, _ESTABLISHED)
    return _message(_DESTROY, _REQUEST_FLAG | _ACK, head + connection.key)


def parse(data: bytes) -> Iterator[Connection | Ended]:
    """The parts of one datagram. Raises ValueError when it is not a netlink message."""
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise ValueError("a netlink message is cut off")
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise ValueError(f"a netlink message of {length} bytes in {len(data) - at}")
        body = data[at + _HEADER.size : at + length]
        if kind in {_ERROR, _DONE}:
            yield Ended(-struct.unpack_from("=l", body)[0] if len(body) >= 4 else 0)
        elif kind == _BY_FAMILY and len(body) >= _FOUND.size:
            yield _connection(body)
        at += _aligned(length)


def _connection(body: bytes) -> Connection:
    family, _, _, _, key, *_, inode = _FOUND.unpack_from(body)
    info = _attribute(body[_FOUND.size :], _INFO)
    idle = 0
    if len(info) >= _LAST_RECEIVED + 4:
        idle = min(struct.unpack_from("=L", info, offset)[0] for offset in (_LAST_SENT, _LAST_RECEIVED))
    return Connection(family, key, inode, idle)


def _attribute(data: bytes, wanted: int) -> bytes:
    at = 0
    while len(data) - at >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        if kind == wanted:
            return data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return b""


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _aligned(length: int) -> int:
    return (length + 3) & ~3
