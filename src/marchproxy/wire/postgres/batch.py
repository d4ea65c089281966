"""Batch: the one request of the extended protocol that clients send most of the time, told in one look. Pure.

A Bind of the unnamed portal, often a Describe of it, an Execute of all of it and a Sync, sent at once; before them a Parse of
the unnamed statement, or none.
"""

import struct

from marchproxy.wire.postgres.encode import SYNC, message

_PARSE, _BIND = b"PB"
_EXECUTED = message(b"E", b"\0\0\0\0\0") + SYNC
_DESCRIBE = message(b"D", b"P\0")
#: The type, the length and the first byte behind them: whether the portal, or the statement to prepare, has a name.
_HEADER = struct.Struct("!BIB")
_NAME = _HEADER.size


#: Where the Bind begins, which is where a Parse ends; its length; where the name of its statement ends; whether there is a
#: Describe. No named tuple: one is made for each query.
Batch = tuple[int, int, int, bool]


def name_in(data: bytes, batch: Batch) -> bytes:
    """Of the statement that is bound."""
    bind, _, name_end, _ = batch
    return data[bind + _NAME : name_end]


def renamed(data: bytes, batch: Batch, name: bytes) -> bytes:
    """The same from the Bind on, but for the name of the statement."""
    bind, length, name_end, _ = batch
    length += len(name) + bind + _NAME - name_end
    return _HEADER.pack(_BIND, length, 0) + name + data[name_end:]


def read_batch(data: bytes) -> Batch | None:
    """What these bytes, which begin with a message, are; None: something else, or not all of it."""
    if not data.endswith(_EXECUTED):
        return None
    last, at = len(data) - len(_EXECUTED), 0
    if data[0] == _PARSE:
        _, length, named = _HEADER.unpack_from(data)
        at = 1 + length
        if named or not _NAME <= at < last:
            return None
    kind, length, named = _HEADER.unpack_from(data, at)
    end = at + 1 + length
    if kind != _BIND or named:
        return None
    described = end != last
    if described and not (end == last - len(_DESCRIBE) and data.startswith(_DESCRIBE, end)):
        return None
    name_end = data.find(0, at + _NAME, end)
    if name_end < 0 or (at and name_end != at + _NAME):
        return None
    return at, length, name_end, described
