"""Routes and pools over the wire."""

from typing import Any

import pytest

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.live_stream import StreamReport
from marchproxy.model.problem import RefusalCode, Refused
from marchproxy.modules.base.observation import EndpointSeen, Observation, PoolSeen
from tests.unit.modules.base.api.rig import Rig

INVALID, NOT_FOUND = types_pb2.STATUS_CODE_INVALID_ARGUMENT, types_pb2.STATUS_CODE_NOT_FOUND


def route(name: str, *, pool: str = "blue", **fields: Any) -> types_pb2.Route:
    return types_pb2.Route(route_id=name, backends=[types_pb2.BackendRef(pool=pool)], **fields)


def split(**weights: int) -> types_pb2.Route:
    backends = [types_pb2.BackendRef(pool=pool, weight=weight) for pool, weight in weights.items()]
    return types_pb2.Route(route_id="new", path_pattern="/new", backends=backends)


def ids(answer: Any) -> list[str]:
    return [item.route_id for item in answer.routes]


async def test_get_routes(rig: Rig) -> None:
    answer = await rig.stub.GetRoutes(pb.GetRoutesRequest())
    assert (ids(answer), answer.total_routes) == (["shop", "api"], 2)
    assert answer.routes[0].destination_pattern == "shop.example.com"


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([("route_id", "eq", "api")], ["api"]),
        ([("path_pattern", "contains", "v1")], ["api"]),
        ([("hosts", "contains", "shop.example.com")], ["shop"]),
        ([("pools", "contains", "green")], ["shop"]),
        ([("priority", "gt", "0")], []),
        ([("pools", "contains", "blue"), ("methods", "contains", "GET")], ["api"]),
    ],
)
async def test_filters(rig: Rig, filters: list[tuple[str, str, str]], found: list[str]) -> None:
    query = types_pb2.Query(
        filters=[types_pb2.Filter(field=name, operator=how, value=value) for name, how, value in filters]
    )
    assert ids(await rig.stub.GetRoutes(pb.GetRoutesRequest(query=query))) == found


async def test_sorted_pages(rig: Rig) -> None:
    query = types_pb2.Query(sort_by="route_id", pagination=types_pb2.Pagination(page=2, page_size=1))
    answer = await rig.stub.GetRoutes(pb.GetRoutesRequest(query=query))
    assert (ids(answer), answer.total_routes, answer.pagination.total_pages) == (["shop"], 2, 2)


async def test_streams_are_told_beside_the_routes(rig: Rig) -> None:
    live = tuple(StreamReport(f"/live/{number}", "live", players=number) for number in range(1003))
    rig.engine.seen = Observation(streams=live)
    await rig.parts.sampler.look()
    for _ in range(2):
        answer = await rig.stub.GetRoutes(pb.GetRoutesRequest())
        assert (ids(answer), answer.total_routes, answer.total_streams) == (["shop", "api"], 2, 1003)
        assert [stream.players for stream in answer.streams] == list(range(1002, 2, -1))  # the most watched
    stats = await rig.stub.GetStats(pb.GetStatsRequest())
    assert list(stats.streams) == list(answer.streams)
    rig.engine.seen = Observation()
    await rig.parts.sampler.look()
    assert not (await rig.stub.GetRoutes(pb.GetRoutesRequest())).streams


async def test_update_adds_and_replaces(rig: Rig) -> None:
    routes = [route("api", path_pattern="/v2", hosts=["api.example.com"]), route("new", path_pattern="/new")]
    answer = await rig.stub.UpdateRoutes(pb.UpdateRoutesRequest(instance_id="alb-1", routes=routes))
    assert (answer.success, answer.routes_updated, answer.message) == (True, 2, "2 routes updated")
    assert [item.route_id for item in rig.engine.applied[-1].routes] == ["shop", "api", "new"]
    assert rig.core.running.modified
    listed = await rig.stub.GetRoutes(pb.GetRoutesRequest())
    assert [item.path_pattern for item in listed.routes] == ["/", "/v2", "/new"]


async def test_replace_all_takes_limits_along(rig: Rig) -> None:
    request = pb.UpdateRoutesRequest(routes=[route("only")], replace_all=True)
    assert (await rig.stub.UpdateRoutes(request)).success
    assert [item.route_id for item in rig.core.desired.routes] == ["only"]
    assert rig.core.desired.rate_limits == ()


