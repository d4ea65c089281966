"""NLBService over real gRPC, with a tiny module that answers CanHandle and a data plane that remembers."""

import asyncio
from dataclasses import replace

import grpc
import pytest

from marchproxy.contract.convert import listener_from_pb, route_to_pb
from marchproxy.contract.document import checksum, encode
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.nlb_pb2 import DESCRIPTOR
from marchproxy.model.limit import LimitId, RateLimit
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import ModuleType
from marchproxy.model.route import PathMatch, Route, RouteId, RouteMatch
from marchproxy.model.series import Point
from marchproxy.model.state import DesiredState
from marchproxy.nlb.state.member import Trouble
from tests.nlb_module import TinyModule, modules
from tests.unit.nlb.nlb_double import DESIRED, SHOP, WEB, running_nlb

HEALTHY = types_pb2.HEALTH_STATUS_HEALTHY


@pytest.fixture
async def nlb(tmp_path):
    async with running_nlb(tmp_path) as running:
        yield running


@pytest.fixture
async def a():
    async with modules(TinyModule("a")) as (module,):
        yield module


@pytest.fixture
async def b():
    async with modules(TinyModule("b", "v2")) as (module,):
        yield module


async def join(nlb, *wanted: TinyModule) -> None:
    for module in wanted:
        assert (await module.register(nlb.stub)).success
    await nlb.takes(*(module.name for module in wanted))


async def code_of(call) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code()


# registration


async def test_an_instance_gets_traffic_once_it_has_answered(nlb, a):
    a.service.delay = 0.05
    answer = await a.register(nlb.stub)
    assert answer.registration_id
    assert nlb.plane.takers() == []
    await nlb.takes("a")
    asked = next(route for route in a.service.asked if route.listeners)
    assert (list(asked.listeners), asked.destination_port) == (["web"], 8000)
    assert asked.module_type == types_pb2.MODULE_TYPE_ALB


async def test_one_that_says_no_gets_none_and_the_reason_is_told(nlb, a):
    a.service.can_handle = False
    await a.register(nlb.stub)
    async with asyncio.timeout(5):
        details = {}
        while "as told" not in details.get("listener.web", ""):
            info = await nlb.stub.GetModuleInfo(nlb_pb2.GetModuleInfoRequest(instance_id="a"))
            details = info.details
    assert nlb.plane.takers() == []


async def test_an_old_client_may_register_without_endpoints_and_weight(nlb, a):
    instance = types_pb2.ModuleInstance(
        instance_id="old", module_type=types_pb2.MODULE_TYPE_ALB, address=f"127.0.0.1:{a.grpc_port}"
    )
    answer = await nlb.stub.RegisterModule(nlb_pb2.RegisterModuleRequest(instance=instance))
    assert answer.success, answer
    info = await nlb.stub.GetModuleInfo(nlb_pb2.GetModuleInfoRequest(instance_id="old"))
    assert info.instance.traffic_weight == 100
    assert nlb.plane.takers() == []


async def test_a_faulty_registration_is_refused_with_every_field(nlb):
    request = nlb_pb2.RegisterModuleRequest(
        instance=types_pb2.ModuleInstance(address="nowhere", max_connections=-1),
        initial_routes=[types_pb2.Route(route_id="x", protocol=99)],
    )
    answer = await nlb.stub.RegisterModule(request)
    assert not answer.success
    assert answer.error.code == types_pb2.STATUS_CODE_INVALID_ARGUMENT
    assert set(answer.error.details) >= {
        "instance.instance_id",
        "instance.module_type",
        "instance.address",
        "instance.max_connections",
        "initial_routes[0].protocol",
    }
    assert (await nlb.stub.ListModules(nlb_pb2.ListModulesRequest())).total_modules == 0


async def test_a_registration_with_a_route_that_clashes_changes_nothing(nlb, a):
    clash = types_pb2.Route(
        route_id="other", protocol=types_pb2.PROTOCOL_HTTP, destination_pattern="shop.example"
    )
    twin = types_pb2.Route(route_id="twin", protocol=clash.protocol, destination_pattern="shop.example")
    request = nlb_pb2.RegisterModuleRequest(instance=a.message(), initial_routes=[clash, twin])
    answer = await nlb.stub.RegisterModule(request)
    assert not answer.success
    assert list(answer.error.details) == ["initial_routes[1].priority"]
    assert (await nlb.stub.ListModules(nlb_pb2.ListModulesRequest())).total_modules == 0


