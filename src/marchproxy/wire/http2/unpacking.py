"""Unpacking: the fields of heads out of HPACK blocks (RFC 7541 §3.2, §5, §6).

The table and Huffman's code are the package hpack's. Its decoder makes a dozen calls for each field, and most fields are one byte.
"""

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from marchproxy.wire.http2.frames import Code, Http2Fault

_STATIC = HeaderTable.STATIC_TABLE
_STATIC_SIZE = len(_STATIC)
#: Of an entry, beside its bytes (§4.1).
_OVERHEAD = 32
#: Bits of a number; nothing here is longer.
_MOST_BITS = 35
_WHOLE_BYTE = 0x7F

Field = tuple[bytes, bytes]


class Unpacker:
    """One direction of a connection. `table`: bytes that it may be told to remember; `longest`: of a head, unpacked."""

    __slots__ = ("_largest", "_longest", "_table")

    def __init__(self, table: int, longest: int) -> None:
        self._largest = table
        self._longest = longest
        self._table = HeaderTable()

    def decode(self, block: bytes) -> list[Field]:
        """Raises Http2Fault: what comes next could not be understood any more."""
        try:
            return self._decode(block)
        except (HPACKError, IndexError) as error:  # the block ends too early, or the table has no such entry
            raise _broken(str(error)) from error

    def _decode(self, block: bytes) -> list[Field]:
        found: list[Field] = []
        entries = self._table.dynamic_entries
        at, end, left = 0, len(block), self._longest
        while at < end:
            first = block[at]
            if first & 0x80:
                index, at = (
                    (first & _WHOLE_BYTE, at + 1) if first != 0xFF else _number(block, at, _WHOLE_BYTE)
                )
                field = entries[index - _STATIC_SIZE - 1] if index > _STATIC_SIZE else _static(index)
            elif first & 0x40:
                field, at = self._literal(block, at, 0x3F)
                self._table.add(*field)
            elif first & 0x20:
                if found:
                    raise _broken("a table is resized behind a field")
                at = self._resize(block, at)
                continue
            else:
                field, at = self._literal(block, at, 0x0F)
            left -= _OVERHEAD + len(field[0]) + len(field[1])
            if left < 0:
                raise Http2Fault(Code.ENHANCE_YOUR_CALM, "a head that is too long")
            found.append(field)
        return found

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[Field, int]:
        index, at = _number(block, at, mask)
        if index > _STATIC_SIZE:
            name = self._table.dynamic_entries[index - _STATIC_SIZE - 1][0]
        elif index:
            name = _static(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at

    def _resize(self, block: bytes, at: int) -> int:
        size, at = _number(block, at, 0x1F)
        if size > self._largest:
            raise _broken(f"a table of {size} bytes")
        self._table.maxsize = size
        return at


def _static(index: int) -> Field:
    if not index:
        raise _broken("an entry 0")
    return _STATIC[index - 1]


def _number(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """A number whose prefix are the bits of `mask`, and where it ends (§5.1)."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, _MOST_BITS, 7):
        more = block[at]
        at += 1
        value += (more & _WHOLE_BYTE) << shift
        if more < 0x80:
            return value, at
    raise _broken("a number that is too long")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """§5.2."""
    is_packed = block[at] & 0x80
    size, at = _number(block, at, _WHOLE_BYTE)
    end = at + size
    if end > len(block):
        raise _broken("it ends too early")
    text = block[at:end]
    return (decode_huffman(text) if is_packed else text), end


def _broken(why: str) -> Http2Fault:
    return Http2Fault(Code.COMPRESSION_ERROR, f"a head that is no HPACK: {why}")