BAD_ROUTES = [
    (split(blue=-10, green=110), ["routes[0].backends[0].weight: -10", "routes[0].backends[1].weight: 110"]),
    (split(blue=101), ["routes[0].backends[0].weight: 101 is not between 0 and 100"]),
    (split(blue=50, green=40), ["routes[0].backends: the weights add up to 90"]),
    (split(nowhere=100), ['routes[0].backends[0].pool: no pool "nowhere"']),
    (route("new", path_pattern="~/a("), ["routes[0].path: ", "not a regular expression"]),
    (route("bad name", path_pattern="/x"), ["routes[0].id: "]),
    (route("", path_pattern="/x"), ["routes[0].id: "]),
    (
        route("twin", path_pattern="/v1", hosts=["api.example.com"], methods=["GET"]),
        ['"twin" overlaps "api" and both have priority 0'],
    ),
    (
        types_pb2.Route(route_id="new", path_pattern="/x"),
        ["routes[0].backends: an HTTP route needs a backend"],
    ),
    (route("new", path_pattern="/x", protocol=99), ["routes[0].protocol: unknown value 99"]),
]


@pytest.mark.parametrize("validate_only", [False, True])
@pytest.mark.parametrize(("bad", "words"), BAD_ROUTES)
async def test_a_bad_route_is_refused(
    rig: Rig, bad: types_pb2.Route, words: list[str], validate_only: bool
) -> None:
    with rig.untouched():
        request = pb.UpdateRoutesRequest(routes=[bad], validate_only=validate_only)
        answer = await rig.stub.UpdateRoutes(request)
    assert (answer.success, answer.error.code, answer.routes_updated) == (False, INVALID, 0)
    told = "\n".join(answer.validation_errors)
    assert all(word in told for word in words), told
    assert answer.message
    assert answer.error.HasField("occurred_at")


@pytest.mark.parametrize("validate_only", [False, True])
async def test_every_fault_is_told(rig: Rig, validate_only: bool) -> None:
    routes = [route("a b", path_pattern="~(", pool="nowhere"), route("c", path_pattern="/c", methods=["get"])]
    request = pb.UpdateRoutesRequest(routes=routes, validate_only=validate_only)
    answer = await rig.stub.UpdateRoutes(request)
    paths = {text.partition(":")[0] for text in answer.validation_errors}
    assert paths == {"routes[0].id", "routes[0].path", "routes[0].backends[0].pool", "routes[1].methods[0]"}
    assert set(answer.error.details) == paths


async def test_twins_are_refused(rig: Rig) -> None:
    with rig.untouched():
        answer = await rig.stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=[route("x"), route("x")]))
    assert 'routes[1]: "x" stands there twice' in answer.message


async def test_a_good_route_that_is_only_validated_changes_nothing(rig: Rig) -> None:
    with rig.untouched():
        request = pb.UpdateRoutesRequest(routes=[route("new", path_pattern="/new")], validate_only=True)
        answer = await rig.stub.UpdateRoutes(request)
    assert (answer.success, answer.routes_updated, list(answer.validation_errors)) == (True, 0, [])


async def test_what_the_engine_refuses_does_not_run(rig: Rig) -> None:
    rig.engine.refusal = Refused(RefusalCode.UNAVAILABLE, "Envoy did not acknowledge the change")
    with rig.untouched():
        answer = await rig.stub.UpdateRoutes(
            pb.UpdateRoutesRequest(routes=[route("new", path_pattern="/new")])
        )
    assert (answer.error.code, answer.message) == (
        types_pb2.STATUS_CODE_UNAVAILABLE,
        "Envoy did not acknowledge the change",
    )


async def test_delete_route(rig: Rig) -> None:
    answer = await rig.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="shop"))
    assert answer.success
    assert [item.route_id for item in rig.core.desired.routes] == ["api"]
    assert rig.core.desired.rate_limits == ()
    with rig.untouched():
        again = await rig.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="shop"))
    assert (again.success, again.error.code, again.message) == (False, NOT_FOUND, 'route_id: no route "shop"')


@pytest.mark.parametrize(
    ("asked", "can", "found"),
    [
        (types_pb2.Route(), True, ""),
        (types_pb2.Route(hosts=["shop.example.com"], path_pattern="/cart"), True, "shop"),
        (types_pb2.Route(hosts=["nowhere.example.com"]), False, ""),
        (types_pb2.Route(protocol=types_pb2.PROTOCOL_MYSQL), False, ""),
    ],
)
async def test_can_handle(rig: Rig, asked: types_pb2.Route, can: bool, found: str) -> None:
    answer = await rig.stub.CanHandle(pb.CanHandleRequest(route=asked))
    assert (answer.can_handle, answer.metadata.get("route_id", "")) == (can, found)
    assert answer.reason


