"""Keys of streams, and which routes one stream could be either's; see also the checks' tests."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.route import Route
from marchproxy.model.rtmp import RtmpRoute
from marchproxy.model.streams import (
    StreamKey,
    key_fault,
    parameters,
    precision,
    read_key,
    stream_ties,
    streams_meet,
    takes,
)

KEY = StreamKey("live.example", "live", "cam1")


@pytest.mark.parametrize(
    ("named", "text", "query"),
    [
        (("rtmp://live.example/live", "live", "cam1"), "live.example/live/cam1", ""),
        (("rtmp://Live.Example:1935/live", "live", "cam1"), "live.example/live/cam1", ""),
        (("rtmps://[2001:DB8::1]:1936/live", "live/", "cam1"), "2001:db8::1/live/cam1", ""),
        (("rtmp://h/a?x=1", "a?x=1", "s?y=2"), "h/a/s", "y=2&x=1"),
        (("rtmp://h/a?x=1", "a", "s?"), "h/a/s", "x=1"),
        (("rtmp://h/a/b", "a/b", "c/d"), "h/a/b/c/d", ""),
        (("rtmp://h/a", "a", "//s"), "h/a/s", ""),
        (("rtmp://h/a", "a", ""), "h/a/", ""),
        (("rtmp://h:port/a", "a", "s"), "h/a/s", ""),
        (("rtmp://[h/a", "a", "s"), "/a/s", ""),
        (("", "", ""), "//", ""),
        (("rtmp://h/a", "a", "s?a=?b"), "h/a/s", "a=?b"),
    ],
)
def test_a_key_is_read_of_what_a_client_names(named, text, query):
    key, read = read_key(*named)
    assert (key.text, read) == (text, query)


def test_no_two_keys_have_the_same_text():
    key, _ = read_key("rtmp://h/a", "a", "b/c")
    assert key == read_key("rtmp://h/a/b", "a/b", "c")[0] == StreamKey("h", "a/b", "c")


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (KEY, ""),
        (StreamKey("", "a/b", "é 1.2"), ""),
        (StreamKey("h", "", "s"), "the app is empty"),
        (StreamKey("h", "a", ""), "the stream name is empty"),
        (StreamKey("h", "a", "b/c"), "the stream name has a /"),
        (StreamKey("h", "a", ".."), "the stream name has a segment that is empty, or of dots alone"),
        (StreamKey("h", "a//b", "s"), "the app has a segment that is empty"),
        (StreamKey("h", "../b", "s"), "the app has a segment"),
        (StreamKey("..", "a", "s"), "the host has a segment"),
        (StreamKey("h", "a", "x" * 257), "the stream name has more than 256 characters"),
        (StreamKey("h", "a\n", "s"), "the app has a character that is none"),
        (StreamKey("h", "a", chr(0xDC80)), "the stream name has a character that is none"),
        (StreamKey("h", "a", "\ufffd"), "the stream name has a character that is none"),
    ],
)
def test_keys_that_no_stream_can_have(key, fault):
    assert key_fault(key).startswith(fault)
    assert bool(key_fault(key)) == bool(fault)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("key=a%20b&x=&key=c", {"key": "a b", "x": ""}),
        ("=&&", {"": ""}),
        ("&".join(f"k{number}=v" for number in range(65)), {}),
    ],
)
def test_parameters(query, expected):
    assert parameters(query) == expected


ANYTHING = st.text(st.sampled_from("aB/?&=.:@[]%#\0é\ud800 ")) | st.text()


@given(ANYTHING | ANYTHING.map(lambda rest: f"rtmp://{rest}"), ANYTHING, ANYTHING)
def test_whatever_a_client_says_is_read(tc_url, app, name):
    key, query = read_key(tc_url, app, name)
    assert isinstance(parameters(query), dict)
    if not key_fault(key):
        assert key.text.encode().decode() == key.text
        assert key.text.split("/")[0] == key.vhost
        assert key.text.rpartition("/")[2] == key.name
        assert read_key(f"rtmp://h/{key.app}", key.app, key.name)[0] == replace(key, vhost="h")


def route(port=0, sources=(), **options):
    return Route(
        "r", protocol=Protocol.RTMP, destination_port=port, sources=sources, rtmp=RtmpRoute(**options)
    )


@pytest.mark.parametrize(
    ("one", "taken"),
    [
        (Route("r", protocol=Protocol.RTMP), True),
        (route(vhosts=("*.example",), apps=("live",), streams=("cam?",)), True),
        (route(vhosts=("live",)), False),
        (route(apps=("live*",)), True),
        (route(apps=("live/*",)), False),
        (route(streams=("cam2", "cam[3-9]")), False),
        (route(port=1935), True),
        (route(port=1936), False),
        (route(sources=("192.0.2.0/24",)), True),
        (route(sources=("10.0.0.0/8",)), False),
    ],
)
def test_what_a_route_takes(one, taken):
    assert takes(one, KEY, "192.0.2.7", 1935) == taken


def test_who_has_not_said_where_from_is_no_client_of_a_network():
    assert not takes(route(sources=("0.0.0.0/0",)), KEY)
    assert not takes(route(port=1935), KEY)


def test_what_goes_first():
    plain = Route("r", protocol=Protocol.RTMP)
    assert precision(plain) == (0, 0)
    assert precision(Route("r", priority=-1, sources=("::/0",), destination_port=1)) == (-1, 2)
    assert precision(route(vhosts=("a", "b"), apps=("*",), streams=("c",))) == (0, 3)


NAMES = ["a", "ab", "abc", "b", "a*", "ab*", "*c", "?", "a?", "[ab]", "*", "b[", "a/b"]


def routes_of(chance, number):
    def names():
        return tuple(dict.fromkeys(chance.choices(NAMES, k=chance.randrange(3))))

    options = [None, RtmpRoute(names(), names()), RtmpRoute((), names(), names()), RtmpRoute(streams=names())]
    return [
        Route(
            f"r{index}",
            protocol=Protocol.RTMP,
            destination_port=chance.choice([0, 0, 1, 12]),
            rtmp=chance.choice(options),
        )
        for index in range(number)
    ]


def test_the_quick_way_finds_what_comparing_all_finds():
    chance = random.Random(3)
    for _ in range(300):
        routes = routes_of(chance, 8)
        compared = [
            (next(first for first in routes[:index] if streams_meet(first, one)), one)
            for index, one in enumerate(routes)
            if any(streams_meet(first, one) for first in routes[:index])
        ]
        assert list(stream_ties(routes)) == compared
    assert list(stream_ties([])) == []


@pytest.mark.parametrize("protocol", [Protocol.RTMP, Protocol.RTMPS, Protocol.HLS, Protocol.DASH])
def test_streams_are_for_one_kind_of_module(protocol):
    assert Route("r", protocol=protocol).only_for is ModuleType.RTMP
