"""Pools and endpoints that a request would go to; tests/real/test_alb_choices.py compares them with traffic."""

import base64

import pytest

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.choice import xxh64
from marchproxy.engines.envoy.clusters import ClusterStatus, HostCounts, HostStatus
from marchproxy.modules.http.choices import Asked, pool_choices

STATE = decode(b"""
routes:
  - {id: one, hosts: [a.test], backends: [blue]}
  - {id: two, hosts: [b.test], backends: [{pool: blue, weight: 30}, {pool: green, weight: 70}]}
  - {id: kept, hosts: [c.test], backends: [{pool: blue, weight: 50}, {pool: green, weight: 50}, {pool: off, weight: 0}],
     sticky: {kind: cookie, name: s}}
  - {id: hashed, hosts: [d.test], backends: [{pool: red, weight: 50}, {pool: table, weight: 50}], sticky: {kind: header, name: X-User}}
  - {id: client, hosts: [e.test], backends: [table]}
pools:
  - {name: blue, endpoints: ["10.0.0.1:80", "10.0.0.2:80"]}
  - {name: green, version: v2, endpoints: ["10.0.0.3:80"], balance: round_robin, slow_start: 30}
  - {name: off, endpoints: ["10.0.0.4:80"]}
  - {name: red, endpoints: ["10.0.0.5:80", "10.0.0.6:80"]}
  - {name: table, endpoints: ["10.0.0.7:80", "10.0.0.8:80"], balance: source_hash, hash_table: ring}
""")
ROUTES = {str(route.route_id): route for route in STATE.routes}
HOSTS = {"blue": (1, 2), "green": (3,), "off": (4,), "red": (5, 6), "table": (7, 8)}
CLUSTERS = [
    ClusterStatus(
        f"pool.{name}",
        True,
        tuple(HostStatus(f"10.0.0.{n}:80", "", 1, "HEALTHY", frozenset(), HostCounts()) for n in numbers),
    )
    for name, numbers in HOSTS.items()
]


def choices(route: str, client: str = "", **headers: str):
    return pool_choices(STATE, ROUTES[route], Asked(headers, client), CLUSTERS, own=STATE.routes)


def by_pool(found) -> dict[str, float]:
    return {choice.pool: choice.probability for choice in found}


def test_one_pool_is_certain_and_its_endpoints_are_told() -> None:
    (choice,) = choices("one")
    assert (choice.pool, choice.version, choice.probability) == ("blue", "v1", 1)
    assert choice.policy == "the least busy of two"
    assert {e.address: e.probability for e in choice.endpoints} == {"10.0.0.1:80": 0.5, "10.0.0.2:80": 0.5}


@pytest.mark.parametrize(
    ("hostname", "name"),
    [("", ""), ("10.0.0.3", ""), ("10.0.0.3:80", ""), ("a.test", "a.test:80"), ("a.test:80", "a.test:80")],
)
def test_an_endpoint_that_was_found_by_name_is_told_by_it(hostname: str, name: str) -> None:
    host = HostStatus("10.0.0.3:80", hostname, 1, "HEALTHY", frozenset(), HostCounts())
    found = pool_choices(
        STATE, ROUTES["two"], Asked(), [ClusterStatus("pool.green", True, (host,))], own=STATE.routes
    )
    assert {endpoint.name for choice in found for endpoint in choice.endpoints} == {name}


def test_several_pools_by_weight() -> None:
    found = choices("two")
    assert by_pool(found) == {"blue": 0.3, "green": 0.7}
    assert found[1].policy == "in turn; a new one gets less in its first 30 s"


@pytest.mark.parametrize(
    ("cookie", "shares"),
    [
        ("", {"blue": 0.5, "green": 0.5, "off": 0}),
        ("x=1; s-pool=green", {"blue": 0, "green": 1, "off": 0}),
        ("s-pool=off", {"blue": 0.5, "green": 0.5, "off": 0}),  # it has no share any more
        ("s-pool=never", {"blue": 0.5, "green": 0.5, "off": 0}),
    ],
)
def test_a_cookie_keeps_the_pool(cookie: str, shares: dict[str, float]) -> None:
    assert by_pool(choices("kept", cookie=cookie)) == shares


def session(address: str) -> str:
    message = b"\x0a" + bytes([len(address)]) + address.encode() + b"\x10\x05"
    return f"s={base64.b64encode(message).decode()}"


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        (session("10.0.0.2:80"), True),
        (session("10.0.0.9:80"), False),
        ("s=nonsense", False),
        ("s=Cg==", False),
        ("s=" + base64.b64encode(b"\x0a\xff10.0.0.2:80").decode(), False),
    ],
)
def test_a_cookie_keeps_the_endpoint_as_long_as_it_is_there(cookie: str, kept: bool) -> None:
    blue = choices("kept", cookie=cookie)[0]
    assert blue.policy == ("by the session's cookie" if kept else "the least busy of two")
    assert (blue.endpoints[0].probability == 1) is kept


def test_a_header_decides_pool_and_endpoint() -> None:
    reached = set()
    for user in ("ann", "bob", "cid", "dan", "eve", "fay"):
        found = choices("hashed", **{"x-user": user})
        (pool,) = [choice for choice in found if choice.probability == 1]
        assert pool.pool == ("red" if xxh64(user.encode()) % 100 < 50 else "table")
        assert all([e.probability for e in choice.endpoints] == [1, 0] for choice in found)
        reached.add(pool.pool)
    assert reached == {"red", "table"}


def test_who_has_nothing_to_hash_may_go_anywhere() -> None:
    found = choices("hashed")
    assert by_pool(found) == {"red": 0.5, "table": 0.5}
    assert all({e.probability for e in choice.endpoints} == {0.5} for choice in found)
    assert found[0].policy.endswith(
        "of the header X-User, which the request is not known to have: any may be"
    )


@pytest.mark.parametrize("client", ["192.0.2.1", "2001:DB8:0::1"])
def test_the_clients_address_decides(client: str) -> None:
    (choice,) = choices("client", client)
    assert [endpoint.probability for endpoint in choice.endpoints] == [1, 0]
    assert choice.policy == "by a ring of the client's address"
    (unknown,) = choices("client", "")
    assert {endpoint.probability for endpoint in unknown.endpoints} == {0.5}


def test_a_pool_that_envoy_does_not_have_yet_has_no_endpoints() -> None:
    (choice,) = pool_choices(STATE, ROUTES["one"], Asked(), [], own=STATE.routes)
    assert choice.endpoints == ()
