"""Listeners at one address: what tells them apart, and what cannot."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.checks import check_listeners
from marchproxy.model.checks.sharing import check_choosing
from marchproxy.model.hello import claims, find_by_hello
from marchproxy.model.listener import DataPlaneKind, Listener, TlsTermination
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.planes import able_planes
from marchproxy.model.route import Route
from marchproxy.model.sharing import Sharing, Speech, share, speech_of

TLS = TlsTermination("/c.pem", "/k.pem")


def at(*listeners):
    """These listeners at one address, named a, b, c, …"""
    return [replace(listener, name=name) for name, listener in zip("abcdefghij", listeners, strict=False)]


def on(protocol, *names, **more):
    return Listener("", "0.0.0.0", 443, Protocol(protocol), server_names=names, **more)


WEB = on("http")
LLM = on("http", module_type=ModuleType.AILB)
SEVEN = tuple(on(word) for word in ("http", "https", "postgres", "mysql", "mongodb", "redis", "rtmp"))
ENVOY, DETECT, KERNEL = DataPlaneKind.ENVOY, DataPlaneKind.DETECT, DataPlaneKind.KERNEL

SOUND = [
    ((WEB,), Sharing.ALONE, (ENVOY, DETECT)),
    ((WEB, LLM), Sharing.REQUEST, (ENVOY,)),
    ((replace(WEB, tls=TLS), on("https", tls=TLS, module_type=ModuleType.AILB)), Sharing.REQUEST, (ENVOY,)),
    ((on("https", "a"), on("https", "b")), Sharing.HELLO, (ENVOY, DETECT)),
    ((on("https", "a"), on("https", "*.a"), on("https")), Sharing.HELLO, (ENVOY, DETECT)),
    ((on("https", "a", alpn=("h2",)), on("https", "a")), Sharing.HELLO, (ENVOY, DETECT)),
    ((on("https", "a", tls=TLS), on("tcp")), Sharing.HELLO, (ENVOY,)),
    ((on("https", "a", tls=TLS), on("https", tls=TLS)), Sharing.HELLO, (ENVOY,)),
    ((on("http", "a", tls=TLS), on("http", "b", tls=TLS)), Sharing.HELLO, (ENVOY,)),
    (SEVEN, Sharing.BYTES, (DETECT,)),
    ((*SEVEN, on("tcp"), on("rtmps", "live.example")), Sharing.BYTES, (DETECT,)),
    ((on("https"), on("tcp")), Sharing.BYTES, (DETECT,)),
    ((on("https", "a"), WEB), Sharing.BYTES, (DETECT,)),
    (tuple(replace(listener, data_plane=DETECT) for listener in SEVEN), Sharing.BYTES, (DETECT,)),
    (tuple(replace(on("https", name), data_plane=DETECT) for name in "ab"), Sharing.HELLO, (DETECT,)),
]


@pytest.mark.parametrize(("group", "sharing", "planes"), SOUND)
def test_sound_groups_and_who_carries_them(group, sharing, planes):
    listeners = at(*group)
    assert list(check_listeners(listeners)) == []
    (port,) = share(listeners)
    assert (port.listeners, port.sharing) == (tuple(listeners), sharing)
    assert able_planes(port) == planes


def test_tcp_and_udp_ports_are_different_ones_and_addresses_are_compared_as_such():
    listeners = at(on("udp"), on("tcp"), replace(WEB, host="::1"), replace(LLM, host="0:0::1"))
    assert [len(port.listeners) for port in share(listeners)] == [1, 1, 2]
    assert list(check_listeners(listeners)) == []


FAULTS = [
    ((WEB, WEB), ["[1].module"], "the same as listeners[0].module; at one address it tells HTTP listeners apart"),
    ((WEB, LLM, LLM), ["[2].module"], "the same as listeners[1].module"),
    ((WEB, replace(LLM, idle_timeout=5.0)), ["[1].idle_timeout"], "differs from listeners[0].idle_timeout"),
    ((WEB, replace(LLM, tls=TLS)), ["[1].tls"], "differs from listeners[0].tls, at the same address"),
    ((WEB, replace(LLM, deny=("10.0.0.0/8",))), ["[1].deny"], "differs from"),
    ((WEB, replace(LLM, data_plane=ENVOY)), ["[1].data_plane"], "differs from"),
    (
        (on("https", "a"), on("https", "b", allow=("::1",), max_connections=3, proxy_protocol=True)),
        ["[1].proxy_protocol", "[1].allow", "[1].max_connections"],
        "differs from",
    ),
    ((on("https", "a", "b"), on("https", "c", "B")), ["[1].server_names"], "takes TLS hellos that listeners[0] takes"),
    ((on("https", alpn=("h2",)), on("https", alpn=("x", "h2"))), ["[1].alpn"], "no name and alpn may be in both"),
    ((on("https"), on("https")), ["[1].address"], "takes TLS hellos that listeners[0] takes"),
    ((on("udp"), on("udp")), ["[1].address"], "over UDP nothing tells their clients apart"),
    ((on("tcp"), on("tcp")), ["[1].protocol"], "takes everything else, which listeners[0] takes already"),
    ((on("redis"), on("redis")), ["[1].protocol"], "takes Redis, which listeners[0] takes already"),
    ((on("redis"), WEB, on("grpc")), ["[2].protocol"], "takes HTTP, which listeners[1] takes already"),
    ((on("redis"), on("hls")), ["[1].protocol"], "clients of hls cannot be told from others"),
    ((on("redis"), on("https"), on("rtmps")), ["[2].address"], "takes TLS hellos that listeners[1] takes"),
    ((on("redis"), on("https", tls=TLS)), ["[1].tls"], "the detect data plane does not end TLS"),
    (
        tuple(replace(listener, data_plane=ENVOY) for listener in SEVEN),
        ["[0].data_plane"],
        "only detect tells listeners apart by their first bytes, as at 0.0.0.0:443",
    ),
    (
        tuple(replace(listener, data_plane=DETECT) for listener in (WEB, LLM)),
        ["[0].data_plane"],
        "only envoy tells listeners apart by HTTP request",
    ),
    (
        tuple(replace(on("https", name), data_plane=KERNEL) for name in "ab"),
        ["[0].data_plane"],
        "only envoy or detect tells listeners apart by their TLS hello",
    ),
    (
        tuple(replace(listener, max_connections_per_source=1) for listener in (WEB, LLM)),
        ["[0].max_connections_per_source", "[1].max_connections_per_source"],
        "Envoy cannot count connections by source",
    ),
    (
        (on("https", "a", max_connections_per_source=1), on("tcp", tls=TLS, max_connections_per_source=1)),
        ["[0].data_plane"],
        "no data plane can do all of it: envoy: Envoy cannot",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("group", "paths", "message"), FAULTS)
def test_each_fault_is_told_once_at_its_path(group, paths, message):
    problems = list(check_listeners(at(*group)))
    assert [problem.path for problem in problems] == [f"listeners{path}" for path in paths]
    assert message in problems[0].message


ROUTE = Route("r", module_type=ModuleType.AILB)


@pytest.mark.parametrize(
    ("group", "route", "path"),
    [
        ((WEB, LLM), ROUTE, None),
        ((WEB, LLM), replace(ROUTE, sources=("10.0.0.0/8",)), "routes[0].sources"),
        ((WEB, LLM), replace(ROUTE, source_port=7), "routes[0].source_port"),
        ((WEB, LLM), replace(ROUTE, sources=("10.0.0.0/8",), destination_port=1), None),
        ((WEB, LLM), replace(ROUTE, sources=("10.0.0.0/8",), module_type=None), None),
        ((WEB,), replace(ROUTE, sources=("10.0.0.0/8",)), None),
    ],
)
def test_clients_do_not_tell_listeners_apart(group, route, path):
    problems = list(check_choosing(at(*group), [route]))
    assert [problem.path for problem in problems] == ([path] if path else [])


# of which most groups make sense
SPEAKERS = [
    WEB, LLM, on("grpc"), on("https"), on("https", "a"), on("https", "a", alpn=("h2", "x")), on("https", "*.a", "b"),
    on("https", alpn=("h2",)), on("http", "c", tls=TLS), on("rtmps", "d", "b"), on("tcp"), on("tcp", "e"),
    on("redis"), on("redis", "f"), on("mysql"), on("postgres"), on("rtmp"), on("hls"),
]  # fmt: skip
PLANES = st.sampled_from([DataPlaneKind.AUTO, DataPlaneKind.AUTO, *DataPlaneKind])


@given(
    st.lists(st.sampled_from(SPEAKERS), min_size=1, max_size=5, unique=True),
    PLANES,
    st.sampled_from([0, 0, 1]),
)
def test_what_is_sound_is_told_apart_and_carried(group, plane, per_source):
    listeners = at(
        *(replace(item, data_plane=plane, max_connections_per_source=per_source) for item in group)
    )
    if any(check_listeners(listeners)):
        return
    for port in share(listeners):
        assert able_planes(port)
        if port.sharing in {Sharing.HELLO, Sharing.BYTES}:
            # every listener is somebody's: what it claims finds it, and only it
            in_tls = [item for item in port.listeners if speech_of(item) is Speech.TLS]
            for item in in_tls:
                for name, protocol in claims(item):
                    assert find_by_hello(in_tls, name.replace("*", "x"), [protocol]) is item
            others = [speech_of(item) for item in port.listeners if item not in in_tls]
            assert len(others) == len(set(others))
