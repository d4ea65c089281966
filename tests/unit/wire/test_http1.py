"""Requests in HTTP/1.1, whole and in pieces."""

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.http1 import Request, Requests, answer

POST = b"POST /v1/x?y=1 HTTP/1.1\r\nHost: ai\r\nX-Twice: a\r\nContent-Length: 5\r\nx-twice:\t b \r\n\r\nhello"
GET = b"GET / HTTP/1.1\r\n\r\n"
CHUNKED = (
    b"POST /c HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n"
    b"5\r\nhello\r\n1;a=b\r\n \r\nA\r\n0123456789\r\n0\r\n"
)
WANTED = [
    Request(
        "POST",
        "/v1/x?y=1",
        {b"host": b"ai", b"x-twice": b"a, b", b"content-length": b"5"},
        b"hello",
    ),
    Request("GET", "/", {}, b""),
    Request("POST", "/c", {b"transfer-encoding": b"Chunked"}, b"hello 0123456789"),
    Request("GET", "/", {}, b""),
]


def reader():
    return Requests(head=1000, body=1000)


def read(data, step):
    requests = reader()
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    return [request for piece in pieces for request in requests.receive(piece)], requests


@pytest.mark.parametrize("trailers", [b"\r\n", b"x: y\r\nz: 1\r\n\r\n"])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 10_000])
def test_requests_are_the_same_in_any_pieces(trailers, step):
    data = POST + GET + CHUNKED + trailers + GET
    found, requests = read(data, step)
    assert found == WANTED
    assert requests.between


def test_a_field_is_text_and_empty_where_there_is_none():
    (request,) = reader().receive(POST)
    assert request.field(b"x-twice") == "a, b"
    assert request.field(b"x-none") == ""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nname : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nname\r\n\r\n",
        b"GET / HTTP/1.1\r\nname: \0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\ncontent-length: -5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\ncontent-length: 1001\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloo\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 200,
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * 300,
        b"GET /" + b"x" * 1100,
        b"GET / HTTP/1.1\r\nname: " + b"x" * 1000 + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 10_000])
def test_what_is_not_taken_is_a_fault(data, step):
    with pytest.raises(ProtocolFault):
        read(data, step)


def test_an_answer_has_a_length():
    fields = [(b"content-type", b"text/plain")]
    assert (
        answer(404, fields, b"no")
        == b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nno"
    )
    assert answer(529) == b"HTTP/1.1 529 Error\r\ncontent-length: 0\r\n\r\n"
