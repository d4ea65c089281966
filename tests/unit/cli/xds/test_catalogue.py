from dataclasses import replace

import pytest

from marchproxy.cli.xds.catalogue import Catalogue
from marchproxy.cli.xds.settings import NodeSettings
from marchproxy.engines.envoy.xds import Identity, ResourceType
from marchproxy.engines.envoy.xds.identity import MODULE
from marchproxy.model.limit import RateLimit
from marchproxy.model.listener import Listener
from marchproxy.model.module import ModuleType, Protocol
from marchproxy.model.pool import BackendPool, Endpoint
from marchproxy.model.problem import InvalidValue
from marchproxy.model.route import BackendRef, Route, RouteMatch
from marchproxy.model.state import DesiredState

LISTENERS = (Listener("east", "127.0.0.1", 81), Listener("west", "127.0.0.1", 82))


def pool(name: str, protocol: Protocol = Protocol.HTTP) -> BackendPool:
    return BackendPool(name, endpoints=(Endpoint("10.0.0.1:1"),), protocol=protocol)


def to(name: str, pool_name: str, *hosts: str, **fields) -> Route:
    return Route(name, match=RouteMatch(hosts=hosts), backends=(BackendRef(pool_name, 100),), **fields)


STATE = DesiredState(
    listeners=LISTENERS,
    routes=(
        to("all", "web"),
        to("east-only", "inner", listeners=("east",)),
        to("calls", "rpc", "rpc.example"),
        to("foreign", "other", module_type=ModuleType.DBLB),
    ),
    pools=(pool("web"), pool("inner"), pool("rpc", Protocol.GRPC), pool("other")),
)


def held(snapshot) -> dict[ResourceType, set[str]]:
    kinds = (ResourceType.LISTENER, ResourceType.ROUTE, ResourceType.CLUSTER)
    return {kind: set(snapshot.of(kind)) for kind in kinds}


def test_an_envoy_gets_each_listener_with_routes_of_its_own():
    snapshot = Catalogue(STATE).assign(Identity("edge", user_agent="envoy"))
    assert held(snapshot) == {
        ResourceType.LISTENER: {"east", "west"},
        ResourceType.ROUTE: {"east", "west"},
        ResourceType.CLUSTER: {"pool.web", "pool.inner", "pool.rpc"},
    }
    east, west = (
        snapshot.of(ResourceType.ROUTE)[name].references[ResourceType.CLUSTER] for name in ("east", "west")
    )
    assert (east, west) == ({"pool.web", "pool.inner", "pool.rpc"}, {"pool.web", "pool.rpc"})


def test_a_grpc_client_gets_what_it_can_follow_by_host_and_by_listener():
    snapshot = Catalogue(STATE).assign(Identity("caller", user_agent="gRPC C-core"))
    assert held(snapshot) == {
        ResourceType.LISTENER: {"east", "west", "rpc.example"},
        ResourceType.ROUTE: {"east", "west", "rpc.example"},
        ResourceType.CLUSTER: {"pool.rpc"},
    }


NODES = (
    NodeSettings(
        id="edge-*", cluster="edge", metadata={"zone": "eu"}, listeners=("east",), routes=("east-only",)
    ),
    NodeSettings(cluster="edge", listeners=(), routes=()),
    NodeSettings(id="spare"),
)


@pytest.mark.parametrize(
    ("identity", "listeners"),
    [
        (Identity("edge-1", "edge", {"zone": "eu", "more": "x"}), {"east"}),
        (Identity("edge-1", "edge", {"zone": "us"}), set()),
        (Identity("other", "edge", {"zone": "eu"}), set()),
        (Identity("spare", "else"), {"east", "west"}),
        (Identity("Spare", "else"), None),
        (Identity("edge-1", "else", {"zone": "eu"}), None),
    ],
)
def test_the_first_entry_that_fits_counts(identity, listeners):
    snapshot = Catalogue(STATE, NODES).assign(identity)
    assert (None if snapshot is None else set(snapshot.of(ResourceType.LISTENER))) == listeners


def test_pools_of_routes_that_are_not_given_are_not_given_either():
    snapshot = Catalogue(STATE, NODES).assign(Identity("edge-1", "edge", {"zone": "eu"}))
    assert set(snapshot.of(ResourceType.CLUSTER)) == {"pool.inner"}


def test_what_the_compiler_cannot_do_is_refused():
    with pytest.raises(InvalidValue, match=r"routes\[0\]"):
        Catalogue(DesiredState(routes=(Route("r"),)))


ALB = Identity("alb-1", "alb", {MODULE: "alb"})


def test_an_alb_gets_all_its_routes_in_one_and_no_listener():
    snapshot = Catalogue(STATE).assign(ALB)
    assert held(snapshot) == {
        ResourceType.LISTENER: set(),
        ResourceType.ROUTE: {"routes"},
        ResourceType.CLUSTER: {"pool.web", "pool.inner", "pool.rpc"},
    }


def test_an_alb_is_told_which_document_it_has_though_its_routes_are_the_same():
    one, other = (Catalogue(STATE, revision=revision).assign(ALB) for revision in ("abc", "def"))
    routes = [snapshot.of(ResourceType.ROUTE)["routes"] for snapshot in (one, other)]
    assert [resource.version.partition(".")[2] for resource in routes] == ["abc", "def"]
    assert routes[0].is_same_as(routes[1])
    assert routes[0] != routes[1]
    clusters = [dict(snapshot.of(ResourceType.CLUSTER)) for snapshot in (one, other)]
    assert clusters[0] == clusters[1]


def test_what_small_limits_allow_is_kept_for_as_many_albs_as_there_are():
    limited = replace(STATE, rate_limits=(RateLimit("few", "all", per_second=1, burst=1, shared=True),))
    alone = Catalogue(limited)
    three = alone.among({}, 3)
    assert (alone.is_among({}, 1), alone.is_among({}, 3), three.is_among({}, 3)) == (True, False, True)
    before, after = (dict(found.assign(ALB).of(ResourceType.EXTENSION)) for found in (alone, three))
    assert len([name for name in before if before[name] != after[name]]) == 1


def test_a_route_that_nobody_is_given_may_ask_for_what_is_not_served():
    asking = replace(STATE.routes[0], route_id="staff", authentication=("staff",))
    state = replace(STATE, routes=(*STATE.routes, asking))
    with pytest.raises(InvalidValue, match=r"routes\[4\].authentication"):
        Catalogue(state)
    assert Catalogue(state, (NodeSettings(routes=("all",)),)).assign(Identity("edge")) is not None