async def test_an_id_that_lives_elsewhere_is_refused_naming_both(nlb, a, b):
    await join(nlb, a)
    twin = b.message()
    twin.instance_id = "a"
    answer = await nlb.stub.RegisterModule(nlb_pb2.RegisterModuleRequest(instance=twin))
    assert answer.error.code == types_pb2.STATUS_CODE_ALREADY_EXISTS
    assert f":{a.grpc_port}" in answer.message
    assert f":{b.grpc_port}" in answer.message


async def test_heartbeats(nlb, a):
    assert not (await a.beat(nlb.stub)).acknowledged
    await join(nlb, a)
    answer = await nlb.stub.Heartbeat(
        nlb_pb2.HeartbeatRequest(
            instance_id="a",
            registration_id=a.registration_id,
            status=HEALTHY,
            current_stats=types_pb2.ModuleStats(total_requests=5, p99_latency_ms=1.5, active_connections=3),
            config_checksum="old",
        )
    )
    assert answer.acknowledged
    assert answer.should_reload
    assert answer.instructions["config_checksum"] == checksum(encode(DESIRED))
    info = await nlb.stub.GetModuleInfo(nlb_pb2.GetModuleInfoRequest(instance_id="a"))
    assert (info.stats.total_requests, info.stats.p99_latency_ms) == (5, 1.5)
    assert info.instance.current_connections == 3


async def test_everybody_is_told_how_many_take_traffic(nlb, a, b):
    assert (await a.register(nlb.stub)).instances_of_type == 1
    await nlb.takes("a")
    assert (await b.register(nlb.stub)).instances_of_type == 2
    await nlb.takes("a", "b")
    assert (await a.beat(nlb.stub)).instances_of_type == 2
    await b.beat(nlb.stub, types_pb2.HEALTH_STATUS_STOPPING)
    await nlb.takes("a")
    assert (await a.beat(nlb.stub)).instances_of_type == 1


async def test_a_heartbeat_with_nonsense_is_misuse(nlb, a):
    await join(nlb, a)
    request = nlb_pb2.HeartbeatRequest(
        instance_id="a",
        registration_id=a.registration_id,
        current_stats=types_pb2.ModuleStats(cpu_usage_percent=float("nan")),
    )
    assert await code_of(nlb.stub.Heartbeat(request)) is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_instance_that_falls_silent_loses_its_traffic_then_its_place(nlb, a, b):
    await join(nlb, a, b)
    nlb.clock.ahead += 35
    await b.beat(nlb.stub)
    await nlb.core.tick()
    await nlb.takes("b")
    nlb.clock.ahead += 29
    await nlb.core.tick()
    listed = await nlb.stub.ListModules(nlb_pb2.ListModulesRequest())
    assert [m.instance_id for m in listed.modules] == ["b"]


async def test_a_graceful_unregister_waits_for_connections_and_reports_them(nlb, a, b):
    await join(nlb, a, b)
    nlb.plane.connections = {"a": 3, "b": 1}
    request = nlb_pb2.UnregisterModuleRequest(
        instance_id="a", registration_id=a.registration_id, graceful=True, drain_timeout_seconds=5
    )
    async with asyncio.TaskGroup() as group:

        async def unregister():
            return await nlb.stub.UnregisterModule(request)

        counted = nlb.plane.counted
        task = group.create_task(unregister())
        await nlb.takes("b")
        assert [target.instance_id for target in nlb.plane.applied[-1].parked["web"]] == ["a"]
        async with asyncio.timeout(5):
            while nlb.plane.counted == counted:  # it has seen the three before they end
                await asyncio.sleep(0.01)
        nlb.plane.connections = {"a": 0, "b": 1}
    assert task.result().success
    assert task.result().active_connections_drained == 3
    assert nlb.core.member("a") is None


async def test_a_drain_is_answered_before_the_call_is_over(nlb, a):
    await join(nlb, a)
    nlb.plane.connections = {"a": 3}
    request = nlb_pb2.UnregisterModuleRequest(instance_id="a", graceful=True, drain_timeout_seconds=600)
    answer = await nlb.stub.UnregisterModule(request, timeout=2)
    assert (answer.success, answer.active_connections_drained) == (True, 0)
    assert "3 still open" in answer.message


