"""Route configurations joined of remembered bytes: what they are is what building the whole message would give."""

import pytest
from envoy.config.route.v3 import route_pb2
from hypothesis import given
from hypothesis import strategies as st

from marchproxy.engines.envoy.matching import virtual_hosts
from marchproxy.engines.envoy.validation.pieces import taken_apart
from marchproxy.engines.envoy.xds.kinds import ResourceType
from marchproxy.engines.envoy.xds.resource import Resource
from marchproxy.model.limit import EVERYTHING, LimitId, RateLimit
from marchproxy.model.module import PoolName
from marchproxy.model.route import BackendRef, PathKind, PathMatch, RetryPolicy, Route, RouteId, RouteMatch
from marchproxy.modules.http.resources import routes as module
from marchproxy.modules.http.resources.actions import COMMON_RETRY, retry_policy
from marchproxy.modules.http.resources.limits import limits_turned_on
from marchproxy.modules.http.resources.routes import Around, RouteTable, build_route, by_target

HOSTS = ((), ("a.test",), ("A.Test", "b.test"), ("*.test", "x.a.test"), ("*.a.test",), ("*",))
LIMITS = tuple(RateLimit(LimitId(f"l-{target}"), target, per_second=5) for target in ("r1", "r2", EVERYTHING))


@st.composite
def a_route(draw: st.DrawFn) -> Route:
    kind = draw(st.sampled_from([PathKind.PREFIX, PathKind.EXACT]))
    match = RouteMatch(
        draw(st.sampled_from(HOSTS)), PathMatch(kind, draw(st.sampled_from(["/", "/a", "/ü/b"])))
    )
    pools = draw(st.lists(st.sampled_from("abc"), max_size=2, unique=True))
    return Route(
        RouteId(f"r{draw(st.integers(0, 7))}"),
        match,
        tuple(BackendRef(PoolName(pool), 100 // len(pools)) for pool in pools),
        priority=draw(st.integers(0, 2)),
        timeout=draw(st.sampled_from([0.0, 15.0, 20.0])),
        retry=draw(st.sampled_from([RetryPolicy(), RetryPolicy(attempts=0)])),
        max_request_bytes=draw(st.sampled_from([0, 0, 9])),
    )


some_routes = st.lists(a_route(), max_size=6, unique_by=lambda route: route.route_id)
surroundings = st.builds(
    Around,
    limits=st.sampled_from([{}, by_target(LIMITS)]),
    grpc=st.sampled_from([(), ("a",)]),
    hashing=st.sampled_from([(), ("b",)]),
)


def plainly(routes: list[Route], around: Around) -> route_pb2.RouteConfiguration:
    messages = {route.route_id: build_route(route, around.of(route)) for route in routes}
    whole = route_pb2.RouteConfiguration(name="routes", ignore_port_in_host_matching=True)
    for host in virtual_hosts(routes, messages):
        host.retry_policy.CopyFrom(retry_policy(COMMON_RETRY))
        whole.virtual_hosts.append(host)
    for name, config in limits_turned_on(around.limits.get(EVERYTHING, ())).items():
        whole.typed_per_filter_config[name].CopyFrom(config)
    return whole


@given(st.lists(st.tuples(some_routes, st.booleans(), surroundings), min_size=1, max_size=4))
def test_what_is_joined_is_the_whole(states):
    table, routes = RouteTable("routes"), []
    for new, keep, around in states:
        given_ids = {route.route_id for route in new}
        routes = [route for route in routes if keep and route.route_id not in given_ids] + new
        built, whole = table.build(routes, around), plainly(routes, around)
        assert route_pb2.RouteConfiguration.FromString(built.body.value) == whole
        assert built.references == {
            ResourceType.CLUSTER: Resource.of(whole).references.get(ResourceType.CLUSTER, frozenset())
        }
        assert RouteTable("routes").build(routes, around).version == built.version
        _are_the_parts_of(built)


def _are_the_parts_of(built: Resource) -> None:
    parts = taken_apart(built.body.value)
    assert built.parts is not None
    assert set(built.parts.routes) == set(parts.routes)
    frame = route_pb2.RouteConfiguration.FromString
    assert frame(built.parts.frame) == frame(parts.frame)


def many(count: int = 300) -> list[Route]:
    return [
        Route(
            RouteId(f"r{number}"),
            RouteMatch((f"h{number % 30}.test",), PathMatch(value=f"/{number}")),
            (BackendRef(PoolName("a")),),
        )
        for number in range(count)
    ]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each of the costly functions is called."""
    counted = {"_build": 0, "_host": 0, "rank": 0}

    def counting(name: str):
        function = getattr(module, name)

        def call(*args: object) -> object:
            counted[name] += 1
            return function(*args)

        monkeypatch.setattr(module, name, call)

    for name in counted:
        counting(name)
    return counted


def test_a_change_of_one_route_builds_that_and_its_virtual_host(calls: dict[str, int]):
    table, routes = RouteTable("routes"), many()
    table.build(routes, Around())
    assert calls == {"_build": 300, "_host": 30, "rank": 300}
    calls.update(dict.fromkeys(calls, 0))
    routes[7] = Route(RouteId("r7"), RouteMatch(("h7.test",), PathMatch(value="/other")))
    table.build(routes, Around())
    assert calls == {"_build": 1, "_host": 1, "rank": 1}


def test_a_limit_builds_the_route_that_it_is_on(calls: dict[str, int]):
    table, routes = RouteTable("routes"), many()
    table.build(routes, Around())
    calls.update(dict.fromkeys(calls, 0))
    table.build(routes, Around(limits=by_target(LIMITS[:1])))
    assert calls["_build"] == 1
