"""HTTP/1.1 requests in any pieces, and any bytes at all."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.http1 import Requests

names = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True).map(str.encode)
values = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True).map(str.encode)
bodies = st.binary(max_size=200)


def _chunks(parts):
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


def _head(fields):
    return b"POST /p HTTP/1.1\r\n" + b"".join(b"%b: %b\r\n" % field for field in fields.items())


sized = st.builds(
    lambda fields, body: (
        _head(fields) + b"content-length: %d\r\n\r\n" % len(body) + body,
        fields,
        body,
    ),
    st.dictionaries(names, values, max_size=4),
    bodies,
)
chunked = st.builds(
    lambda fields, parts: (
        _head(fields) + b"transfer-encoding: chunked\r\n\r\n" + _chunks(parts),
        fields,
        b"".join(parts),
    ),
    st.dictionaries(names, values, max_size=4),
    st.lists(bodies, max_size=4),
)


def _pieces(data, cuts):
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[one:other] for one, other in pairwise(places)]


@given(st.lists(st.one_of(sized, chunked), min_size=1, max_size=4), st.lists(st.integers(0, 5000)))
def test_pieces_are_as_the_whole(requests, cuts):
    data = b"".join(request for request, _, _ in requests)
    reader = Requests(head=2000, body=2000)
    found = [request for piece in _pieces(data, cuts) for request in reader.receive(piece)]
    assert [request.body for request in found] == [body for _, _, body in requests]
    for request, (_, fields, _) in zip(found, requests, strict=True):
        assert fields.items() <= request.fields.items()
    assert reader.between


@given(st.lists(st.one_of(st.binary(max_size=60), sized.map(lambda one: one[0])), max_size=6))
def test_any_bytes_are_requests_or_a_fault(pieces):
    reader = Requests(head=200, body=200)
    try:
        for piece in pieces:
            for request in reader.receive(piece):
                assert len(request.body) <= 200
    except ProtocolFault:
        pass