@pytest.mark.parametrize(("graceful", "registration"), [(False, ""), (True, "wrong")])
async def test_unregister_at_once_or_with_a_wrong_registration(nlb, a, graceful, registration):
    await join(nlb, a)
    nlb.plane.connections = {"a": 3}
    answer = await nlb.stub.UnregisterModule(
        nlb_pb2.UnregisterModuleRequest(instance_id="a", registration_id=registration, graceful=graceful)
    )
    assert answer.success is not graceful
    assert (nlb.core.member("a") is None) is not graceful
    if graceful:
        assert answer.error.code == types_pb2.STATUS_CODE_PERMISSION_DENIED


async def test_a_new_registration_at_a_full_stop_of_the_old_one_survives_its_drain(nlb, a):
    await join(nlb, a)
    nlb.plane.connections = {"a": 1}
    request = nlb_pb2.UnregisterModuleRequest(instance_id="a", graceful=True, drain_timeout_seconds=5)
    async with asyncio.TaskGroup() as group:

        async def unregister():
            return await nlb.stub.UnregisterModule(request)

        group.create_task(unregister())
        await nlb.takes()
        await a.register(nlb.stub)
        await nlb.takes("a")
        nlb.plane.connections = {}
    assert nlb.core.member("a") is not None


async def test_lists_are_filtered_sorted_and_paged(nlb, a, b):
    await join(nlb, a, b)

    async def names(**query):
        answer = await nlb.stub.ListModules(nlb_pb2.ListModulesRequest(**query))
        return [m.instance_id for m in answer.modules], answer.total_modules

    assert await names() == (["a", "b"], 2)
    assert await names(module_type_filter=types_pb2.MODULE_TYPE_RTMP) == ([], 0)
    assert await names(status_filter=types_pb2.HEALTH_STATUS_UNHEALTHY) == ([], 0)
    version = types_pb2.Filter(field="version", operator="eq", value="v2")
    assert await names(query=types_pb2.Query(filters=[version])) == (["b"], 1)
    page = types_pb2.Query(
        sort_by="instance_id", sort_desc=True, pagination=types_pb2.Pagination(page=2, page_size=1)
    )
    assert await names(query=page) == (["a"], 2)
    bad = nlb_pb2.ListModulesRequest(query=types_pb2.Query(sort_by="shoe_size"))
    assert await code_of(nlb.stub.ListModules(bad)) is grpc.StatusCode.INVALID_ARGUMENT


# routing


async def test_routing_table_follows_updates(nlb, a):
    await join(nlb, a)
    cart = types_pb2.Route(
        route_id="cart", protocol=types_pb2.PROTOCOL_HTTP, path_pattern="/cart", priority=5
    )

    async def update(**fields):
        return await nlb.stub.UpdateRouting(nlb_pb2.UpdateRoutingRequest(**fields))

    tried = await update(routes=[cart], source_instance_id="a", validate_only=True)
    assert (tried.success, tried.routes_updated) == (True, 1)
    assert SHOP.route_id in nlb.core.world.table.entries
    assert "cart" not in nlb.core.world.table.entries
    assert (await update(routes=[cart], source_instance_id="a")).routes_updated == 1
    table = await nlb.stub.GetRoutingTable(nlb_pb2.GetRoutingTableRequest())
    assert [entry.route.route_id for entry in table.entries] == ["cart", "shop"]
    assert [entry.target_instance_id for entry in table.entries] == ["a", "a"]
    only = nlb_pb2.GetRoutingTableRequest(destination_filter="shop.example")
    assert (await nlb.stub.GetRoutingTable(only)).total_entries == 1
    gone = await update(routes=[], replace_all=True, source_instance_id="a")
    assert gone.routes_updated == 1


async def test_every_fault_of_an_update_is_reported_and_nothing_is_changed(nlb):
    before = nlb.core.world.table
    bad = [
        types_pb2.Route(route_id="x", path_pattern="no-slash", priority=-1),
        types_pb2.Route(route_id="x", path_pattern="~("),
    ]
    for validate_only in (True, False):
        answer = await nlb.stub.UpdateRouting(
            nlb_pb2.UpdateRoutingRequest(routes=bad, validate_only=validate_only)
        )
        assert not answer.success
        assert len(answer.validation_errors) >= 3
        assert nlb.core.world.table is before


