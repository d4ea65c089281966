"""Answers in HTTP/1.1 in any pieces, and any bytes at all."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.http1_answer import Answer

bodies = st.lists(st.binary(min_size=1, max_size=60), max_size=6)
START = b"HTTP/1.1 200 OK\r\n"


def _chunked(parts):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return START + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def _sized(parts):
    body = b"".join(parts)
    return START + b"content-length: %d\r\n\r\n" % len(body) + body


@given(bodies, st.sampled_from([_chunked, _sized]), st.lists(st.integers(0, 2000)))
def test_pieces_are_as_the_whole(parts, said, cuts):
    data = said(parts)
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    answer = Answer()
    found = [answer.receive(data[one:other]) for one, other in pairwise(places)]
    assert b"".join(found) == b"".join(parts)
    assert answer.ended
    assert not answer.extra


@given(
    st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from([START, _chunked([b"x"]), _sized([b"x"])])),
        max_size=5,
    )
)
def test_any_bytes_are_an_answer_or_a_fault(pieces):
    answer = Answer(longest=200)
    try:
        for piece in pieces:
            answer.receive(piece)
        answer.close()
    except ProtocolFault:
        pass
