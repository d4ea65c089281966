"""Redis' protocol in any pieces, and any bytes at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.commands import keys
from marchproxy.wire.redis.ordinary import count_commands, end_of_replies
from marchproxy.wire.redis.replies import Replies
from marchproxy.wire.redis.requests import Requests, split_line
from marchproxy.wire.redis.values import encode, read, words_of

texts = st.binary(max_size=40).filter(lambda text: b"\r" not in text and b"\n" not in text)
scalars = st.one_of(
    texts.map(lambda text: b"+%b\r\n" % text),
    texts.map(lambda text: b"-%b\r\n" % text),
    st.integers().map(lambda number: b":%d\r\n" % number),
    st.binary(max_size=300).map(lambda text: b"$%d\r\n%b\r\n" % (len(text), text)),
    st.lists(st.binary(min_size=1, max_size=20)).map(
        lambda parts: b"$?\r\n" + b"".join(b";%d\r\n%b\r\n" % (len(part), part) for part in parts) + b";0\r\n"
    ),
    st.sampled_from(
        [b"_\r\n", b"#t\r\n", b",1.5\r\n", b"$-1\r\n", b"*-1\r\n", b"(123\r\n", b"=5\r\ntxt:a\r\n"]
    ),
)


def aggregates(inner):
    return st.one_of(
        st.builds(
            lambda kind, items: b"%b%d\r\n" % (kind, len(items)) + b"".join(items),
            st.sampled_from([b"*", b"~", b">"]),
            st.lists(inner, max_size=4),
        ),
        st.lists(inner, max_size=4).map(lambda items: b"*?\r\n" + b"".join(items) + b".\r\n"),
        st.lists(st.tuples(inner, inner), max_size=3).map(
            lambda items: b"%%%d\r\n" % len(items) + b"".join(a + b for a, b in items)
        ),
        st.tuples(st.lists(st.tuples(scalars, scalars), max_size=2), inner).map(
            lambda one: b"|%d\r\n" % len(one[0]) + b"".join(a + b for a, b in one[0]) + one[1]
        ),
    )


replies = st.recursive(scalars, aggregates, max_leaves=10)
commands = st.lists(st.binary(max_size=60), max_size=5).map(lambda words: [b"Name", *words])


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(st.lists(replies, max_size=6), st.lists(st.integers(0, 60), max_size=20))
def test_replies_end_where_they_end_however_they_come(wanted, sizes):
    machine, seen, offset, ends = Replies(), b"", 0, []
    for piece in cut(b"".join(wanted), sizes):
        data, found = machine.feed(piece)
        ends += [offset + end for end in found]
        seen, offset = seen + data, offset + len(data)
    assert seen == b"".join(wanted)
    assert ends == [sum(map(len, wanted[: at + 1])) for at in range(len(wanted))]
    assert machine.between


@given(st.lists(commands, max_size=6), st.lists(st.integers(0, 60), max_size=20), st.integers(1, 3))
def test_commands_come_whole_or_in_parts(wanted, sizes, factor):
    wanted = [[*words, b"x" * 700 * factor] for words in wanted]  # above and below what is held back
    machine, found, open_one = Requests(longest=1024), [], b""
    for piece in cut(b"".join(map(encode, wanted)), sizes):
        data, requests = machine.feed(piece)
        for name, start, end, whole in requests:
            assert (not name) == bool(open_one)
            open_one += data[start:end]
            if whole:
                found.append(open_one)
                open_one = b""
    assert found == list(map(encode, wanted))
    assert machine.between


few = st.sampled_from(
    [b"GET", b"set", b"Get", b"hset", b"MULTI", b"a", b"x*", b"*2\r\n", b"y" * 99, b"y" * 100, b""]
)
often = st.lists(st.lists(few, min_size=1, max_size=5).map(encode), min_size=1, max_size=20).map(b"".join)


@given(often, st.integers(0, 200), st.none() | st.integers(0, 255))
def test_what_one_match_tells_of_commands_the_long_way_tells(data, at, byte):
    if byte is not None:
        data = data[:at] + bytes((byte,)) + data[at + 1 :]
    if count := count_commands(data):
        after, requests = Requests(longest=1024).feed(data)
        assert after == data
        assert len(requests) == count
        assert requests[-1][2] == len(data)
        assert all(whole for *_, whole in requests)


simple = st.one_of(
    st.sampled_from([b"+OK\r\n", b"$-1\r\n", b":-5\r\n", b"$2\r\n\r\n\r\n", b"$10\r\n0123456789\r\n"]),
    replies,
)


@given(st.lists(simple, min_size=1, max_size=20).map(b"".join), st.integers(1, 20), st.binary(max_size=3))
def test_what_one_match_tells_of_replies_the_long_way_tells(data, count, more):
    data += more
    end = end_of_replies(data, 0, count)
    if end >= 0:
        machine = Replies()
        assert machine.feed(data[:end])[1][-1:] == [end]
        assert machine.between
        assert not machine.odd
        assert len(Replies().feed(data[:end])[1]) == count


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_break_more_than_the_connection(pieces):
    for machine in (Requests(longest=1024), Replies()):
        try:
            for piece in pieces:
                data, found = machine.feed(piece)
                for event in found:
                    start, end = event[1:3] if isinstance(event, tuple) else (0, event)
                    assert 0 <= start <= end <= len(data)
        except ProtocolFault:
            continue


@given(st.text(alphabet="*$%|~>;.+-:?0129\r\nGET", max_size=80).map(str.encode))
def test_nor_do_bytes_that_look_like_it(data):
    test_no_bytes_break_more_than_the_connection.hypothesis.inner_test([data[:7], data[7:]])


@given(st.lists(st.binary(min_size=1, max_size=10), min_size=1, max_size=6))
def test_keys_are_words(words):
    words = [words[0].upper(), *words[1:]]
    assert set(keys(words)) <= set(words[1:])
    assert words_of(encode(words)) == words
    assert read(encode(words)) == (words, len(encode(words)))


@pytest.mark.parametrize(
    ("line", "words"),
    [(b'set "a\\x41\\n" b', [b"set", b"aA\n", b"b"]), (b"get 'it\\'s'", [b"get", b"it's"]), (b"  ", [])],
)
def test_lines_are_split_as_redis_splits_them(line, words):
    assert split_line(line) == words
