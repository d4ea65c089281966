"""Ordinary: the commands and the replies of which most reads hold nothing else, told by one match. Pure.

Who finds something else goes the long way, which tells the same. The patterns have the lengths of short strings spelled out,
so that nothing is read twice, and no two ways through them fit the same bytes.
"""

import re
from collections.abc import Iterator

#: As clients write them: in capitals or not. All are reads or writes and no more; see `commands.APART`.
NAMES = frozenset(
    b"""
    GET SET DEL TTL INCR DECR HGET HSET HDEL HLEN MGET LLEN LPOP RPOP PTTL SADD SREM ZADD ZREM LPUSH RPUSH SCARD ZCARD
    SETEX SETNX GETEX HMGET HINCRBY ZRANK LRANGE EXISTS EXPIRE INCRBY DECRBY GETSET GETDEL STRLEN APPEND ZSCORE ZRANGE
    UNLINK PEXPIRE HGETALL HEXISTS SMEMBERS SISMEMBER ZINCRBY
    """.split()
)
#: Replies that are matched at once.
_MANY = 8


def _string(byte: bytes) -> bytes:
    """A string of 1 to 99 such bytes; more would take long to compile."""
    ways = (
        rb"%d(?:%b)" % (first, b"|".join([rb"\r\n%b{%d}" % (byte, first), *_longer(first, byte)]))
        for first in range(1, 10)
    )
    return rb"\$(?:%b)\r\n" % b"|".join(ways)


def _longer(first: int, byte: bytes) -> Iterator[bytes]:
    return (rb"%d\r\n%b{%d}" % (last, byte, 10 * first + last) for last in range(10))


def _names() -> bytes:
    by_length: dict[int, list[bytes]] = {}
    for name in sorted(NAMES):
        by_length.setdefault(len(name), []).extend((name, name.lower()))
    return rb"\$(?:%b)\r\n" % b"|".join(
        rb"%d\r\n(?:%b)" % (length, b"|".join(names)) for length, names in by_length.items()
    )


def _commands() -> bytes:
    """Any number of commands of two to four words."""
    name, word = _names(), _string(rb"[^*]")
    longer = rb"(?:3\r\n%b|4\r\n%b%b)" % (name, name, word)
    return rb"(?:\*(?:2\r\n%b|%b%b)%b)*+" % (name, longer, word, word)


_COMMANDS = re.compile(_commands())
_REPLY = rb"(?:%b|\+[A-Z]{1,16}\r\n|:-?[0-9]{1,19}\r\n|\$-1\r\n|_\r\n)" % _string(rb".")
_ONE_REPLY = re.compile(_REPLY, re.DOTALL)
_MANY_REPLIES = re.compile(rb"(?:%b){%d}+" % (_REPLY, _MANY), re.DOTALL)


def count_commands(data: bytes) -> int:
    """How many commands these bytes are; 0: something else, or the last one is not whole."""
    found = _COMMANDS.match(data)
    # none of their words has a star in it
    return data.count(b"*") if found is not None and found.end() == len(data) else 0


def end_of_replies(data: bytes, at: int, count: int) -> int:
    """Where so many replies end that begin there; below 0: there is something else among them, or not all of them."""
    while count:
        many = count >= _MANY
        found = (_MANY_REPLIES if many else _ONE_REPLY).match(data, at)
        if found is None:
            return -1
        at = found.end()
        count -= _MANY if many else 1
    return at