async def test_delete_routing(nlb, a):
    await join(nlb, a)

    async def delete(route, **more):
        return await nlb.stub.DeleteRouting(nlb_pb2.DeleteRoutingRequest(route_id=route, **more))

    assert (
        await delete("shop", source_instance_id="a")
    ).error.code == types_pb2.STATUS_CODE_PERMISSION_DENIED
    assert (await delete("shop", validate_only=True)).success
    assert "shop" in nlb.core.world.table.entries
    assert (await delete("shop")).success
    assert (await delete("shop")).error.code == types_pb2.STATUS_CODE_NOT_FOUND


async def test_route_request_answers_from_the_plan_and_a_dry_run_leaves_no_trace(nlb, a):
    await join(nlb, a)
    request = nlb_pb2.RouteRequestRequest(
        route=types_pb2.Route(destination_pattern="shop.example:8000", path_pattern="/x?y=1"),
        context={"method": "get", "source": "192.0.2.1"},
        dry_run=True,
    )
    answer = await nlb.stub.RouteRequest(request)
    assert (answer.routed, answer.target_instance_id, answer.listener, answer.version) == (
        True,
        "a",
        "web",
        "v1",
    )
    assert answer.target_address == f"127.0.0.1:{a.traffic_port}"
    assert answer.target_endpoint == "proxied"
    assert any('route "shop"' in step for step in answer.trace)
    assert nlb.core.used == {}
    request.dry_run = False
    await nlb.stub.RouteRequest(request)
    assert list(nlb.core.used) == ["shop"]
    table = await nlb.stub.GetRoutingTable(nlb_pb2.GetRoutingTableRequest())
    assert table.entries[0].HasField("last_used")


async def test_what_cannot_be_routed_says_why(nlb, a):
    a.service.can_handle = False
    await a.register(nlb.stub)
    request = nlb_pb2.RouteRequestRequest(route=types_pb2.Route(), context={"listener": "web"})
    async with asyncio.timeout(5):
        while "as told" not in (answer := await nlb.stub.RouteRequest(request)).message:
            pass
    assert not answer.routed
    assert answer.error.code == types_pb2.STATUS_CODE_UNAVAILABLE
    assert answer.message == "no alb instance takes connections: a cannot handle it: as told"


GUARDED = replace(WEB, deny=("10.0.0.0/8",), max_connections=9, alpn=("h2",), tls=TlsTermination("/c", "/k"))
OTHER_TYPE = replace(GUARDED, name="llm", module_type=ModuleType.AILB, alpn=())
CALM = RateLimit(LimitId("calm"), "listener:web", per_second=5)
TO_LLM = Route(RouteId("v1"), RouteMatch((), PathMatch(value="/v1")), module_type=ModuleType.AILB)


async def test_a_client_that_may_not_connect_is_denied(nlb, a):
    await join(nlb, a)
    await nlb.core.configure(DesiredState((replace(WEB, deny=("10.0.0.0/8",)),), rate_limits=(CALM,)))
    request = nlb_pb2.RouteRequestRequest(
        route=types_pb2.Route(destination_port=8000), context={"client": "10.1.2.3"}
    )
    answer = await nlb.stub.RouteRequest(request)
    assert (answer.routed, answer.listener) == (False, "web")
    assert answer.error.code == types_pb2.STATUS_CODE_PERMISSION_DENIED
    request.context["client"] = "192.0.2.1"
    allowed = await nlb.stub.RouteRequest(request)
    assert allowed.routed
    assert any(step.startswith('limit "calm" on listener:web: 5 a second') for step in allowed.trace)


async def test_the_table_tells_apart_who_serves_what_at_a_shared_address(nlb, a):
    await join(nlb, a)
    shared = (WEB, replace(WEB, name="llm", module_type=ModuleType.AILB, version_weights=()))
    await nlb.core.configure(DesiredState(shared, routes=(SHOP, TO_LLM)))
    table = await nlb.stub.GetRoutingTable(nlb_pb2.GetRoutingTableRequest())
    served = {entry.route.route_id: entry.target_instance_id for entry in table.entries}
    assert served == {"shop": "a", "v1": ""}  # nobody of the type has registered
    request = nlb_pb2.RouteRequestRequest(route=types_pb2.Route(destination_port=8000, path_pattern="/v1/x"))
    answer = await nlb.stub.RouteRequest(request)
    assert (answer.listener, answer.target_module_type) == ("llm", types_pb2.MODULE_TYPE_AILB)


