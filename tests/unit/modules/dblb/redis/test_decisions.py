"""What the proxy decides by itself: who serves a route, which server is the primary, who a client is."""

import hashlib

import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.modules.dblb.redis.carrier import RouteNeeds, carrier
from marchproxy.modules.dblb.redis.local import House, Identity, User, answer, newcomer
from marchproxy.modules.dblb.redis.roles import Primary, Replica, Roles, judge, read_role
from marchproxy.wire.redis.values import Failure, read

A, B, C = (HostPort("10.0.0.1", port) for port in (1, 2, 3))


@pytest.mark.parametrize(
    ("needs", "who", "reason", "conflict"),
    [
        (RouteNeeds(cluster=True), "envoy", "slots", ""),
        (RouteNeeds(cluster=True, replica_reads=True), "envoy", "slots", ""),
        (RouteNeeds(prefixes=True, mirror=True), "envoy", "prefix", ""),
        (RouteNeeds(subscribe=True), "own", "SUBSCRIBE", ""),
        (RouteNeeds(replica_reads=True), "own", "outside a Cluster", ""),
        (RouteNeeds(), "own", "share one connection", ""),
        (RouteNeeds(cluster=True, blocking=True), "envoy", "slots", "not together with blocking"),
    ],
)
def test_carrier(needs, who, reason, conflict):
    found = carrier(needs)
    assert found.who == who
    assert reason in found.reason
    assert conflict in found.conflict
    assert bool(found.conflict) == bool(conflict)


@pytest.mark.parametrize(
    ("before", "seen", "after"),
    [
        (Roles(), {A: Primary(10), B: Replica(10, connected=True)}, Roles(A, (B,))),
        (Roles(), {A: Primary(500), B: Replica(10, connected=True)}, Roles(A)),  # too far behind
        (Roles(), {A: Primary(10), B: Replica(10, connected=False)}, Roles(A)),
        (Roles(A), {A: Primary(10), B: Primary(90)}, Roles(A)),  # one takes writes, not two
        (Roles(A), {A: None, B: Primary(9), C: Replica(9, connected=True)}, Roles(B, (C,))),
        (Roles(A, (B,)), {A: Replica(9, connected=True), B: Primary(9)}, Roles(B, (A,))),
        (Roles(A), {A: None, B: Replica(9, connected=True)}, Roles()),
    ],
)
def test_roles(before, seen, after):
    assert judge(before, seen, most_behind=100) == after


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (b"*3\r\n$6\r\nmaster\r\n:42\r\n*0\r\n", Primary(42)),
        (
            b"*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$4\r\nsync\r\n:-1\r\n",
            Replica(-1, connected=False),
        ),
        (b"-LOADING wait\r\n", None),
        (b"*1\r\n$8\r\nsentinel\r\n", None),
    ],
)
def test_read_role(reply, seen):
    assert read_role(read(reply)[0]) == seen


HOUSE = House({"app": User((hashlib.sha256(b"pw").hexdigest(),)), "default": User()})
NOBODY = newcomer(HOUSE, 7)


@pytest.mark.parametrize(
    ("line", "user", "reply"),
    [
        (b"AUTH app pw", "app", b"+OK"),
        (b"AUTH app no", None, b"-WRONGPASS"),
        (b"AUTH nobody pw", None, b"-WRONGPASS"),
        (b"AUTH pw", None, b"-WRONGPASS"),  # default has no password that fits
        (b"HELLO 3", None, b"-NOAUTH"),
        (b"HELLO 3 AUTH app pw", "app", b"%7"),
        (b"HELLO 2 AUTH app pw SETNAME n", "app", b"*14"),
        (b"HELLO 4", None, b"-NOPROTO"),
        (b"SELECT 1", None, b"-NOAUTH"),
    ],
)
def test_who_a_client_is(line, user, reply):
    found = answer(NOBODY, line.split(), HOUSE)
    assert found is not None
    assert found[0].user == user
    assert found[1].startswith(reply)
    assert not isinstance(read(found[1])[0], Failure) or found[1].startswith(b"-")


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"SELECT 3", b"+OK"),
        (b"SELECT 16", b"-ERR DB index"),
        (b"SELECT x", b"-ERR value is not"),
        (b"CLIENT ID", b":7"),
        (b"CLIENT GETNAME", b"$-1"),
        (b"CLIENT KILL x", b"-NOPERM"),
        (b"RESET", b"+RESET"),
    ],
)
def test_what_is_answered_here(line, reply):
    found = answer(Identity("app", number=7), line.split(), HOUSE)
    assert found is not None
    assert found[1].startswith(reply)


def test_what_only_a_server_knows():
    assert answer(Identity("app"), [b"CLIENT", b"LIST"], HOUSE) is None
