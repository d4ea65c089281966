"""First messages made by hand from the specifications, where no client at hand sends them."""

import struct
from pathlib import Path

FIRSTS = {path.stem: path.read_bytes() for path in sorted(Path(__file__).with_name("firsts").glob("*.bin"))}


def vector(data: bytes, prefix: int = 2) -> bytes:
    return len(data).to_bytes(prefix) + data


def record(fragment: bytes) -> bytes:
    return b"\x16\x03\x01" + vector(fragment)


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2) + vector(data)


def server_name(name: bytes) -> bytes:
    return extension(0, vector(b"\0" + vector(name)))


def hello(extensions: bytes | None = b"", *, suites: bytes = b"\x13\x01") -> bytes:
    """The handshake message; None leaves the block of extensions out."""
    body = b"\x03\x03" + bytes(32) + vector(b"", 1) + vector(suites) + vector(b"\0", 1)
    body += b"" if extensions is None else vector(extensions)
    return b"\x01" + vector(body, 3)


def in_records(message: bytes, size: int) -> bytes:
    return b"".join(record(message[at : at + size]) for at in range(0, len(message), size))


def mongo(code: int, body: bytes, *, request: int = 7, response_to: int = 0) -> bytes:
    return struct.pack("<iiii", 16 + len(body), request, response_to, code) + body


EMPTY_DOCUMENT = b"\x05\0\0\0\0"
OP_QUERY = mongo(2004, bytes(4) + b"admin.$cmd\0" + bytes(4) + b"\xff" * 4 + EMPTY_DOCUMENT)
OP_MSG = mongo(2013, bytes(4) + b"\0" + EMPTY_DOCUMENT)
OP_COMPRESSED = mongo(2012, struct.pack("<iiB", 2013, 10, 2) + b"zlib bytes")
C0_C1 = b"\x03" + bytes(8) + bytes(range(256)) * 5 + bytes(248)

CRAFTED = {
    "tls-fragments": in_records(hello(server_name(b"Shop.Example")), 20),
    "tls-header-across-records": in_records(hello(server_name(b"shop.example")), 2),
    "tls-no-extensions": record(hello(None)),
    "http1-lf": b"OPTIONS * HTTP/1.0\n",
    "http1-webdav": b"BASELINE-CONTROL /a%20b HTTP/1.1\r\nHost: a\r\n\r\n",
    "http1-utf8": "GET /caf\u00e9 HTTP/1.1\r\n".encode(),
    "postgres-gss": struct.pack("!II", 8, 80877104),
    "postgres-cancel": struct.pack("!IIII", 16, 80877102, 4242, 77),
    "postgres-3.2": struct.pack("!II", 18, 3 << 16 | 2) + b"user\0app\0\0",
    "postgres-long-cancel": struct.pack("!III", 44, 80877102, 4242) + bytes(32),
    "redis-inline": b"PING\r\n",
    "redis-inline-lf": b'set greeting "hello there"\n',
    "redis-http-like": b"GET key\r\n",
    "mongo-query": OP_QUERY,
    "mongo-message": OP_MSG,
    "mongo-compressed": OP_COMPRESSED,
    "mongo-length-3": mongo(2013, bytes(4) + b"\0" + (238).to_bytes(4, "little") + bytes(234)),
    "rtmp-zeros": C0_C1,
    "ssh-1.99": b"SSH-1.99-old\r\n",
}