async def test_the_status_has_what_listeners_ask_for_and_the_limits(nlb):
    limits = (CALM, RateLimit(LimitId("all"), "*", per_second=5))
    await nlb.core.configure(DesiredState((GUARDED, OTHER_TYPE), rate_limits=limits))
    status = await nlb.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
    assert [listener_from_pb(item) for item in status.listeners] == [GUARDED, OTHER_TYPE]
    assert [item.sharing for item in status.listeners] == ["hello", "hello"]
    assert [item.limit_id for item in status.rate_limits] == ["calm"]


async def test_validate_route_asks_every_healthy_instance(nlb, a, b):
    await join(nlb, a, b)
    b.service.can_handle = False
    route = types_pb2.Route(route_id="new", protocol=types_pb2.PROTOCOL_HTTP, path_pattern="/new")
    answer = await nlb.stub.ValidateRoute(nlb_pb2.ValidateRouteRequest(route=route))
    assert (answer.valid, answer.has_handler) == (True, True)
    assert list(answer.capable_instances) == ["a"]
    assert dict(answer.details) == {"a": "as told", "b": "as told"}
    route.path_pattern = "~("
    broken = await nlb.stub.ValidateRoute(nlb_pb2.ValidateRouteRequest(route=route))
    assert not broken.valid
    assert broken.validation_errors[0].startswith("route.path")


# configuration


def document(*listeners: Listener, **more) -> types_pb2.ConfigUpdate:
    data = encode(DesiredState(listeners=listeners, routes=(SHOP,)))
    return types_pb2.ConfigUpdate(config_type="state", config_data=data, **more)


SECOND = Listener("second", "127.0.0.1", 8001)


async def update_config(nlb, config, **more):
    return await nlb.stub.UpdateNLBConfig(nlb_pb2.UpdateNLBConfigRequest(config=config, **more))


async def test_a_configuration_is_in_force_when_it_is_answered(nlb):
    answer = await update_config(nlb, document(WEB, SECOND))
    assert answer.success, answer
    assert [plan.listener.name for plan in nlb.plane.applied[-1].plan.listeners] == ["web", "second"]
    running = await nlb.stub.GetNLBConfig(nlb_pb2.GetNLBConfigRequest())
    assert running.configs[0].config_data == document(WEB, SECOND).config_data
    status = await nlb.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
    assert status.config_checksum == running.configs[0].checksum
    assert [listener_from_pb(pb) for pb in status.listeners] == [WEB, SECOND]


async def test_what_the_data_plane_refuses_changes_nothing(nlb):
    world, count = nlb.core.world, len(nlb.plane.applied)
    nlb.plane.refusal = 'listener "second": cannot listen on 127.0.0.1:8001'
    answer = await update_config(nlb, document(WEB, SECOND))
    assert (answer.success, answer.validation_passed) == (False, True)
    assert nlb.plane.refusal in answer.error.message
    assert nlb.core.world is world
    assert len(nlb.plane.applied) == count


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (types_pb2.ConfigUpdate(config_type="recipe"), 'unknown type "recipe"'),
        (document(WEB, checksum="00"), "checksum"),
        (types_pb2.ConfigUpdate(config_data=b"listeners: [{name: x}]"), "listeners[0]"),
        (types_pb2.ConfigUpdate(config_data=b"\xff"), "UTF-8"),
    ],
)
@pytest.mark.parametrize("validate_only", [True, False])
async def test_a_bad_configuration_is_refused(nlb, config, words, validate_only):
    world = nlb.core.world
    answer = await update_config(nlb, config, validate_only=validate_only)
    assert not answer.success
    assert words in " ".join(answer.validation_errors)
    assert nlb.core.world is world


async def test_validate_only_changes_nothing(nlb):
    world = nlb.core.world
    assert (await update_config(nlb, document(WEB, SECOND), validate_only=True)).success
    assert nlb.core.world is world


# health, load, metrics


async def test_health_deep_and_of_modules(nlb, a):
    async def check(**asked):
        return await nlb.stub.CheckHealth(nlb_pb2.CheckHealthRequest(**asked))

    starving = await check()
    assert starving.status == types_pb2.HEALTH_STATUS_DEGRADED
    assert "no instance takes connections of listener web" in starving.message
    await join(nlb, a)
    fine = await check(deep_check=True, check_modules=True)
    assert fine.status == HEALTHY
    assert fine.module_health["a"] == HEALTHY
    nlb.plane.away = True
    assert (await check(deep_check=True)).status == types_pb2.HEALTH_STATUS_UNHEALTHY
    assert (await check()).status == HEALTHY


