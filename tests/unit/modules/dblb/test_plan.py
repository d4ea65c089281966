"""Which sessions a plan takes, and what is wrong with the files that it needs."""

import pytest

from marchproxy.contract.document import decode
from marchproxy.model.http import Authentication, AuthenticationKind
from marchproxy.model.module import Protocol
from marchproxy.modules.dblb.plan import RoutePlan, Way, Who, compile_plan, files_of

STATE = decode(b"""
authentication:
  - {name: people, kind: userlist, file: /people}
  - {name: unused, kind: userlist, file: /unused}
  - {name: shown, kind: certificate}
pools:
  - {name: p, protocol: postgres, endpoints: ["a:1"], database: {users: /servers}}
  - {name: q, protocol: postgres, endpoints: ["b:1"], database: {users: /others}}
routes:
  - {id: shop, protocol: postgres, backends: [p], authentication: [people, shown], database: {databases: ["shop*"]}}
  - {id: shop-app, protocol: postgres, backends: [p], database: {databases: [shop], users: [app]}}
  - {id: urgent, protocol: postgres, priority: 1, backends: [p], database: {applications: [urgent]}}
  - {id: inside, protocol: postgres, priority: -1, backends: [p], sources: [10.0.0.0/8], destination_port: 5433}
  - {id: foreign, protocol: postgres, module: alb, backends: [q], authentication: [unused]}
rate_limits:
  - {id: on, target: shop, max_concurrent: 1}
  - {id: off, target: "*", enabled: false, max_concurrent: 1}
  - {id: every, target: "*", max_concurrent: 1, per: user}
  - {id: nlb, target: "module:dblb", requests_per_second: 1}
""")
FILES = {"/people": b'"ann" "secret"\n', "/servers": b'"ann" "other"\n'}


def test_only_files_of_own_routes_are_read():
    assert files_of(STATE) == {"/people", "/servers"}


@pytest.mark.parametrize(
    ("who", "route"),
    [
        (Who("ann", "shop1"), "shop"),
        (Who("app", "shop"), "shop-app"),
        (Who("ann", "shop"), "shop"),
        (Who("app", "shop", "urgent"), "urgent"),
        (Who("ann", "crm"), None),
        (Who("ann", "crm", address="10.0.0.1", port=5433), "inside"),
        (Who("ann", "crm", address="::ffff:10.0.0.1", port=5433), "inside"),
        (Who("ann", "crm", address="10.0.0.1", port=5432), None),
        (Who("ann", "crm", address="nobody", port=5433), None),
        (Who("ann", "Shop"), None),
    ],
)
def test_the_most_precise_route_takes_a_session(who, route):
    plan, problems = compile_plan(STATE, FILES)
    assert problems == ()
    found = plan.route(Protocol.POSTGRES, who)
    assert (found and found.route_id) == route
    assert plan.route(Protocol.MYSQL, who) is None


def test_a_route_knows_its_ways_its_limits_and_its_servers_passwords():
    plan, _ = compile_plan(STATE, FILES)
    shop = plan.route(Protocol.POSTGRES, Who("ann", "shop1"))
    assert [(way.authentication.name, way.secrets) for way in shop.ways] == [
        ("people", {"ann": "secret"}),
        ("shown", {}),
    ]
    assert shop.certificates == {"shown"}
    assert [limit.limit_id for limit in shop.limits] == ["on", "every"]
    assert [(upstream.passwords, share) for upstream, share in shop.backends] == [({"ann": "other"}, 100)]
    assert "secret" not in repr(plan)
    assert "other" not in repr(plan)


@pytest.mark.parametrize(
    ("ways", "proofs", "right"),
    [((), (), True), (("a",), (), False), (("a",), ("b",), False), (("a", "b"), ("b", "c"), True)],
)
def test_a_route_lets_in_whoever_has_shown_one_of_its_ways(ways, proofs, right):
    named = tuple(Way(Authentication(name, AuthenticationKind.CERTIFICATE)) for name in ways)
    assert RoutePlan(STATE.routes[0], ways=named).lets_in(frozenset(proofs)) is right


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"/people": b""}, "pools[0].database.users: /servers: was not read"),
        ({**FILES, "/people": "cannot be read: gone"}, "authentication[0].file: /people: cannot be read: gone"),
        ({**FILES, "/people": b'"a" "b"\n"c" hidden'}, 'authentication[0].file: /people: line 2 is not of the form "user" "secret"'),
    ],
)  # fmt: skip
def test_files_of_no_use_are_told(files, problem):
    _, problems = compile_plan(STATE, files)
    assert [str(one) for one in problems] == [problem]
