import pytest

from marchproxy.wire.detect import ALL, Detected, NeedMore, Protocol, Unknown, detect
from tests.unit.wire.detect.crafted import extension, hello, in_records, record, server_name, vector

ALPN = extension(16, vector(vector(b"h2", 1) + vector(b"\x0a\x0a", 1)))


def look(message: bytes) -> object:
    return detect(record(message), ALL)


def test_name_and_protocols_among_other_extensions():
    grease = extension(0x0A0A, b"")
    assert look(
        hello(grease + ALPN + server_name(b"WWW.Example") + extension(43, b"\x02\x03\x04"))
    ) == Detected(Protocol.TLS, "client-hello", "www.example", (b"h2", b"\x0a\x0a"))


@pytest.mark.parametrize("size", [1, 3, 4, 5, 40])
def test_any_fragment_size(size):
    message = hello(server_name(b"a.example"))[: None if size > 1 else 60]
    data = in_records(message, size)
    if size > 1:
        assert detect(data, ALL) == Detected(Protocol.TLS, "client-hello", "a.example")
    else:
        assert isinstance(detect(data, ALL), NeedMore)


def test_more_records_than_any_client_makes():
    message = hello(extension(21, bytes(100)))
    assert detect(in_records(message, len(message) // 63 + 1), ALL) == Detected(Protocol.TLS, "client-hello")
    assert detect(in_records(message, 1), ALL) == Unknown()


def test_what_follows_the_hello_is_not_read():
    assert detect(record(hello() + b"\xff"), ALL) == Detected(Protocol.TLS, "client-hello")
    assert detect(record(hello()) + b"early data", ALL) == Detected(Protocol.TLS, "client-hello")


@pytest.mark.parametrize(
    "message",
    [
        hello(server_name(b"")),
        hello(server_name(b"a" * 256)),
        hello(server_name(b"caf\xc3\xa9.example")),
        hello(server_name(b"a\nb")),
        hello(server_name(b"a") + server_name(b"b")),
        hello(extension(0, vector(b"\x01" + vector(b"a")))),
        hello(extension(0, vector(b"\0" + vector(b"a")) + b"x")),
        hello(extension(0, b"\0\x09\0\0\x01a")),
        hello(extension(16, vector(b""))),
        hello(extension(16, vector(vector(b"", 1)))),
        hello(extension(16, vector(b"\x05h2"))),
        hello(b"\0"),
        hello(suites=b""),
        hello(suites=b"\x13"),
        b"\x01" + vector(b"\x02" + bytes(50), 3),
        b"\x01\0\0\0",
    ],
)
def test_malformed_hello(message):
    data = record(message)
    assert detect(data, ALL) == Unknown() or isinstance(detect(data, ALL), NeedMore)
    assert detect(data + record(b"\0" * 64), ALL) == Unknown()