async def test_load_distribution_and_rebalance(nlb, a):
    async with modules(TinyModule("c")) as (c,):
        await join(nlb, a, c)
    nlb.plane.connections = {"a": 29, "c": 9}
    load = await nlb.stub.GetLoadDistribution(nlb_pb2.GetLoadDistributionRequest())
    assert {key: info.active_connections for key, info in load.distribution.items()} == {"a": 29, "c": 9}
    assert load.balance_score == pytest.approx(0.474, abs=0.01)
    answer = await nlb.stub.RebalanceLoad(nlb_pb2.RebalanceLoadRequest())
    assert answer.success, answer
    assert dict(answer.previous_distribution) == {"a": 100, "c": 100}
    assert dict(answer.new_distribution) == {"a": 33, "c": 100}
    assert nlb.plane.connections == {"a": 29, "c": 9}  # not without force
    weights = {
        target.instance_id: target.weight
        for version in nlb.plane.applied[-1].plan.listeners[0].versions
        for target in version.targets
    }
    assert weights == {"a": 33, "c": 100}
    nlb.clock.ahead += 61
    await nlb.core.tick()
    assert nlb.core.world.rebalance.weights == {}


@pytest.mark.parametrize(
    ("closable", "closed", "left"), [(1000, {"a": 10}, {}), (4, {"a": 4}, {"a": 6}), (0, {}, {"a": 10})]
)
async def test_a_forced_rebalance_closes_what_is_too_much_and_tells(nlb, a, closable, closed, left):
    async with modules(TinyModule("c")) as (c,):
        await join(nlb, a, c)
        nlb.plane.connections, nlb.plane.closable = {"a": 30, "c": 10}, closable
        answer = await nlb.stub.RebalanceLoad(nlb_pb2.RebalanceLoadRequest(force=True))
    assert answer.success, answer
    assert (dict(answer.connections_closed), dict(answer.connections_left)) == (closed, left)


async def test_versions_with_shares_are_balanced_by_themselves(nlb, a, b):
    await join(nlb, a, b)
    nlb.plane.connections = {"a": 95, "b": 5}
    load = await nlb.stub.GetLoadDistribution(nlb_pb2.GetLoadDistributionRequest())
    assert load.balance_score == 1.0
    answer = await nlb.stub.RebalanceLoad(nlb_pb2.RebalanceLoadRequest(force=True))
    assert (dict(answer.connections_closed), nlb.plane.connections) == ({}, {"a": 95, "b": 5})


async def test_the_distribution_of_the_past_is_shown_on_request(nlb, a, b):
    await join(nlb, a, b)
    await nlb.observer.sample()
    await nlb.stub.UnregisterModule(nlb_pb2.UnregisterModuleRequest(instance_id="a"))
    await nlb.observer.sample()
    for historical, names in ((False, {"b"}), (True, {"a", "b"})):
        request = nlb_pb2.GetLoadDistributionRequest(include_historical=historical)
        assert set((await nlb.stub.GetLoadDistribution(request)).distribution) == names


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"strategy": "guess"}, types_pb2.STATUS_CODE_INVALID_ARGUMENT),
        ({"strategy": "random"}, types_pb2.STATUS_CODE_INVALID_ARGUMENT),
        ({"force": True}, types_pb2.STATUS_CODE_UNAVAILABLE),
    ],
    ids=["unknown strategy", "another strategy", "nobody there"],
)
async def test_a_rebalance_that_cannot_be(nlb, request_, code):
    answer = await nlb.stub.RebalanceLoad(nlb_pb2.RebalanceLoadRequest(**request_))
    assert not answer.success
    assert answer.error.code == code


async def test_scaling_goes_to_an_instance_of_the_type(nlb, a):
    async def scale(**fields):
        return await nlb.stub.TriggerScaling(nlb_pb2.TriggerScalingRequest(**fields))

    nobody = await scale(module_type=types_pb2.MODULE_TYPE_ALB, scaling_action="scale_up")
    assert (nobody.success, nobody.error.code) == (False, types_pb2.STATUS_CODE_UNAVAILABLE)
    await join(nlb, a)
    up = await scale(instance_id="a", scaling_action="scale_up")
    assert (up.success, up.target_instances, up.scaling_action) == (True, 2, "scale_up")
    assert a.service.scaled_to == 2
    odd = await scale(instance_id="a", scaling_action="sideways")
    assert odd.error.code == types_pb2.STATUS_CODE_INVALID_ARGUMENT


