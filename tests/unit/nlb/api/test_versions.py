"""The four RPCs about versions that an NLB answers, and the rollouts behind them, on a clock that the test moves."""

from dataclasses import replace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from marchproxy.contract.document import checksum, encode
from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.model.listener import DataPlaneKind
from marchproxy.model.module import Protocol, Version
from marchproxy.model.route import VersionWeight
from marchproxy.nlb.dataplane.plane import Choice
from marchproxy.nlb.service.memory import load
from tests.nlb_module import TinyModule, modules
from tests.unit.nlb.nlb_double import DESIRED, WEB, running_nlb

ALL_V1 = replace(WEB, version_weights=(VersionWeight(Version("v1"), 100),))
ANALYSIS = types_pb2.RolloutAnalysis(
    interval=Duration(seconds=10), min_requests=20, max_error_percent=5, max_error_increase_percent=1
)


class Bench:
    """An NLB with an instance of v1 and one of v2, whose time and counts the test owns."""

    def __init__(self, nlb, blue: TinyModule, green: TinyModule) -> None:
        self.nlb = nlb
        self.stub = nlb.versions
        self.blue, self.green = blue, green
        self.counted = {"blue": (0, 0), "green": (0, 0)}

    async def report(self, **more: tuple[int, int]) -> None:
        """Each module reports so many further (requests, failures)."""
        for module in (self.blue, self.green):
            requests, failures = more.get(module.name, (0, 0))
            before = self.counted[module.name]
            total, failed = self.counted[module.name] = (before[0] + requests, before[1] + failures)
            stats = types_pb2.ModuleStats(total_requests=total, failed_requests=failed)
            beat = nlb_pb2.HeartbeatRequest(
                instance_id=module.name,
                registration_id=module.registration_id,
                status=types_pb2.HEALTH_STATUS_HEALTHY,
                current_stats=stats,
            )
            assert (await self.nlb.stub.Heartbeat(beat)).acknowledged

    async def window(self, **more: tuple[int, int]) -> types_pb2.RolloutStatus:
        """A window passes in which each module counted so much."""
        await self.look()
        self.nlb.clock.ahead += 1.5
        await self.report()
        await self.look()
        self.nlb.clock.ahead += 10.5
        await self.report(**more)
        return await self.look()

    async def look(self) -> types_pb2.RolloutStatus:
        await self.nlb.desk.rollouts.advance()
        (rollout,) = (await self.active()).rollouts
        return rollout

    async def active(self) -> pb.GetActiveVersionResponse:
        return await self.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id="web"))

    async def weights(self) -> dict[str, int]:
        return dict((await self.active()).version_weights)

    async def promote(self, **fields) -> pb.PromoteVersionResponse:
        fields = {"version": "v2", "steps": (5, 50, 100), "route_id": "web", "analysis": ANALYSIS, **fields}
        return await self.stub.PromoteVersion(pb.PromoteVersionRequest(**fields))

    async def modified(self) -> bool:
        status = await self.nlb.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
        answer = await self.nlb.stub.GetNLBConfig(nlb_pb2.GetNLBConfigRequest())
        (config,) = answer.configs
        assert config.metadata["modified"] == status.details["config_modified"]
        assert config.metadata["document_checksum"] == status.config_checksum
        return status.details["config_modified"] == "true"


@pytest.fixture
async def bench(tmp_path):
    async with (
        running_nlb(tmp_path) as nlb,
        modules(TinyModule("blue"), TinyModule("green", "v2")) as (blue, green),
    ):
        for module in (blue, green):
            assert (await module.register(nlb.stub)).success
        await nlb.takes("blue", "green")
        await nlb.core.reload(replace(DESIRED, listeners=(ALL_V1,)))
        nlb.plane.connections = {"blue": 0, "green": 0}
        yield Bench(nlb, blue, green)


