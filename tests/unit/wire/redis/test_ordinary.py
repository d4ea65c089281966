"""What most reads hold is told by one match, and nothing else is taken for it."""

import pytest

from marchproxy.wire.redis.commands import APART
from marchproxy.wire.redis.ordinary import NAMES, count_commands, end_of_replies
from marchproxy.wire.redis.values import encode

GET, SET = encode([b"GET", b"k" * 16]), encode([b"set", b"k", b"v" * 99])


def test_nothing_that_is_more_than_a_read_or_a_write_is_ordinary():
    assert not NAMES & APART


@pytest.mark.parametrize("name", sorted(NAMES))
def test_ordinary_names(name):
    assert count_commands(encode([name, b"a"])) == 1
    assert count_commands(encode([name.lower(), b"a", b"b", b"\r\n"])) == 1


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (GET, 1),
        (GET * 1000, 1000),
        ((GET + SET) * 8, 16),
        (b"", 0),
        (GET + GET[:-1], 0),
        (GET + b"\r\n", 0),
        (GET + encode([b"MULTI"]), 0),
        (GET + encode([b"SUBSCRIBE", b"a"]), 0),
        (encode([b"Get", b"a"]), 0),  # nobody writes it so
        (encode([b"GETX", b"a"]), 0),
        (encode([b"GET"]), 0),
        (encode([b"GET", b""]), 0),
        (encode([b"SET", b"k", b"v" * 100]), 0),
        (encode([b"SET", b"k", b"*"]), 0),
        (encode([b"SET", *[b"k"] * 4]), 0),
        (b"*2\r\n$3\r\nGET\r\n$2\r\nabc\r\n", 0),
        (b"*3\r\n$3\r\nGET\r\n$1\r\na\r\n", 0),
        (b"GET a\r\n", 0),
    ],
)
def test_commands(data, count):
    assert count_commands(data) == count


@pytest.mark.parametrize(
    ("data", "count", "end"),
    [
        (b"+OK\r\n", 1, 5),
        (b"+OK\r\n" * 37, 37, 185),
        (b"+OK\r\n" * 37, 30, 150),
        (b"$2\r\n\r\n\r\n:-12\r\n$-1\r\n_\r\n", 4, 22),
        (b"+OK\r\n" * 7, 8, -1),
        (b"+OK\r\n-ERR x\r\n", 2, -1),
        (b"*1\r\n+a\r\n", 1, -1),
        (b">1\r\n+a\r\n", 1, -1),
        (b"$3\r\nab\r\n", 1, -1),
        (b"$100\r\n" + b"x" * 100 + b"\r\n", 1, -1),
    ],
)
def test_replies(data, count, end):
    assert end_of_replies(data, 0, count) == end