async def test_a_scaling_request_honours_its_bounds_and_is_told_to_the_modules(nlb, a):
    await join(nlb, a)
    assert not (await a.beat(nlb.stub)).should_scale

    async def scale(**config):
        return await nlb.stub.TriggerScaling(
            nlb_pb2.TriggerScalingRequest(
                instance_id="a",
                scaling_action="set",
                target_instances=9,
                config=types_pb2.ScalingConfig(**config),
            )
        )

    wrong = await scale(min_instances=5, max_instances=2)
    assert (wrong.success, wrong.error.code) == (False, types_pb2.STATUS_CODE_INVALID_ARGUMENT)
    up = await scale(min_instances=1, max_instances=3)
    assert (up.success, up.target_instances, a.service.scaled_to) == (True, 3, 3)
    beat = await a.beat(nlb.stub)
    assert (beat.should_scale, beat.instructions["instances"]) == (True, "3")
    status = await nlb.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
    assert status.details["scaling alb"].startswith("by request, up 1 → 3")
    (decision,) = status.scaling
    assert (decision.way, decision.wanted_instances, decision.manual) == ("up", 3, True)


async def test_metrics_are_kept_filtered_and_streamed(nlb, a):
    await join(nlb, a)
    nlb.plane.connections = {"a": 4}
    point = types_pb2.MetricDataPoint(name="heat", value=21, labels={"room": "1"})
    report = nlb_pb2.ReportMetricsRequest(instance_id="a", metrics=types_pb2.ModuleMetrics(metrics=[point]))
    assert (await nlb.stub.ReportMetrics(report)).acknowledged
    kept = await nlb.stub.GetModuleMetrics(
        nlb_pb2.GetModuleMetricsRequest(instance_id="a", metric_names=["heat"])
    )
    assert [(p.name, p.value, dict(p.labels)) for p in kept.metrics.metrics] == [("heat", 21, {"room": "1"})]
    await nlb.observer.sample()
    await nlb.observer.sample()
    own = await nlb.stub.GetNLBMetrics(
        nlb_pb2.GetNLBMetricsRequest(metric_names=["connections_active"], aggregate=True)
    )
    assert [(p.name, p.value) for p in own.metrics] == [("connections_active", 4)]
    stream = nlb.stub.StreamNLBMetrics(
        nlb_pb2.StreamNLBMetricsRequest(interval_seconds=1, include_modules=True, metric_names=["heat"])
    )
    first = await stream.read()
    stream.cancel()
    assert [p.name for p in first.module_metrics["a"].metrics] == ["heat"]
    stranger = nlb_pb2.ReportMetricsRequest(instance_id="nobody")
    assert not (await nlb.stub.ReportMetrics(stranger)).acknowledged
    many = types_pb2.ModuleMetrics(metrics=[point] * 201)
    assert not (
        await nlb.stub.ReportMetrics(nlb_pb2.ReportMetricsRequest(instance_id="a", metrics=many))
    ).acknowledged


@pytest.mark.parametrize(
    ("name", "reports", "value"),
    [
        ("seen_total", [{"1": 5, "2": 7}, {"1": 6}], 13),  # the newest of each, together
        ("things_active", [{"1": 4, "2": 6}, {"1": 8, "2": 2}], 10),
        ("heat", [{"1": 20, "2": 22}, {"1": 24}], 22),
    ],
)
async def test_one_value_of_many(nlb, a, name, reports, value):
    await join(nlb, a)
    for labelled in reports:
        points = [
            types_pb2.MetricDataPoint(name=name, value=value, labels={"room": room})
            for room, value in labelled.items()
        ]
        nlb.clock.ahead += 1
        metrics = types_pb2.ModuleMetrics(metrics=points)
        await nlb.stub.ReportMetrics(nlb_pb2.ReportMetricsRequest(instance_id="a", metrics=metrics))
    request = nlb_pb2.GetNLBMetricsRequest(metric_names=[name], aggregate=True)
    answer = await nlb.stub.GetNLBMetrics(request)
    assert [point.value for point in answer.module_metrics["a"].metrics] == [value]


