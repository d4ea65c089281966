from dataclasses import replace

import pytest

from marchproxy.contract.fleet.explaining.question import NotAQuestion, Question, read_question
from marchproxy.contract.pb import types_pb2


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        ("http://10.0.0.1:8000/a/b?q=1", [], Question("http", "10.0.0.1", 8000, "/a/b", query="q=1")),
        ("http://shop.example", [], Question("http", "shop.example", 80, "/")),
        ("https://shop.example/x", [], Question("https", "shop.example", 443, "/x")),
        ("tcp://10.0.0.1:5432", [], Question("tcp", "10.0.0.1", 5432, "/")),
        ("postgresql://10.0.0.1:5432/db", [], Question("postgresql", "10.0.0.1", 5432, database="db")),
        (
            "mysql://an%20n@10.0.0.1:1/d?application_name=psql",
            [],
            Question("mysql", "10.0.0.1", 1, user="an n", database="d", application="psql"),
        ),
        ("redis://10.0.0.1:6379/3", [], Question("redis", "10.0.0.1", 6379, database="3")),
        ("rtmps://live.example:443", [], Question("rtmps", "live.example", 443, "/", sni="live.example")),
        ("rtmps://[::1]:443", [], Question("rtmps", "::1", 443, "/")),  # an address is no server name
        (
            "rtmp://live.example/live/eu/cam%201?key=a",
            [],
            Question(
                "rtmp", "live.example", 1935, "/live/eu/cam%201", query="key=a", app="live/eu", stream="cam 1"
            ),
        ),
        ("rtmp://live.example/live", [], Question("rtmp", "live.example", 1935, "/live", app="live")),
        ("hls://h:8088/live/a/", [], Question("hls", "h", 8088, "/live/a/", app="live", stream="a")),
        ("http://[::1]:8000/", [], Question("http", "::1", 8000, "/")),
        (
            "http://10.0.0.1:8000/",
            ["Host: shop.example:8000", "X-Beta:  yes "],
            Question("http", "shop.example", 8000, "/", "GET", {"x-beta": "yes"}),
        ),
    ],
)
def test_reads(url, headers, expected):
    assert read_question(url, "get", headers) == expected


@pytest.mark.parametrize(
    ("url", "headers", "words"),
    [
        ("shop.example/x", [], "write http://host:port/path"),
        ("ftp://shop.example/", [], "write http://host:port/path"),
        ("tcp://10.0.0.1", [], "which port?"),
        ("redis://10.0.0.1", [], "write redis://10.0.0.1:PORT"),
        ("http://10.0.0.1:99999/", [], "out of range"),
        ("http://10.0.0.1/", ["no colon"], 'write "name: value"'),
    ],
)
def test_refuses(url, headers, words):
    with pytest.raises(NotAQuestion, match=words):
        read_question(url, "GET", headers)


def test_a_request_as_messages():
    question = read_question("http://10.0.0.1:8000/a", "post", ["Host: shop.example", "X-Beta: yes"])
    to_nlb = question.for_nlb()
    assert to_nlb.dry_run
    assert dict(to_nlb.context) == {"method": "POST"}
    assert to_nlb.route.destination_port == 8000
    assert to_nlb.route.destination_pattern == "shop.example"
    assert dict(to_nlb.route.headers) == {"x-beta": "yes"}
    to_module = question.for_module(types_pb2.PROTOCOL_HTTP)
    # the path is taken as it is: one that begins with ~ is no regular expression
    assert to_module.route.path_match == types_pb2.PATH_MATCH_KIND_EXACT
    assert list(to_module.route.methods) == ["POST"]


