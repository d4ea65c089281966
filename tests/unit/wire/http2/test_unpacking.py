"""Heads are unpacked as hpack unpacks them, whatever they are."""

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import example, given
from hypothesis import strategies as st

from marchproxy.wire.http2.frames import Code, Http2Fault
from marchproxy.wire.http2.unpacking import Field, Unpacker

TABLE, LONGEST = 16_384, 65_536
NAMES = st.sampled_from([b":method", b":path", b"accept", b"x-request-id", b"x-ai-pool"]) | st.binary(
    max_size=200
)
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=12)


def theirs(decoder: Decoder, block: bytes) -> list[Field] | None:
    try:
        return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except (HPACKError, IndexError):
        return None


def ours(unpacker: Unpacker, block: bytes) -> list[Field] | None:
    try:
        return unpacker.decode(block)
    except Http2Fault:
        return None


def both() -> tuple[Decoder, Unpacker]:
    decoder = Decoder(LONGEST)
    decoder.max_allowed_table_size = TABLE
    return decoder, Unpacker(TABLE, LONGEST)


@given(
    heads=st.lists(FIELDS, max_size=30), huffman=st.booleans(), size=st.sampled_from([0, 100, 4096, TABLE])
)
def test_heads_of_an_encoder(heads: list[list[Field]], huffman: bool, size: int):
    decoder, unpacker = both()
    encoder = Encoder()
    for at, fields in enumerate(heads):
        if at == 1:
            encoder.header_table_size = size
        block = encoder.encode(fields, huffman=huffman)
        assert theirs(decoder, block) == fields
        assert ours(unpacker, block) == fields


@given(blocks=st.lists(st.binary(max_size=40), max_size=8))
@example([b"\x80"])  # no entry 0
@example([b"\xbe"])  # nothing is in the table
@example([b"\xff"])
@example([b"\x82\x20"])  # a size behind a field
@example([b"\x3f\xe1\x7f", b"\x3f\xe2\x7f"])  # the largest table, and one byte more
@example([b"\x40\x85\xff\xff\xff\xff\xff\x01a"])  # Huffman's code with an end in it
def test_bytes_that_mean_anything(blocks: list[bytes]):
    decoder, unpacker = both()
    for block in blocks:
        found = theirs(decoder, block)
        assert ours(unpacker, block) == found
        if found is None:
            return


def test_entries_far_back():
    decoder, unpacker = both()
    encoder = Encoder()
    encoder.header_table_size = TABLE
    fields = [(b"x-%d" % number, b"v") for number in range(200)]
    for _ in range(2):
        block = encoder.encode(fields)
        assert unpacker.decode(block) == theirs(decoder, block) == fields


@pytest.mark.parametrize(
    ("block", "code"),
    [
        (b"\xff\x80\x80\x80\x80\x80\x01", Code.COMPRESSION_ERROR),
        (b"\x00\x7f\x80\x80\x80\x80\x0fa", Code.COMPRESSION_ERROR),
        (b"\x00\x01a\x05b", Code.COMPRESSION_ERROR),
        (b"\x00\x01a\x01b" * 2000, Code.ENHANCE_YOUR_CALM),
    ],
)
def test_what_is_refused(block: bytes, code: Code):
    with pytest.raises(Http2Fault) as caught:
        both()[1].decode(block)
    assert caught.value.code is code