async def test_a_long_past_is_thinned_to_what_a_client_takes(nlb, a):
    await join(nlb, a)
    points = [Point("p", 1.0, (("n", str(number)),)) for number in range(190)]
    now = nlb.clock.now().timestamp()
    nlb.observer.reported("a", [(now, point) for point in points])
    for moment in range(120):
        nlb.observer.reported("a", [(now + moment, point) for point in points])
    one = await nlb.stub.GetModuleMetrics(nlb_pb2.GetModuleMetricsRequest(instance_id="a"))
    assert 15_000 < len(one.metrics.metrics) <= 20_000
    everything = await nlb.stub.GetNLBMetrics(nlb_pb2.GetNLBMetricsRequest())
    assert 5_000 < len(everything.module_metrics["a"].metrics) <= 10_000
    newest = everything.module_metrics["a"].metrics[-1].timestamp.ToMicroseconds() / 1e6
    assert newest == pytest.approx(now + 119, abs=0.001)


async def test_trouble_is_shown_wherever_modules_are(nlb, a):
    await join(nlb, a)
    nlb.core.note_trouble("a", Trouble.CONNECTS, "9 attempts to connect failed")
    (listed,) = (await nlb.stub.ListModules(nlb_pb2.ListModulesRequest())).modules
    assert listed.health_status == types_pb2.HEALTH_STATUS_DEGRADED
    assert listed.metadata["nlb.trouble.connects"] == "9 attempts to connect failed"
    details = (await nlb.stub.GetModuleInfo(nlb_pb2.GetModuleInfoRequest(instance_id="a"))).details
    assert details["trouble.connects"] == "9 attempts to connect failed"
    assert (details["calls_failed"], details["calls_refused"], details["connects_failed"]) == ("0", "0", "0")
    assert nlb.plane.takers() == ["a"]


# misuse


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("GetModuleInfo", nlb_pb2.GetModuleInfoRequest(instance_id="x"), grpc.StatusCode.NOT_FOUND),
        ("GetModuleMetrics", nlb_pb2.GetModuleMetricsRequest(instance_id="x"), grpc.StatusCode.NOT_FOUND),
        ("UnregisterModule", nlb_pb2.UnregisterModuleRequest(instance_id="x"), grpc.StatusCode.NOT_FOUND),
        ("TriggerScaling", nlb_pb2.TriggerScalingRequest(instance_id="x"), grpc.StatusCode.NOT_FOUND),
        ("RebalanceLoad", nlb_pb2.RebalanceLoadRequest(target_instances=["x"]), grpc.StatusCode.NOT_FOUND),
        ("UpdateRouting", nlb_pb2.UpdateRoutingRequest(source_instance_id="x"), grpc.StatusCode.NOT_FOUND),
        ("RegisterModule", nlb_pb2.RegisterModuleRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        ("TriggerScaling", nlb_pb2.TriggerScalingRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        ("RouteRequest", nlb_pb2.RouteRequestRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        ("ValidateRoute", nlb_pb2.ValidateRouteRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        ("DeleteRouting", nlb_pb2.DeleteRoutingRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        ("UpdateNLBConfig", nlb_pb2.UpdateNLBConfigRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        ("GetNLBConfig", nlb_pb2.GetNLBConfigRequest(config_type="x"), grpc.StatusCode.INVALID_ARGUMENT),
        ("ListModules", nlb_pb2.ListModulesRequest(module_type_filter=77), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_misuse_is_a_grpc_status(nlb, method, request_, code):
    assert await code_of(getattr(nlb.stub, method)(request_)) is code


async def test_every_rpc_is_answered(nlb, a):
    """None of the 21 is UNIMPLEMENTED, whatever it thinks of an empty request."""
    methods = DESCRIPTOR.services_by_name["NLBService"].methods
    assert len(methods) == 21
    for method in methods:
        if method.server_streaming:
            continue
        request = getattr(nlb_pb2, method.input_type.name)()
        call = getattr(nlb.stub, method.name)(request)
        assert await call.code() in {
            grpc.StatusCode.OK,
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.NOT_FOUND,
        }, method.name


def test_the_route_of_the_fixture_is_what_is_asked():
    assert route_to_pb(SHOP).destination_pattern == "shop.example"
