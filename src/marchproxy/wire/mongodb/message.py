"""Messages: OP_MSG in and out, OP_QUERY and OP_REPLY of the first hello, OP_COMPRESSED opened and closed.

https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md,
https://github.com/mongodb/specifications/blob/master/source/compression/OP_COMPRESSED.md
"""

import struct
import zlib
from collections.abc import Mapping

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mongodb.bson import ObjectId, Value, document_end, encode
from marchproxy.wire.mongodb.framing import HEADER, Code

CHECKSUM, MORE_TO_COME, EXHAUST_ALLOWED = 1, 2, 1 << 16
_REQUIRED = 0xFFFF  # the bits that are an error to who does not know them
_FLAGS = struct.Struct("<I")
_INT32 = struct.Struct("<i")
_COMPRESSED = struct.Struct("<iiB")  # original opCode, uncompressed size without the header, compressor
_REPLY = struct.Struct("<Iqii")  # flags, cursor, starting from, number of documents
_SMALLEST = HEADER.size + 4 + 1 + 5
_ONE = struct.Struct("<12xiIBi")  # opCode, flags, kind of the first section, length of its document
ONE_AT = 21
_MSG, _SPECIAL = int(Code.MSG), _REQUIRED & ~MORE_TO_COME
_ANSWER = struct.Struct("<8xiiI")  # responseTo, opCode, flags
NOOP, ZLIB = 0, 2
_EMPTY = b"\0\0\0\0"


def code(message: bytes) -> int:
    """The opCode of a message."""
    return int.from_bytes(message[12:16], "little")


def request_id(message: bytes) -> int:
    """What its sender calls a message."""
    return _INT32.unpack_from(message, 4)[0]  # type: ignore[no-any-return]


def response_to(message: bytes) -> int:
    """Which message it answers."""
    return _INT32.unpack_from(message, 8)[0]  # type: ignore[no-any-return]


def check(message: bytes) -> None:
    """Raises ProtocolFault where a message is no OP_MSG, or too short for one."""
    if len(message) < _SMALLEST or code(message) != Code.MSG:
        raise ProtocolFault("not a whole OP_MSG")


def answered_by(message: bytes) -> tuple[int, int]:
    """Which message an OP_MSG answers, and its flags. Raises ProtocolFault as `check` does."""
    if len(message) >= _SMALLEST:
        answers, spoken, bits = _ANSWER.unpack_from(message)
        if spoken == _MSG:
            return answers, bits
    raise ProtocolFault("not a whole OP_MSG")


def flags(message: bytes) -> int:
    """The flags of an OP_MSG, which `check` found to be one."""
    return _FLAGS.unpack_from(message, 16)[0]  # type: ignore[no-any-return]


def flags_of_one(message: bytes) -> int:
    """The flags of an OP_MSG that is one document, from ONE_AT on, and nothing else; below 0: it is something else."""
    size = len(message)
    if size >= _SMALLEST:
        spoken, bits, kind, length = _ONE.unpack_from(message)
        if length == size - ONE_AT and not (kind or message[-1] or bits & _SPECIAL) and spoken == _MSG:
            return bits  # type: ignore[no-any-return]
    return -1


def body(message: bytes) -> tuple[int, int]:
    """From where to where in an OP_MSG its one document of kind 0 is. Raises ProtocolFault."""
    if flags_of_one(message) >= 0:
        return ONE_AT, len(message)
    check(message)
    bits = flags(message)
    if bits & _REQUIRED & ~(CHECKSUM | MORE_TO_COME):
        raise ProtocolFault(f"flags {bits:#x} of an OP_MSG are not known")
    at, end, found = 20, len(message) - 4 * (bits & CHECKSUM), None
    while at < end:
        kind = message[at]
        if kind == 0 and found is None:
            found = (at + 1, document_end(message, at + 1, end))
            at = found[1]
        elif kind == 1 and end - at > 5:
            size = _INT32.unpack_from(message, at + 1)[0]
            if not 5 <= size <= end - at - 1:
                raise ProtocolFault(f"a sequence of {size} bytes does not fit into its message")
            at += 1 + size
        else:
            raise ProtocolFault(f"a section of kind {kind} where none may be")
    if found is None:
        raise ProtocolFault("an OP_MSG without a command")
    return found


