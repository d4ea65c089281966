"""Commands of clients: what is refused before anything is held for it, and what comes in parts."""

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.commands import Kind, blocks, keys, kind_of
from marchproxy.wire.redis.requests import Requests


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"*2\r\n$3\r\nGET\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1048577\r\n$3\r\nGET\r\n", "invalid multibulk length"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", "begin with its length"),
        (b"*1\r\n$0\r\n\r\n", "empty or too long"),
        (b"*1\r\n$129\r\n", "empty or too long"),
        (b"*-2\r\n", "neither with a number"),
        (b"x" * 65536, "too big inline request"),
        (b'set "a', None),
        (b'set "a\r\n', "unbalanced quotes"),
        (b"PING\r\n*0\r\n" * 100, "too many inline commands"),
    ],
)
def test_refused(data, words):
    requests = Requests(longest=1024)
    if words is None:
        assert requests.feed(data)[1] == []
        return
    with pytest.raises(ProtocolFault, match=words):
        requests.feed(data)


def test_what_is_long_goes_on_before_it_is_complete():
    requests = Requests(longest=1024)
    head = b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$5000\r\nab"
    assert requests.feed(head) == (head, [(b"SET", 0, len(head), False)])
    assert requests.feed(b"c" * 4998)[1] == [(b"", 0, 4998, False)]
    data, found = requests.feed(b"\r\n*1\r\n$4\r\nping\r\n")
    assert found == [(b"", 0, 2, True), (b"PING", 2, len(data), True)]
    assert requests.between


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (b"GET a", b"a"),
        (b"MSET a 1 b 2", b"a b"),
        (b"EVAL x 2 a b c", b"a b"),
        (b"EVAL x many a", b""),
        (b"BLPOP a b 0", b"a b"),
        (b"BITOP AND d a b", b"d a b"),
        (b"XREAD COUNT 2 STREAMS a b 0 0", b"a b"),
        (b"RENAME a b", b"a b"),
        (b"OBJECT ENCODING a", b"a"),
        (b"ZADD a 1 m", b"a"),
        (b"PING hello", b""),
    ],
)
def test_keys(words, expected):
    assert keys(words.split()) == expected.split()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"GET", Kind.READ),
        (b"SET", Kind.WRITE),
        (b"SCAN", Kind.WRITE),  # a cursor means nothing to another server
        (b"NOSUCH", Kind.WRITE),
        (b"WATCH", Kind.TRANSACTION),
        (b"BLPOP", Kind.BLOCKING),
        (b"SUBSCRIBE", Kind.STREAM),
        (b"SHUTDOWN", Kind.OPERATOR),
    ],
)
def test_kinds(name, kind):
    assert kind_of(name) is kind


def test_a_stream_that_is_called_block_does_not_block():
    assert not blocks(b"XREAD STREAMS block 0".split())
    assert blocks(b"XREAD block 0 STREAMS s 0".split())
