import pytest

from marchproxy.model.listener import Listener
from marchproxy.model.module import Protocol as Served
from marchproxy.nlb.dataplane.relay.sorting import expected, find_listener, find_rest
from marchproxy.wire.detect import Detected, Protocol


def port(*texts):
    """Listeners from texts such as `https:a.example,b.example/h2`."""
    made = []
    for text in texts:
        rest, _, alpn = text.partition("/")
        protocol, _, names = rest.partition(":")
        split = tuple(names.split(",")) if names else ()
        offered = tuple(alpn.split(",")) if alpn else ()
        made.append(Listener(text, "0.0.0.0", 1, Served(protocol), server_names=split, alpn=offered))
    return made


def tls(sni="", *alpn):
    return Detected(Protocol.TLS, "client-hello", sni, alpn)


@pytest.mark.parametrize(
    ("listeners", "protocols", "rest"),
    [
        (("tcp",), set(), "tcp"),
        (("redis",), {Protocol.REDIS}, None),
        (("http", "tcp"), {Protocol.HTTP1, Protocol.HTTP2}, "tcp"),
        (("mysql", "postgres"), {Protocol.MYSQL, Protocol.POSTGRES}, None),
        (("https", "rtmps"), {Protocol.TLS}, None),
        (("tcp:a.example",), {Protocol.TLS}, None),
        (("hls",), set(), "hls"),
    ],
)
def test_what_tells_clients_apart(listeners, protocols, rest):
    made = port(*listeners)
    found = find_rest(made)
    assert (expected(made), found.name if found else None) == (protocols, rest)


@pytest.mark.parametrize(
    ("listeners", "detected", "taker"),
    [
        (("http", "redis"), Detected(Protocol.HTTP1), "http"),
        (("http", "redis"), Detected(Protocol.HTTP2), "http"),
        (("http", "grpc"), Detected(Protocol.HTTP2), "grpc"),
        (("grpc", "http"), Detected(Protocol.HTTP1), "http"),
        (("http", "redis"), Detected(Protocol.REDIS), "redis"),
        (("http", "redis"), Detected(Protocol.SSH), None),
        (("http", "tcp"), Detected(Protocol.SSH), "tcp"),
        (("http", "tcp"), None, "tcp"),
        (("http",), None, None),
        (("http", "https:a.example"), tls("a.example"), "https:a.example"),
        (("http", "https:a.example"), tls("b.example"), None),
        (("tcp", "https:a.example"), tls("b.example"), "tcp"),
        (("https", "https:a.example"), tls("b.example"), "https"),
        (("https:*.example", "https:a.example"), tls("a.example"), "https:a.example"),
        (("https:*.example", "https:a.example"), tls("b.example"), "https:*.example"),
        (("https/h2", "https/http/1.1", "http"), tls("", b"h2"), "https/h2"),
        (("https/h2", "https"), tls("", b"\xff", b"http/1.1"), "https"),
    ],
)
def test_whose_connection_it_is(listeners, detected, taker):
    found = find_listener(port(*listeners), detected)
    assert (found.name if found else None) == taker
