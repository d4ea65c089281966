"""What the proxy decides by itself: who serves a route, which server is the primary, who a client is."""

import hashlib

import pytest

from marchproxy.kit.settings import HostPort
from marchproxy.model.database import DatabaseRoute
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import PoolName, Protocol
from marchproxy.model.pool import BackendPool
from marchproxy.model.route import Route, RouteId
from marchproxy.modules.dblb.plan import DblbPlan, RoutePlan, Upstream, Way
from marchproxy.modules.dblb.redis.carrier import RouteNeeds, carrier
from marchproxy.modules.dblb.redis.door import Door
from marchproxy.modules.dblb.redis.local import Identity, answer
from marchproxy.modules.dblb.redis.roles import History, Primary, Replica, Roles, judge, read_role
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
        (Roles(), {A: Primary(10), B: Replica(10, connected=False)}, Roles(A)),
        (Roles(A), {A: Primary(10), B: Primary(90)}, Roles(A)),  # one takes writes, not two
        (Roles(A), {A: None, B: Primary(9), C: Replica(9, connected=True)}, Roles(B, (C,))),
        (Roles(A, (B,)), {A: Replica(9, connected=True), B: Primary(9)}, Roles(B, (A,))),
        (Roles(A), {A: None, B: Replica(9, connected=True)}, Roles(None, (B,))),
    ],
)
def test_roles(before, seen, after):
    assert judge(before, seen) == after


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


def test_what_a_replica_has_is_told_by_offsets():
    history = History()
    assert history.reached(5) == float("-inf")
    for asked_at, offset in ((1.0, 10), (2.0, 10), (3.0, 40)):
        history.note(asked_at, offset)
    assert [history.reached(offset) for offset in (9, 10, 39, 40, 41)] == [float("-inf"), 2.0, 2.0, 3.0, 3.0]
    history.note(4.0, 1)  # its offsets began anew: another history
    assert history.reached(40) == 4.0
    assert history.reached(0) == float("-inf")


SECRET = "#" + hashlib.sha256(b"pw").hexdigest()


def door(*routes: tuple[DatabaseRoute, dict[str, str]]) -> Door:
    """Routes, each with the users of its userlist; none: nobody is asked."""
    pool = Upstream(BackendPool(PoolName("p")))
    found = []
    for number, (options, secrets) in enumerate(routes):
        way = Way(Authentication(f"w{number}", AuthenticationKind.USERLIST), secrets)
        route = Route(RouteId(f"r{number}"), protocol=Protocol.REDIS)
        found.append(RoutePlan(route, options, ((pool, 100),), (way,) if secrets else ()))
    return Door(DblbPlan({Protocol.REDIS: tuple(found)}), "10.0.0.9", 6379)


HOUSE = door((DatabaseRoute(), {"app": SECRET, "plain": "secret"}))
NOBODY = HOUSE.newcomer(7)
OPEN = (DatabaseRoute(), {})
GUARDED = (DatabaseRoute(databases=("3",)), {"app": SECRET})


@pytest.mark.parametrize(
    ("routes", "lines", "last", "route"),
    [
        ([OPEN], [b"PING"], b"-ERR unknown", "r0"),  # it is for the server to answer
        ([OPEN], [b"AUTH whatever"], b"+OK", "r0"),  # nobody is asked
        ([GUARDED, OPEN], [b"SELECT 3"], b"-NOPERM", "r1"),
        ([GUARDED, OPEN], [b"AUTH app pw", b"SELECT 3"], b"+OK", "r0"),
        ([GUARDED, OPEN], [b"AUTH app no", b"SELECT 3"], b"-NOPERM", "r1"),
        ([GUARDED], [b"AUTH app pw"], b"+OK", None),  # to database 3 alone
        ([GUARDED], [b"AUTH app pw", b"SELECT 3"], b"+OK", "r0"),
        ([(DatabaseRoute(users=("app",)), {})], [b"AUTH app x"], b"+OK", "r0"),
        ([(DatabaseRoute(users=("app",)), {})], [b"AUTH other x"], b"-WRONGPASS", None),
        ([(DatabaseRoute(applications=("web*",)), {}), OPEN], [b"CLIENT SETNAME web1"], b"+OK", "r0"),
    ],
)
def test_the_route_of_a_user_and_a_database(routes, lines, last, route):
    house = door(*routes)
    one, reply = house.newcomer(1), b""
    for line in lines:
        found = answer(one, line.split(), house)
        assert found is not None
        one, reply = found
    assert reply.startswith(last)
    taken = house.route(one)
    assert (taken.route_id if taken else None) == route


def test_a_certificate_shows_who_a_client_is():
    way = Way(Authentication("w", AuthenticationKind.CERTIFICATE))
    route = RoutePlan(Route(RouteId("r"), protocol=Protocol.REDIS), DatabaseRoute(), (), (way,))
    plan = DblbPlan({Protocol.REDIS: (route,)})
    assert Door(plan, "10.0.0.9", 1, "app").newcomer(1).user == "app"
    assert Door(plan, "10.0.0.9", 1).newcomer(1).user is None


@pytest.mark.parametrize(
    ("line", "user", "reply"),
    [
        (b"AUTH app pw", "app", b"+OK"),
        (b"AUTH plain secret", "plain", b"+OK"),
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
        (b"ACL WHOAMI", b"$3\r\napp"),
        (b"ACL LIST", b"-NOPERM"),
        (b"CLIENT ID", b":7"),
        (b"CLIENT GETNAME", b"$-1"),
        (b"CLIENT KILL x", b"-NOPERM"),
        (b"RESET", b"+RESET"),
    ],
)
def test_what_is_answered_here(line, reply):
    found = answer(Identity("app", number=7, proofs=frozenset({"w0"})), line.split(), HOUSE)
    assert found is not None
    assert found[1].startswith(reply)


def test_what_only_a_server_knows():
    assert answer(Identity("app"), [b"CLIENT", b"LIST"], HOUSE) is None
