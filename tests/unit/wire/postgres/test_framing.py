"""Messages are found in a stream however it is cut, and rows are not held back."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.postgres.encode import message
from marchproxy.wire.postgres.framing import Framer, Interest

INTERESTS = {ord("D"): Interest.STEP_OVER, ord("Q"): Interest.NOTE, ord("Z"): Interest.WHOLE}
messages = st.lists(st.tuples(st.sampled_from([b"D", b"Q", b"Z"]), st.binary(max_size=20)), max_size=8)


def framer(longest: int = 64) -> Framer:
    return Framer(INTERESTS, longest=longest)


@given(messages, st.lists(st.integers(1, 30)))
def test_any_cut_gives_the_same(sent, cuts):
    stream = b"".join(message(kind, body) for kind, body in sent)
    one, seen, passed, at = framer(), [], b"", 0
    for size in [*cuts, len(stream)]:
        data, events = one.feed(stream[at : at + size])
        at += size
        passed += data
        for kind, start, end in events:
            seen.append((bytes((kind,)), data[start:end] if kind == ord("Z") else None))
    assert passed == stream
    assert one.between
    wanted = [(kind, message(kind, body) if kind == b"Z" else None) for kind, body in sent if kind != b"D"]
    assert seen == wanted


def test_a_row_goes_on_before_it_is_complete():
    one, row = framer(), message(b"D", b"x" * 1000)
    assert one.feed(row[:100]) == (row[:100], [])
    assert not one.between
    assert one.feed(row[100:]) == (row[100:], [])
    assert one.between


def test_what_must_be_whole_is_held_back():
    one, answer = framer(), message(b"Z", b"I")
    assert one.feed(b"D\0\0\0\4" + answer[:5]) == (b"D\0\0\0\4", [])
    assert not one.between
    assert one.feed(answer[5:]) == (answer, [(ord("Z"), 0, 6)])


def test_a_note_comes_when_its_message_begins():
    one, query = framer(), message(b"Q", b"x" * 100)
    assert one.feed(query[:50]) == (query[:50], [(ord("Q"), 0, 50)])
    assert one.feed(query[50:]) == (query[50:], [])


@pytest.mark.parametrize(
    "data",
    [
        b"?\0\0\0\4",
        b"D\0\0\0\3",
        b"D\0\0\0\0",
        b"D" + struct.pack("!I", 2**30),
        b"D" + struct.pack("!I", 2**32 - 1),
        b"Z" + struct.pack("!I", 65),  # longer than may be held back
    ],
)
def test_faults(data):
    with pytest.raises(ProtocolFault):
        framer().feed(data)
