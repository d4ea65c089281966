from http import HTTPStatus

import pytest

from marchproxy.kit.http.messages import RemoteProtocolError, Reply, Request, RequestParser

GET = b"GET /healthz?probe=1 HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
OLD = b"GET /readyz HTTP/1.0\r\n\r\n"

ONE = Request("GET", "/healthz", keep_alive=True)
TWO = Request("POST", "/metrics", keep_alive=True)


def parser(max_head=200, max_body=10):
    return RequestParser(max_head=max_head, max_body=max_body)


def feed(under_test, data, step):
    pieces = (data[start : start + step] for start in range(0, len(data), step))
    return [request for piece in pieces for request in under_test.receive(piece)]


@pytest.mark.parametrize(
    ("data", "requests"),
    [
        (GET, [ONE]),
        (POST, [TWO]),
        (GET + POST + GET, [ONE, TWO, ONE]),
        (OLD, [Request("GET", "/readyz", keep_alive=False)]),
        (GET.replace(b"Host: x", b"Connection: close"), [Request("GET", "/healthz", keep_alive=False)]),
        (GET[:-1], []),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_requests_in_pieces_of_any_size(data, requests, step):
    under_test = parser()
    assert feed(under_test, data, step) == requests


def test_an_upgrade_is_answered_and_then_over():
    upgrade = b"GET /metrics HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert parser().receive(upgrade) == [Request("GET", "/metrics", keep_alive=False)]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", HTTPStatus.BAD_REQUEST),  # TLS on a plain port
        (b"hello\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTPStatus.BAD_REQUEST),
        (
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            HTTPStatus.BAD_REQUEST,
        ),
        (b"GET /" + b"a" * 300, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 300, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"PUT / HTTP/1.1\r\nContent-Length: 11\r\n\r\n" + b"a" * 11, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
@pytest.mark.parametrize("step", [1, 50, 10_000])
def test_what_is_refused(data, status, step):
    under_test = parser()
    with pytest.raises(RemoteProtocolError) as caught:
        feed(under_test, data, step)
    assert caught.value.reply.status is status


def test_limits_hold_for_every_request_of_a_connection():
    under_test = parser(max_head=100, max_body=3)
    for _ in range(10):
        assert under_test.receive(GET) == [ONE]
        assert under_test.receive(POST) == [TWO]


def test_reply_bytes():
    reply = Reply(HTTPStatus.METHOD_NOT_ALLOWED, b"no\n", headers=(("Allow", "GET"),))
    assert reply.encode(keep_alive=True, with_body=False) == (
        b"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n"
        b"Cache-Control: no-store\r\nConnection: keep-alive\r\nAllow: GET\r\n\r\n"
    )
    assert reply.encode(keep_alive=False).endswith(b"Connection: close\r\nAllow: GET\r\n\r\nno\n")
