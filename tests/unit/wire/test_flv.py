import pytest

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.flv import FlvReader, header, tag
from marchproxy.wire.rtmp.message import Message

SENT = [
    Message(18, 1, 0, b"metadata"),
    Message(9, 1, 0xFFFFFE, b"\x17" * 300),
    Message(8, 1, 0x1000000, b""),
    Message(9, 1, 0xFFFFFFFF, b"\x27" * 5000),
]
FILE = header() + b"".join(map(tag, SENT))


@pytest.mark.parametrize("size", [1, 2, 12, 13, 14, 100, 300, len(FILE)])
def test_what_is_written_is_read(size):
    reader, found = FlvReader(), []
    for at in range(0, len(FILE), size):
        found += reader.feed(FILE[at : at + size])
    assert found == SENT
    assert reader.between


@pytest.mark.parametrize("cut", range(1, 360))
def test_in_two_pieces(cut):
    reader = FlvReader()
    assert reader.feed(FILE[:cut]) + reader.feed(FILE[cut:]) == SENT


def test_the_header_says_what_is_in_the_file():
    assert header() == bytes.fromhex("464c5601 05 00000009 00000000")
    assert header(audio=False)[4] == 1
    assert header(video=False)[4] == 4


def test_a_tag_by_the_book():
    assert tag(Message(8, 1, 0x01020304, b"\xaf\x01")) == bytes.fromhex(
        "08 000002 020304 01 000000 af01 0000000d"
    )


def test_other_tags_are_left_out():
    assert FlvReader().feed(header() + tag(Message(15, 1, 0, b"x")) + tag(SENT[0])) == SENT[:1]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\0\0\0\x18ftypisom.....", "no FLV"),
        (b"FLV\x01\x05\0\0\0\x08" + bytes(4), "no FLV"),
        (header() + tag(Message(9 | 0x20, 1, 0, b"x")), "encrypted"),
        (header() + tag(Message(9, 1, 0, bytes(1001))), "1001 bytes; 1000"),
    ],
)
def test_what_is_no_flv_is_a_fault(data, why):
    with pytest.raises(ProtocolFault, match=why):
        FlvReader(longest=1000).feed(data)