def without_checksum(message: bytes) -> bytes:
    """The same OP_MSG without its checksum, which would not hold when something is changed. Raises ProtocolFault."""
    check(message)
    bits = flags(message)
    if not bits & CHECKSUM:
        return message
    return _INT32.pack(len(message) - 4) + message[4:16] + _FLAGS.pack(bits & ~CHECKSUM) + message[20:-4]


def with_number(message: bytes, at: int, number: int) -> bytes:
    """The same message with other 64 bits at one place."""
    return message[:at] + number.to_bytes(8, "little", signed=True) + message[at + 8 :]


def build(document: Mapping[str, Value | ObjectId], *, number: int, answers: int = 0) -> bytes:
    """An OP_MSG; `answers` is the number of the request that it answers."""
    data = encode(document)
    return HEADER.pack(21 + len(data), number, answers, Code.MSG) + _EMPTY + b"\0" + data


def build_reply(document: Mapping[str, Value | ObjectId], *, number: int, answers: int) -> bytes:
    """An OP_REPLY, which is the answer to an OP_QUERY."""
    data = encode(document)
    head = HEADER.pack(HEADER.size + _REPLY.size + len(data), number, answers, Code.REPLY)
    return head + _REPLY.pack(8, 0, 0, 1) + data  # 8: AwaitCapable, as every server says


def query(message: bytes) -> tuple[str, int, int]:
    """The collection of an OP_QUERY, and from where to where its document is. Raises ProtocolFault."""
    zero = message.find(b"\0", 20, 20 + 256)
    if zero < 0:
        raise ProtocolFault("an OP_QUERY without a collection")
    start = zero + 9  # behind it the number to skip and the number to return
    return message[20:zero].decode(errors="replace"), start, document_end(message, start, len(message))


def inflated(message: bytes, *, longest: int) -> bytes:
    """What is in an OP_COMPRESSED, as the message that it was. Raises ProtocolFault; never makes more than `longest` bytes."""
    if len(message) < HEADER.size + _COMPRESSED.size:
        raise ProtocolFault("an OP_COMPRESSED is cut off")
    original, size, compressor = _COMPRESSED.unpack_from(message, HEADER.size)
    if original == Code.COMPRESSED or not 0 <= size <= longest - HEADER.size:
        raise ProtocolFault(f"an OP_COMPRESSED of {size} bytes; {longest} are allowed")
    data = message[HEADER.size + _COMPRESSED.size :]
    if compressor == ZLIB:
        data = _unpacked(data, size)
    elif compressor != NOOP:
        raise ProtocolFault(f"compressor {compressor} was not offered")
    if len(data) != size:
        raise ProtocolFault(f"an OP_COMPRESSED of {size} bytes holds another number of them")
    number, answers = request_id(message), response_to(message)
    return HEADER.pack(HEADER.size + size, number, answers, original) + data


def deflated(message: bytes) -> bytes:
    """A message as an OP_COMPRESSED, by zlib."""
    data = zlib.compress(message[HEADER.size :])
    length = HEADER.size + _COMPRESSED.size + len(data)
    head = HEADER.pack(length, request_id(message), response_to(message), Code.COMPRESSED)
    return head + _COMPRESSED.pack(code(message), len(message) - HEADER.size, ZLIB) + data


def _unpacked(data: bytes, size: int) -> bytes:
    packed = zlib.decompressobj()
    try:
        found = packed.decompress(data, size + 1)
    except zlib.error as error:
        raise ProtocolFault("an OP_COMPRESSED that is not zlib") from error
    if not packed.eof or packed.unused_data:
        raise ProtocolFault("an OP_COMPRESSED whose zlib has no end, or something behind it")
    return found
