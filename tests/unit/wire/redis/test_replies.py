"""Replies of servers: where they end, and what is none."""

import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.redis.replies import Replies

REPLIES = [
    b"+OK\r\n",
    b"-ERR x\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$4\r\n\r\n\r\n\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
    b"%1\r\n+a\r\n~2\r\n#t\r\n_\r\n",
    b"*?\r\n:1\r\n*0\r\n.\r\n",
    b"$?\r\n;1\r\na\r\n;0\r\n",
    b"|1\r\n+ttl\r\n:5\r\n$1\r\nv\r\n",
    b"*1\r\n|1\r\n+a\r\n:1\r\n:2\r\n",
    b"|0\r\n+OK\r\n",
]


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_one_reply_ends_once(reply, step):
    machine, ends, offset = Replies(), [], 0
    for at in range(0, len(reply), step):
        data, found = machine.feed(reply[at : at + step])
        ends += [offset + end for end in found]
        offset += len(data)
    assert ends == [len(reply)]
    assert machine.between


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b".\r\n",
        b";1\r\n",
        b"$x\r\n",
        b"*-2\r\n",
        b"$9999999999999\r\n",
        b"+" * 65536,
        b"*1\r\n" * 200,
        b"*?\r\n;0\r\n",
    ],
)
def test_garbage(data):
    with pytest.raises(ProtocolFault):
        Replies().feed(data)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_errors_and_what_nobody_asked_for_are_told_apart(step):
    data, machine, found, before = b"+OK\r\n-ERR x\r\n*1\r\n-inner\r\n>1\r\n+a\r\n-E\r\n", Replies(), [], 0
    for at in range(0, len(data), step):
        _, ends = machine.feed(data[at : at + step])
        found += [(chr(first), before + number) for first, _, number in machine.odd]
        before += len(ends)
    assert found == [("-", 1), (">", 3), ("-", 4)]
