"""Whom a client wants to stop, by a number that it was given here."""

import pytest

from marchproxy.modules.dblb.mysql.kill import OURS, Kill, read_kill

N = OURS + 5


@pytest.mark.parametrize(
    ("payload", "kill"),
    [
        (b"\x03KILL %d" % N, Kill(N, query_only=False)),
        (b"\x03 kill  query %d ;" % N, Kill(N, query_only=True)),
        (b"\x03KILL HARD CONNECTION %d" % N, Kill(N, query_only=False)),
        (b"\x0c" + N.to_bytes(4, "little"), Kill(N, query_only=False)),
        (b"\x03KILL 5", None),  # a number of the server's
        (b"\x03KILL QUERY ID %d" % N, None),
        (b"\x03select %d" % N, None),
        (b"\x0c\x01", None),
        (b"\x0e", None),
    ],
)
def test_read_kill(payload, kill):
    assert read_kill(payload) == kill


def test_the_server_is_told_its_own_number():
    assert Kill(N, query_only=True).command(7) == b"\x03KILL QUERY 7"
    assert Kill(N, query_only=False).command(7) == b"\x03KILL CONNECTION 7"