async def code_of(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details()


async def test_a_weight_reaches_the_data_plane_and_is_told(bench, tmp_path):
    assert not await bench.modified()
    answer = await bench.stub.SetTrafficWeight(pb.SetTrafficWeightRequest(version="v2", weight=25))
    assert answer.success, answer
    assert (answer.current_config.blue_weight, answer.current_config.canary_percent) == (75, 25)
    (plan,) = bench.nlb.plane.applied[-1].plan.listeners
    assert {version.version: version.weight for version in plan.versions} == {"v1": 75, "v2": 25}
    assert await bench.modified()
    saved = load(tmp_path, bench.nlb.core.now())
    assert saved.desired == bench.nlb.core.world.desired  # before it was answered
    assert (saved.checksum, saved.progress) == (bench.nlb.core.checksum, bench.nlb.core.world.progress)


async def test_roll_back_to_the_version_before_and_to_a_named_one(bench):
    none = await bench.stub.Rollback(pb.RollbackRequest())
    assert (none.success, none.error.code) == (False, types_pb2.STATUS_CODE_NOT_FOUND)
    await bench.promote(immediate=True, steps=())
    await bench.promote(immediate=True, steps=())  # said twice: still v1 is what was before
    assert await bench.weights() == {"v1": 0, "v2": 100}
    assert bench.nlb.plane.takers() == ["green"]
    parked = bench.nlb.plane.applied[-1].parked["web"]
    assert [target.instance_id for target in parked] == ["blue"]  # its connections go on
    back = await bench.stub.Rollback(pb.RollbackRequest())
    assert (back.success, back.previous_version, back.current_version) == (True, "v2", "v1")
    again = await bench.stub.Rollback(pb.RollbackRequest(target_version="v2", route_id="web"))
    assert (again.previous_version, again.current_version) == ("v1", "v2")


async def test_a_canary_goes_up_step_by_step_and_every_decision_is_told(bench):
    answer = await bench.promote()
    assert answer.message == (
        'version "v2" has 5 % now; then 5 %, 50 %, 100 % every 10 s as long as it keeps to its limits'
    )
    assert (await bench.window(green=(20, 0), blue=(400, 0))).percent == 50
    rollout = await bench.window(green=(300, 0), blue=(300, 0))
    assert (rollout.phase, rollout.percent) == ("promoted", 100)
    assert await bench.weights() == {"v1": 0, "v2": 100}
    told = [(d.verdict, d.percent_before, d.percent_after, d.canary.requests) for d in rollout.decisions]
    assert told == [("advanced", 0, 5, 0), ("advanced", 5, 50, 20), ("advanced", 50, 100, 300)]
    status = await bench.nlb.stub.GetNLBStatus(nlb_pb2.GetNLBStatusRequest())
    assert status.details["rollout web"].startswith("v2 promoted: 300 requests")


async def test_what_fails_more_often_is_rolled_back(bench):
    await bench.promote()
    rollout = await bench.window(green=(100, 3), blue=(1900, 0))
    assert (rollout.phase, await bench.weights()) == ("rolled_back", {"v1": 100, "v2": 0})
    last = rollout.decisions[-1]
    assert (last.canary.failures, last.baseline.requests) == (3, 1900)
    assert 0 < last.p_value < 0.001


async def test_a_window_waits_until_everybody_has_reported(bench):
    await bench.promote()
    await bench.look()
    bench.nlb.clock.ahead += 1.5
    await bench.report()
    await bench.look()
    before = bench.nlb.core.now()
    bench.nlb.clock.ahead += 10.5
    beat = nlb_pb2.HeartbeatRequest(
        instance_id="green",
        registration_id=bench.green.registration_id,
        status=types_pb2.HEALTH_STATUS_HEALTHY,
        current_stats=types_pb2.ModuleStats(total_requests=50),
    )
    await bench.nlb.stub.Heartbeat(beat)
    assert (await bench.look()).percent == 5  # nothing to compare with yet
    assert bench.nlb.core.member("blue").last_heard.monotonic <= before.monotonic


async def test_connections_that_fail_end_it_before_the_window_does(bench):
    await bench.promote()
    await bench.look()
    bench.nlb.plane.connections = {"blue": 200, "green": 0}
    bench.nlb.plane.failures = {"green": 10}
    rollout = await bench.look()
    assert rollout.phase == "rolled_back"
    assert "10 of the first 10 requests failed" in rollout.reason


async def test_without_traffic_it_holds(bench):
    await bench.promote()
    for _ in range(3):
        rollout = await bench.window()
        assert (rollout.phase, rollout.percent) == ("ramping", 5)
    assert rollout.reason == "held at 5 %: 0 of 20 requests seen"
    assert [decision.verdict for decision in rollout.decisions] == ["advanced", "held"]


async def test_a_version_that_is_not_ready_is_never_promoted_to(bench):
    await bench.promote()
    await bench.green.beat(bench.nlb.stub, types_pb2.HEALTH_STATUS_STOPPING)
    for version, weight in (("v2", 100), ("v2", 1)):
        request = pb.SetTrafficWeightRequest(version=version, weight=weight)
        answer = await bench.stub.SetTrafficWeight(request)
        assert (answer.success, answer.error.code) == (False, types_pb2.STATUS_CODE_UNAVAILABLE)
    opened = await bench.look()
    assert opened.percent == 5
    bench.nlb.clock.ahead += 30
    await bench.blue.beat(bench.nlb.stub)
    await bench.green.beat(bench.nlb.stub, types_pb2.HEALTH_STATUS_STOPPING)
    rollout = await bench.look()
    assert 'no instance of version "v2" is ready' in rollout.reason
    assert (rollout.phase, rollout.percent) == ("ramping", 5)


@pytest.mark.parametrize("plane", [DataPlaneKind.KERNEL, DataPlaneKind.ENVOY])
async def test_where_nobody_sees_connections_fail_nothing_is_promoted_by_them(bench, plane):
    raw = replace(ALL_V1, protocol=Protocol.TCP)
    for module in (bench.blue, bench.green):
        message = module.message()
        message.traffic_endpoints[0].protocol = types_pb2.PROTOCOL_TCP
        answer = await bench.nlb.stub.RegisterModule(nlb_pb2.RegisterModuleRequest(instance=message))
        module.registration_id = answer.registration_id
    await bench.nlb.core.reload(replace(DESIRED, listeners=(raw,)))
    await bench.nlb.takes("blue")
    bench.nlb.plane.chosen = {"web": Choice(plane, "")}
    assert (await bench.promote()).success
    await bench.look()
    bench.nlb.plane.connections = {"blue": 400, "green": 40}
    rollout = await bench.window()
    assert ("nobody sees connections fail" in rollout.reason) is (plane is DataPlaneKind.KERNEL)
    assert rollout.percent == (5 if plane is DataPlaneKind.KERNEL else 50)


async def test_a_plane_that_refuses_a_step_holds_it_and_the_next_look_tries_again(bench):
    await bench.promote()
    await bench.look()
    bench.nlb.plane.refusal = "no"
    rollout = await bench.window(green=(50, 0), blue=(400, 0))
    assert (rollout.percent, rollout.reason) == (5, "held at 5 %: no")
    bench.nlb.plane.refusal = ""
    assert (await bench.look()).percent == 50


async def test_a_shift_by_hand_ends_the_promotion(bench):
    await bench.promote()
    assert (await bench.stub.SetTrafficWeight(pb.SetTrafficWeightRequest(version="v2", weight=10))).success
    assert not (await bench.active()).rollouts
    await bench.nlb.desk.rollouts.advance()
    assert await bench.weights() == {"v1": 90, "v2": 10}


async def test_a_configuration_ends_everything_that_was_told_before(bench):
    await bench.promote()
    await bench.nlb.core.configure(replace(DESIRED, listeners=(ALL_V1,)))
    await bench.nlb.desk.rollouts.advance()
    assert not (await bench.active()).rollouts
    assert await bench.weights() == {"v1": 100}
    assert not await bench.modified()


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (pb.PromoteVersionRequest(), types_pb2.STATUS_CODE_INVALID_ARGUMENT, "version: which one?"),
        (pb.PromoteVersionRequest(version="v9"), types_pb2.STATUS_CODE_NOT_FOUND, 'no module has version "v9"'),
        (pb.PromoteVersionRequest(version="v2", route_id="x"), types_pb2.STATUS_CODE_NOT_FOUND, 'no listener "x"'),
        (pb.PromoteVersionRequest(version="v2", steps=[7, 5]), types_pb2.STATUS_CODE_INVALID_ARGUMENT, "must rise"),
        (
            pb.SetTrafficWeightRequest(weights=[types_pb2.BackendRef(pool="blue", weight=100)]),
            types_pb2.STATUS_CODE_INVALID_ARGUMENT,
            "weights: listeners have no backend pools",
        ),
        (pb.RollbackRequest(target_version="v9"), types_pb2.STATUS_CODE_NOT_FOUND, '"v9"'),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_and_changes_nothing(bench, request_, code, words):
    before = bench.nlb.core.world
    name = type(request_).__name__.removesuffix("Request")
    answer = await getattr(bench.stub, name)(request_)
    assert (answer.success, answer.error.code) == (False, code)
    assert words in answer.message
    assert (bench.nlb.core.world.desired, bench.nlb.core.world.progress) == (before.desired, before.progress)


async def test_misuse_has_a_grpc_status(bench):
    wrong = pb.GetActiveVersionRequest(instance_id="alb-1")
    assert await code_of(bench.stub.GetActiveVersion(wrong)) == (
        grpc.StatusCode.NOT_FOUND,
        'instance_id: this is the NLB "nlb-1", not "alb-1"',
    )
    unknown = pb.GetActiveVersionRequest(route_id="x")
    assert (await code_of(bench.stub.GetActiveVersion(unknown)))[0] is grpc.StatusCode.NOT_FOUND


async def test_of_the_other_rpcs_it_says_that_it_has_none(bench):
    code, words = await code_of(bench.stub.GetStatus(pb.GetStatusRequest()))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert "this is an NLB" in words

    async def stream() -> None:
        async for _ in bench.stub.StreamMetrics(pb.StreamMetricsRequest()):
            pass

    assert (await code_of(stream()))[0] is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("keep", "restated", "share"), [(False, (), 0), (True, (), 5), (True, ("other",), 5), (True, ("web",), 0)]
)
async def test_a_promotion_outlives_a_document_about_something_else(bench, tmp_path, keep, restated, share):
    assert (await bench.promote()).success
    data = encode(replace(DESIRED, listeners=(replace(ALL_V1, idle_timeout=7.0),)))
    request = nlb_pb2.UpdateNLBConfigRequest(
        config=types_pb2.ConfigUpdate(config_data=data), keep_shifts=keep, restated=restated
    )
    assert (await bench.nlb.stub.UpdateNLBConfig(request)).success
    (listener,) = bench.nlb.core.world.desired.listeners
    assert listener.idle_timeout == 7.0
    assert (await bench.weights()).get("v2", 0) == share
    assert await bench.modified() is bool(share)
    assert bench.nlb.core.checksum == checksum(data)
    assert bool(bench.nlb.core.world.progress.ramps) is bool(share)
    assert load(tmp_path, bench.nlb.core.now()).checksum == checksum(data)
