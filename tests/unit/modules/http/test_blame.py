"""Who is to blame for what Envoy refuses, and which field of it."""

import pytest

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.validation import Fault
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.snapshot import EMPTY, check
from marchproxy.model.state import DesiredState
from marchproxy.modules.http.blame import Item, ItemKind, blame, narrowed
from marchproxy.modules.http.resources import Builder
from marchproxy.modules.http.resources.pools import PoolFindings
from marchproxy.modules.http.resources.upstream_tls import PoolMaterial

AHEAD = "invalid perl operator: (?="
NOTHING = DesiredState()
STATE = decode(
    b"""
    pools: [{name: blue}, {name: green}]
    routes:
      - {id: a, path: {regex: "/a(?=b)"}, headers: [{name: v, regex: "b(?!c)"}], backends: [blue]}
      - {id: b, path: /b, backends: [green]}
      - {id: c, path: /c, query: [{name: v, exact: a}, {name: w, regex: "a"}], backends: [green]}
      - {id: d, path: /d, rewrite: {pattern: "d(?<=x)", path: e}, backends: [green]}
    """
)


def constraint(*fields: str) -> str:
    links = " | caused by ".join(
        f"XValidationError.{field}: embedded message failed validation" for field in fields[:-1]
    )
    return f"a: 1\n: Proto constraint validation failed ({links} | caused by YValidationError.{fields[-1]}: is bad)"


def paths(state: DesiredState, *faults: Fault) -> list[str]:
    return [found.problem.path for found in blame(faults, state, EMPTY)]


@pytest.mark.parametrize(
    ("part", "message", "path"),
    [
        ("a", AHEAD, "routes[0].path"),
        ("a", "invalid perl operator: (?!", "routes[0].headers[0].regex"),
        ("a", "something else", "routes[0].path"),  # a regular expression is what a route is refused for
        ("b", "something else", "routes[1]"),
        ("b", constraint("VirtualHosts[0]", "Routes[1]", "ResponseHeadersToAdd[0]", "Key"), "routes[1].response_headers"),
        ("c", "something else", "routes[2].query[1].regex"),
        ("d", "invalid perl operator: (?<", "routes[3].rewrite.pattern"),
    ],
)  # fmt: skip
def test_a_route_is_blamed_with_the_field_that_the_words_are_about(
    part: str, message: str, path: str
) -> None:
    fault = Fault(ResourceType.ROUTE, "routes", part, message)
    (found,) = blame([fault, fault], STATE, EMPTY)
    assert found.problem.path == path
    assert found.item == Item(ItemKind.ROUTE, part)
    assert found.problem.message.startswith(f'route "{part}": Envoy refused it: ')


@pytest.mark.parametrize(
    ("kind", "name", "message", "path"),
    [
        (ResourceType.CLUSTER, "pool.green", constraint("ConnectTimeout"), "pools[1].connect_timeout"),
        (ResourceType.CLUSTER, "pool.green", "whatever", "pools[1]"),
        (ResourceType.ENDPOINT, "pool.blue", "malformed IP address: x", "pools[0]"),
    ],
)
def test_a_pool_is_blamed_by_its_cluster(kind: ResourceType, name: str, message: str, path: str) -> None:
    assert paths(STATE, Fault(kind, name, "", message)) == [path]


def test_a_secret_is_blamed_on_every_pool_that_uses_it() -> None:
    state = decode(
        b"pools: [{name: a, endpoints: ['127.0.0.1:1'], tls: {ca: /ca.pem, server_name: a.test}},"
        b" {name: b}, {name: c, endpoints: ['127.0.0.1:1'], tls: {ca: /ca.pem, server_name: c.test}}]"
    )
    material = {pool.tls: PoolMaterial(ca=b"x") for pool in state.pools if pool.tls is not None}
    snapshot = check(Builder([]).build(state, {}, PoolFindings(material)))
    (secret,) = snapshot.of(ResourceType.SECRET)
    found = blame([Fault(ResourceType.SECRET, secret, "", "no certificate")], state, snapshot)
    assert [one.problem.path for one in found] == ["pools[0].tls", "pools[2].tls"]


@pytest.mark.parametrize("kind", [ResourceType.LISTENER, ResourceType.ROUTE, ResourceType.SECRET])
def test_what_is_of_no_single_item_is_told_all_the_same(kind: ResourceType) -> None:
    (found,) = blame([Fault(kind, "x", "", "no")], STATE, EMPTY)
    assert (found.item, found.problem.path) == (None, "")
    assert found.problem.message == f'Envoy refused {kind.name.lower()} "x": no'


@pytest.mark.parametrize(
    ("before", "message", "parts"),
    [
        (NOTHING, "invalid perl operator: (?<", ["d"]),  # its words are repeated
        (NOTHING, "cannot be", ["a", "c", "d"]),  # any regular expression
        (decode(b"pools: [{name: blue}, {name: green}]\nroutes: [{id: d, path: /d, rewrite: {pattern: 'd(?<=x)', path: e}, backends: [green]}]"), "invalid perl operator: (?<", ["a", "c"]),
        (STATE, "invalid perl operator: (?<", [""]),  # nothing changed
    ],
)  # fmt: skip
def test_a_fault_of_all_routes_is_narrowed_to_those_that_changed(
    before: DesiredState, message: str, parts: list[str]
) -> None:
    fault = Fault(ResourceType.ROUTE, "routes", "", message)
    assert [one.part for one in narrowed([fault], before, STATE)] == parts