@pytest.mark.parametrize(
    ("url", "protocol", "words"),
    [
        ("tcp://10.0.0.1:1", types_pb2.PROTOCOL_UNSPECIFIED, "a connection to 10.0.0.1:1"),
        ("mysql://10.0.0.1:1", types_pb2.PROTOCOL_MYSQL, "a mysql connection to 10.0.0.1:1"),
        ("udp://10.0.0.1:1", types_pb2.PROTOCOL_UDP, "a udp connection to 10.0.0.1:1"),
        ("https://a:1/x", types_pb2.PROTOCOL_HTTPS, "GET https://a:1/x"),
    ],
)
def test_the_scheme_is_the_protocol(url, protocol, words):
    question = read_question(url, "get", [])
    assert question.for_nlb().route.protocol == protocol
    assert question.in_words() == words


def test_what_else_is_known_goes_along():
    question = read_question("https://10.0.0.1:1/x", "get", [], sni="shop.example", client="192.0.2.1")
    known = {"method": "GET", "sni": "shop.example", "client": "192.0.2.1"}
    assert dict(question.for_nlb().context) == known
    assert question.in_words() == "GET https://10.0.0.1:1/x with server name shop.example from 192.0.2.1"


def test_the_query_string_goes_along():
    question = read_question("http://a:1/x?q=1", "get", [], client="192.0.2.1")
    assert question.for_nlb().context["query"] == "q=1"
    assert question.in_words() == "GET http://a:1/x?q=1 from 192.0.2.1"
    asked = question.for_module(types_pb2.PROTOCOL_HTTP)
    assert (asked.route.path_pattern, asked.context["query"]) == ("/x", "q=1")
    assert asked.context["client"] == "192.0.2.1"
    assert read_question("http://a:1/x?q=1", "get", [], query="?v=2").query == "v=2"


def test_the_model_goes_to_the_module():
    question = replace(read_question("http://a:1/v1/messages", "post", []), model="fast")
    assert question.in_words() == "POST http://a:1/v1/messages for model fast"
    assert question.for_module(types_pb2.PROTOCOL_HTTP).context["model"] == "fast"


def test_a_module_is_asked_for_what_it_gets():
    question = read_question("https://shop.example/x", "get", [])
    assert question.for_module(types_pb2.PROTOCOL_HTTP).route.protocol == types_pb2.PROTOCOL_HTTP


def test_a_connection_asks_for_no_protocol_of_the_nlb_and_the_listeners_of_the_module():
    question = read_question("tcp://10.0.0.1:8000", "GET", [])
    assert question.for_nlb().route.protocol == types_pb2.PROTOCOL_UNSPECIFIED
    assert question.for_module(types_pb2.PROTOCOL_HTTP).route.protocol == types_pb2.PROTOCOL_HTTP


def test_who_a_client_of_a_database_is_goes_to_the_module():
    question = read_question("postgres://ann@10.0.0.1:5432/shop?application_name=psql", "GET", [])
    assert (
        question.in_words()
        == "a postgres connection to 10.0.0.1:5432 of user ann for database shop as application psql"
    )
    asked = question.for_module(types_pb2.PROTOCOL_POSTGRES)
    assert {key: asked.context[key] for key in ("user", "database", "application")} == {
        "user": "ann",
        "database": "shop",
        "application": "psql",
    }
    assert asked.route.destination_port == 5432


def test_which_stream_is_asked_for_goes_to_the_module():
    question = read_question("rtmp://live.example/live/cam1?key=a", "GET", [], client="192.0.2.1")
    assert (
        question.in_words() == "an rtmp connection to live.example:1935 for stream live/cam1 from 192.0.2.1"
    )
    assert question.is_session
    assert question.for_nlb().route.destination_port == 1935
    asked = question.for_module(types_pb2.PROTOCOL_RTMP)
    assert {key: asked.context[key] for key in ("vhost", "app", "stream", "client")} == {
        "vhost": "live.example",
        "app": "live",
        "stream": "cam1",
        "client": "192.0.2.1",
    }
    listener = read_question("rtmp://live.example/", "GET", []).for_module(types_pb2.PROTOCOL_RTMP)
    assert not {"vhost", "app", "stream"}.intersection(listener.context)
