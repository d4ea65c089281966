"""Which listener a connection arrives at, among those of one address and of others."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.ai import AiRoute
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.matching import Request
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.route import PathMatch, Route, RouteId, RouteMatch
from marchproxy.model.sharing import share
from marchproxy.nlb.dataplane.relay.sorting import find_listener
from marchproxy.nlb.rules.arrival import find_arrivals
from marchproxy.nlb.rules.question import Question
from marchproxy.wire import detect

TLS = TlsTermination("/c.pem", "/k.pem")


def on(port, protocol, name, *server_names, **more):
    return Listener(name, "0.0.0.0", port, Protocol(protocol), server_names=server_names, **more)


SEVEN = [on(7000, word, word) for word in ("http", "https", "postgres", "mysql", "mongodb", "redis", "rtmp")]
LISTENERS = [
    on(80, "http", "alb"),
    on(80, "http", "ailb", module_type=ModuleType.AILB),
    on(443, "https", "shop", "shop.example"),
    on(443, "rtmps", "live", "live.example", tls=TLS),
    on(443, "tcp", "others"),
    on(444, "https", "h2only", alpn=("h2",)),
    *SEVEN,
    on(7001, "tcp", "rest"),
    on(7001, "redis", "cache"),
    on(53, "udp", "dns"),
    on(53, "tcp", "dns-tcp"),
    on(8443, "http", "ended", tls=TLS),
    on(9000, "tcp", "raw"),
    on(8088, "hls", "watch"),
]
ROUTES = [
    Route(RouteId("v1"), RouteMatch((), PathMatch(value="/v1")), module_type=ModuleType.AILB),
    Route(RouteId("shop"), RouteMatch(("shop.example",)), priority=1),
    Route(RouteId("admin"), RouteMatch((), PathMatch(value="/v1/admin")), module_type=ModuleType.ALB),
    Route(RouteId("llm"), RouteMatch((), PathMatch(value="/llm")), ai=AiRoute()),
    Route(RouteId("inside"), priority=9, module_type=ModuleType.AILB, sources=("10.0.0.0/8",)),
    Route(RouteId("other"), priority=9, module_type=ModuleType.AILB, destination_port=81),
    Route(RouteId("database"), priority=9, module_type=ModuleType.AILB, protocol=Protocol.POSTGRES),
]


def ask(**question):
    if "protocol" in question:
        question["protocol"] = Protocol(question["protocol"])
    arrivals = find_arrivals(Question(**question), share(LISTENERS), ROUTES)
    return {arrival.listener.name: arrival.told_by for arrival in arrivals}


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({"listener": "cache"}, "cache"),
        ({"port": 9000, "protocol": "postgres"}, "raw"),  # a listener for tcp takes whatever it is
        ({"port": 53, "protocol": "udp"}, "dns"),
        ({"port": 53, "protocol": "tcp"}, "dns-tcp"),
        ({"port": 53}, "dns dns-tcp"),
        ({"protocol": "http3"}, ""),
        ({"port": 8088, "protocol": "hls"}, "watch"),
        ({"port": 8088, "protocol": "dash"}, "watch"),  # which the same port serves
        ({"port": 8088, "protocol": "http"}, ""),
        # by request
        ({"port": 80}, "alb"),
        ({"port": 80, "module_type": ModuleType.AILB}, "ailb"),
        ({"port": 80, "request": Request("a", "/v1/chat")}, "ailb"),
        ({"port": 80, "request": Request("a", "/v1/admin")}, "alb"),
        ({"port": 80, "request": Request("shop.example", "/v1")}, "ailb"),  # a route without a type says nothing
        ({"port": 80, "request": Request("a", "/llm/v1/models")}, "ailb"),
        ({"port": 80, "request": Request("a", "/")}, "alb"),
        ({"port": 80, "protocol": "grpc", "request": Request("a", "/v1/x")}, "ailb"),
        ({"port": 80, "protocol": "redis"}, ""),
        ({"port": 80, "module_type": ModuleType.AILB, "request": Request("a", "/")}, ""),
        # by hello
        ({"port": 443, "sni": "shop.example"}, "shop"),
        ({"port": 443, "sni": "live.example", "protocol": "rtmps"}, "live"),
        ({"port": 443, "sni": "live.example", "protocol": "https"}, "live"),
        ({"port": 443, "sni": "x.example", "protocol": "https"}, "others"),
        ({"port": 443}, "others"),
        ({"port": 443, "protocol": "tcp"}, "others"),
        ({"port": 443, "protocol": "redis"}, "others"),
        ({"sni": "live.example", "protocol": "rtmps"}, "live"),
        # alone, with a hello
        ({"port": 444, "protocol": "https", "alpn": ("h2", "http/1.1")}, "h2only"),
        ({"port": 444, "protocol": "https", "alpn": ("http/1.1",)}, ""),
        ({"port": 444}, ""),
        ({"port": 8443, "protocol": "https", "sni": "a"}, "ended"),
        ({"port": 8443, "protocol": "http"}, "ended"),
        # by first bytes
        ({"port": 7000, "protocol": "http2"}, "http"),
        ({"port": 7000, "protocol": "https", "sni": "a"}, "https"),
        ({"port": 7000, "protocol": "postgres"}, "postgres"),
        ({"port": 7000, "protocol": "mysql"}, "mysql"),
        ({"port": 7000, "request": Request("a")}, "http"),
        ({"port": 7000, "protocol": "tcp"}, ""),
        ({"port": 7001, "protocol": "redis"}, "cache"),
        ({"port": 7001, "protocol": "mongodb"}, "rest"),
        ({"port": 7001, "sni": "a"}, "rest"),
        ({"port": 7001, "protocol": "tcp"}, "rest"),
        ({"port": 7001}, "rest cache"),
        ({"port": 1}, ""),
    ],
)  # fmt: skip
def test_where_it_arrives(question, found):
    assert " ".join(ask(**question)) == found


@pytest.mark.parametrize(
    ("question", "told_by"),
    [
        ({"port": 80, "request": Request("a", "/v1")}, 'route "v1" sends the request to ailb'),
        ({"port": 80, "request": Request("a", "/")}, "no route that names a module type matches; the first listener takes the rest"),
        ({"port": 80}, "no request is known; each is routed by itself"),
        ({"port": 443, "sni": "shop.example", "alpn": ("h2",)}, "the TLS hello is for server name shop.example, offering h2"),
        ({"port": 443}, "the TLS hello is without a server name"),
        ({"port": 443, "protocol": "redis"}, "it speaks no TLS, and this one takes all others"),
        ({"port": 7000, "protocol": "mysql"}, "the first bytes are MySQL"),
        ({"port": 7001, "sni": "a"}, "the first bytes are TLS, the TLS hello is for server name a, which no other takes"),
        ({"port": 9000}, ""),
    ],
)  # fmt: skip
def test_what_told_it_from_the_others(question, told_by):
    assert list(ask(**question).values()) == [told_by]


SPOKEN = {
    detect.Protocol.TLS: Protocol.HTTPS,
    detect.Protocol.HTTP1: Protocol.HTTP,
    detect.Protocol.HTTP2: Protocol.HTTP,
    detect.Protocol.POSTGRES: Protocol.POSTGRES,
    detect.Protocol.MYSQL: Protocol.MYSQL,
    detect.Protocol.REDIS: Protocol.REDIS,
    detect.Protocol.MONGODB: Protocol.MONGODB,
    detect.Protocol.RTMP: Protocol.RTMP,
}
AT_ONE_PORT = [
    *SEVEN,
    on(7000, "tcp", "tcp"),
    on(7000, "tcp", "named", "a.example"),
    on(7000, "https", "wild", "*.a.example", alpn=("h2",)),
]


@given(
    st.lists(st.sampled_from(AT_ONE_PORT), unique=True, min_size=2),
    st.sampled_from(sorted(SPOKEN, key=lambda protocol: protocol.value)),
    st.sampled_from(["", "a.example", "b.a.example", "b"]),
    st.lists(st.sampled_from(["h2", "http/1.1"]), unique=True),
)
def test_what_is_told_is_what_the_detect_data_plane_does(listeners, protocol, sni, alpn):
    listeners = [replace(listener, data_plane=DataPlaneKind.DETECT) for listener in listeners]
    (port,) = share(listeners)
    in_tls = protocol is detect.Protocol.TLS
    offered = tuple(name.encode() for name in alpn) if in_tls else ()
    detected = detect.Detected(protocol, sni=sni if in_tls else "", alpn=offered)
    question = Question(
        port=7000,
        protocol=SPOKEN[protocol],
        sni=sni if in_tls else "",
        alpn=tuple(alpn) if in_tls else (),
    )
    arrivals = [arrival.listener for arrival in find_arrivals(question, [port], [])]
    taken = find_listener(port.listeners, detected)
    assert arrivals == ([] if taken is None else [taken])
