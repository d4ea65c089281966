"""Whom a client wants to stop, by a number that it was given here."""

import pytest

from marchproxy.modules.dblb.mysql.kill import OURS, Kill, decode, first_number, read_kill, worker_of

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
    assert Kill(N, query_only=True).statement(7) == b"KILL QUERY 7"
    assert Kill(N, query_only=False).statement(7) == b"KILL CONNECTION 7"


@pytest.mark.parametrize("worker", [0, 1, 127])
def test_a_number_tells_the_worker(worker):
    first = first_number(worker)
    assert (worker_of(first), worker_of(first + 0xFF_FFFF)) == (worker, worker)
    assert OURS <= first < 1 << 32


def test_what_workers_tell_each_other():
    kill = Kill(N, query_only=True)
    assert decode(kill.encode("jürgen")) == (kill, "jürgen")
    with pytest.raises(ValueError, match="too short"):
        decode(b"\0")
