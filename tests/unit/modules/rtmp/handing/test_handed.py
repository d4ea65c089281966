"""What one worker tells another of a client."""

import pytest

from marchproxy.modules.rtmp.handing.handed import PREFIX, Garbled, Handed, encode, length_of, read_who
from marchproxy.modules.rtmp.session.dialogue import MOST_RECORDED

CLIENT = Handed("2001:db8::1", 5, 1935, secure=True, certificate_user="alice", size=4)


def test_it_is_what_it_was():
    data = encode(CLIENT, b"said")
    size = length_of(data[:PREFIX])
    assert read_who(data[PREFIX : PREFIX + size]) == CLIENT
    assert data[PREFIX + size :] == b"said"


@pytest.mark.parametrize("prefix", [b"\0\0\0\0", b"\0\0\x10\x01", b"\xff\xff\xff\xff"])
def test_lengths_that_cannot_be(prefix):
    with pytest.raises(Garbled):
        length_of(prefix)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"host": "h", "port": 1}',
        b'{"host": "h", "port": 1, "came_to": 2, "size": -1}',
        f'{{"host": "h", "port": 1, "came_to": 2, "size": {MOST_RECORDED + 1}}}'.encode(),
    ],
)
def test_what_is_no_client(data):
    with pytest.raises(Garbled):
        read_who(data)
