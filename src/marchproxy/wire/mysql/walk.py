"""Walk: steps over an answer that came in one piece, which most do, in one loop. Pure.

What it does not know, it leaves to `flow`, which knows all.
"""

import struct

from marchproxy.wire.mysql.packets import FULL, HEAD

_WORD = struct.Struct("<I").unpack_from
_HALF = struct.Struct("<H").unpack_from
_OK, _EOF, _ERR, _NULL = 0x00, 0xFE, 0xFF, 0xFB
#: No whole answer, or one that must be looked at more closely.
UNKNOWN = -1


def whole_answer(data: bytes, *, short_eof: bool) -> int:
    """The server's status if these bytes are one OK, or one result from the count of its columns to its last row's end."""
    size = len(data)
    if size <= HEAD:
        return UNKNOWN
    length, first = _WORD(data, 0)[0] & FULL, data[HEAD]
    if first == _OK:
        return _status(data, 0, length)
    if length != 1 or first >= _NULL:
        return UNKNOWN
    at = HEAD + 1
    for _ in range(first + short_eof):  # columns, and the EOF behind them
        if size - at <= HEAD or data[at + HEAD] == _ERR:
            return UNKNOWN
        at += HEAD + (_WORD(data, at)[0] & FULL)
    return _behind_rows(data, at, short_eof=short_eof)


def _behind_rows(data: bytes, at: int, *, short_eof: bool) -> int:
    """The status behind the rows that begin here."""
    size = len(data)
    while size - at > HEAD:
        length, first = _WORD(data, at)[0] & FULL, data[at + HEAD]
        if first == _EOF:
            if not short_eof:
                return _status(data, at, length)
            return int(_HALF(data, at + HEAD + 3)[0]) if length == 5 and at + HEAD + 5 == size else UNKNOWN
        if first == _ERR or not 0 < length < FULL:
            break
        at += HEAD + length
    return UNKNOWN


def _status(data: bytes, at: int, length: int) -> int:
    """Of an OK that is the last packet, and whose numbers are small."""
    if at + HEAD + length != len(data) or length < 7:
        return UNKNOWN
    if data[at + HEAD + 1] >= _NULL or data[at + HEAD + 2] >= _NULL:
        return UNKNOWN
    return int(_HALF(data, at + HEAD + 3)[0])