SHOP = types_pb2.Route(
    protocol=types_pb2.PROTOCOL_HTTP,
    destination_pattern="shop.example.com",
    path_pattern="/",
    path_match=types_pb2.PATH_MATCH_KIND_EXACT,
)


async def test_can_handle_tells_people_where_a_request_would_go(rig: Rig) -> None:
    answer = await rig.stub.CanHandle(pb.CanHandleRequest(route=SHOP, context={"explain": "true"}))
    (choice,) = answer.choices
    assert (choice.pool, choice.version, choice.probability, choice.policy) == ("blue", "v1", 1, "for shop")
    assert [(endpoint.address, endpoint.probability) for endpoint in choice.endpoints] == [
        ("127.0.0.1:81", 1)
    ]


async def test_can_handle_tells_nlbs_no_more_than_they_need(rig: Rig) -> None:
    assert not (await rig.stub.CanHandle(pb.CanHandleRequest(route=SHOP))).choices


async def test_can_handle_answers_while_the_engine_does_not(rig: Rig) -> None:
    rig.engine.silent = True
    answer = await rig.stub.CanHandle(pb.CanHandleRequest(route=SHOP, context={"explain": "true"}))
    assert answer.can_handle
    assert answer.metadata["choices"] == "does not answer"


async def test_get_backends_shows_health(rig: Rig) -> None:
    rig.engine.seen = Observation(
        pools={"blue": PoolSeen(endpoints=(EndpointSeen("127.0.0.1:81", True, 2, 7), EndpointSeen("127.0.0.1:82", False)))}
    )  # fmt: skip
    await rig.parts.sampler.look()
    answer = await rig.stub.GetBackends(pb.GetBackendsRequest(names=["blue"]))
    (pool,) = answer.pools
    assert answer.total_pools == 1
    assert [(e.health_status, e.active_requests, e.total_requests) for e in pool.endpoints] == [
        (types_pb2.HEALTH_STATUS_HEALTHY, 2, 7),
        (types_pb2.HEALTH_STATUS_UNHEALTHY, 0, 0),
    ]


async def test_get_backends_by_query(rig: Rig) -> None:
    query = types_pb2.Query(filters=[types_pb2.Filter(field="version", operator="eq", value="v2")])
    answer = await rig.stub.GetBackends(pb.GetBackendsRequest(query=query))
    assert [pool.name for pool in answer.pools] == ["green"]


def pool(name: str, *addresses: str) -> types_pb2.BackendPool:
    return types_pb2.BackendPool(
        name=name, endpoints=[types_pb2.BackendEndpoint(address=address) for address in addresses]
    )


async def test_update_backends(rig: Rig) -> None:
    answer = await rig.stub.UpdateBackends(
        pb.UpdateBackendsRequest(pools=[pool("blue", "127.0.0.1:99"), pool("new", "127.0.0.1:98")])
    )
    assert (answer.success, answer.pools_updated) == (True, 2)
    assert [(item.name, len(item.endpoints)) for item in rig.core.desired.pools] == [
        ("blue", 1),
        ("green", 1),
        ("new", 1),
    ]


@pytest.mark.parametrize("validate_only", [False, True])
@pytest.mark.parametrize(
    ("pools", "replace_all", "words"),
    [
        ([pool("blue", "nowhere")], False, 'pools[0].endpoints[0].address: "nowhere" is not host:port'),
        ([pool("blue", "127.0.0.1:81", "127.0.0.1:81")], False, "pools[0].endpoints[1].address: the same as"),
        ([pool("blue", "127.0.0.1:0")], False, "is not between 1 and 65535"),
        ([pool("a b")], False, "pools[0].name"),
        ([pool("green", "127.0.0.1:81")], True, 'route "shop" still uses "blue"'),
        (
            [types_pb2.BackendPool(name="pg", protocol=types_pb2.PROTOCOL_UDP)],
            False,
            "cannot speak udp",
        ),
    ],
)
async def test_bad_pools_are_refused(
    rig: Rig, pools: list[types_pb2.BackendPool], replace_all: bool, words: str, validate_only: bool
) -> None:
    with rig.untouched():
        answer = await rig.stub.UpdateBackends(
            pb.UpdateBackendsRequest(pools=pools, replace_all=replace_all, validate_only=validate_only)
        )
    assert (answer.success, answer.error.code) == (False, INVALID)
    assert any(words in text for text in answer.validation_errors), list(answer.validation_errors)
