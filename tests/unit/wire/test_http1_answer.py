"""Answers in HTTP/1.1, whole and in pieces."""

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.http1_answer import Answer

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 5\r\nx-a:\t b \r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n \r\nA\r\n0123456789\r\n0\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\n\r\nhello"


def read(data, step):
    answer = Answer()
    body = b"".join(answer.receive(data[at : at + step]) for at in range(0, len(data), step))
    return body, answer


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (SIZED, b"hello"),
        (INTERIM + SIZED, b"hello"),
        (CHUNKED + b"\r\n", b"hello 0123456789"),
        (CHUNKED + b"x: y\r\nz: 1\r\n\r\n", b"hello 0123456789"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
)
def test_answers_are_the_same_in_any_pieces(data, body, step):
    found, answer = read(data, step)
    assert found == body
    assert answer.ended
    assert answer.keeps
    assert not answer.extra


def test_fields_are_in_small_letters():
    _, answer = read(SIZED, 1000)
    assert answer.status == 200
    assert answer.fields == [(b"content-type", b"text/plain"), (b"content-length", b"5"), (b"x-a", b"b")]
    assert answer.field(b"x-a") == b"b"
    assert answer.field(b"x-b") == b""


def test_a_chunk_is_passed_on_as_far_as_it_is_there():
    answer = Answer()
    assert answer.receive(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe") == b"he"
    assert answer.receive(b"llo\r") == b"llo"
    assert not answer.close()


@pytest.mark.parametrize("style", [b"%x\r\n", b"%X\r\n", b"%04x\r\n", b"%x;a=b\r\n"])
@pytest.mark.parametrize("size", [1, 2, 9, 10, 15, 16, 17, 171, 255, 256, 1023, 1024, 4095, 4096])
def test_a_read_that_is_one_chunk_is_what_is_in_it(style, size):
    answer = Answer()
    answer.receive(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    data = bytes(number % 251 for number in range(size))
    for _ in range(2):
        assert answer.receive(style % size + data + b"\r\n") == data
    assert answer.receive(b"0\r\n\r\n") == b""
    assert answer.ended


@pytest.mark.parametrize("read", [b"a\r\n0123456789xx", b"b\r\n0123456789\r\nx", b"g\r\n0123456789\r\n"])
def test_a_read_that_only_looks_like_a_chunk_is_none(read):
    answer = Answer()
    answer.receive(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    with pytest.raises(ProtocolFault):
        answer.receive(read)


@pytest.mark.parametrize("step", [1, 10_000])
def test_an_answer_may_end_with_its_connection(step):
    found, answer = read(CLOSED, step)
    assert found == b"hello"
    assert not answer.ended
    assert answer.close()
    assert not answer.keeps


@pytest.mark.parametrize("data", [SIZED[:-1], CHUNKED, SIZED[:20], b""])
def test_an_end_in_the_middle_is_none(data):
    _, answer = read(data, 10_000)
    assert not answer.close()


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_connections_that_are_not_kept(head, keeps):
    _, answer = read(head + b"content-length: 1\r\n\r\nx", 10_000)
    assert answer.ended
    assert answer.keeps is keeps


@pytest.mark.parametrize("data", [SIZED + b"x", CHUNKED + b"\r\nx", b"HTTP/1.1 204 X\r\n\r\nx"])
def test_more_than_was_asked_for_is_told(data):
    _, answer = read(data, 10_000)
    assert answer.extra


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloX\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;" + b"x" * 300,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
    ],
)
def test_what_breaks_the_protocol_is_a_fault(data, step):
    if step == 1 and len(data) > 60_000:
        step = 1000
    with pytest.raises(ProtocolFault):
        read(data, step)
