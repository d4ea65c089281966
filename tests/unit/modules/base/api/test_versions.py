"""Blue/green over the wire."""

import pytest
from google.protobuf.duration_pb2 import Duration

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.unit.modules.base.api.rig import Rig

INVALID, NOT_FOUND = types_pb2.STATUS_CODE_INVALID_ARGUMENT, types_pb2.STATUS_CODE_NOT_FOUND
Ref = types_pb2.BackendRef


async def shares(rig: Rig, route: str = "") -> dict[str, int]:
    return dict((await rig.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id=route))).version_weights)


async def test_set_traffic_weight(rig: Rig) -> None:
    answer = await rig.stub.SetTrafficWeight(pb.SetTrafficWeightRequest(version="v2", weight=20))
    assert (answer.success, answer.message) == (True, 'version "v2" has 20 %')
    config = answer.current_config
    assert (config.blue_version, config.blue_weight, config.green_version, config.green_weight) == (
        "v1",
        80,
        "v2",
        20,
    )
    assert (config.active_version, config.canary_enabled, config.canary_percent) == ("v1", True, 20)
    assert config.HasField("deployment_started")
    assert await shares(rig) == {"v1": 80, "v2": 20}


async def test_set_backend_weights(rig: Rig) -> None:
    weights = [Ref(pool="blue", weight=40), Ref(pool="green", weight=60)]
    answer = await rig.stub.SetTrafficWeight(pb.SetTrafficWeightRequest(route_id="shop", weights=weights))
    assert (answer.success, answer.current_config.active_version) == (True, "v2")
    assert await shares(rig, "shop") == {"v2": 60, "v1": 40}


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (pb.SetTrafficWeightRequest(version="v2", weight=-1), INVALID, "weight: -1 is not between 0 and 100"),
        (pb.SetTrafficWeightRequest(version="v2", weight=101), INVALID, "weight: 101"),
        (pb.SetTrafficWeightRequest(weight=10), INVALID, "version: which one?"),
        (pb.SetTrafficWeightRequest(version="v9", weight=10), NOT_FOUND, 'version: "v9" is in no route'),
        (pb.SetTrafficWeightRequest(version="v2", weight=10, route_id="x"), NOT_FOUND, 'no route "x"'),
        (pb.SetTrafficWeightRequest(weights=[Ref(pool="blue", weight=100)]), INVALID, "route_id"),
        (pb.SetTrafficWeightRequest(route_id="shop", weights=[Ref(pool="red", weight=1)]), NOT_FOUND, 'no backend "red"'),
        (pb.SetTrafficWeightRequest(route_id="shop", weights=[Ref(pool="blue", weight=90)]), INVALID, "add up to 90"),
        (pb.SetTrafficWeightRequest(route_id="shop", weights=[Ref(pool="blue", weight=200)]), INVALID, "between 0 and 100"),
    ],
)  # fmt: skip
async def test_refused(rig: Rig, request_: pb.SetTrafficWeightRequest, code: int, words: str) -> None:
    with rig.untouched():
        answer = await rig.stub.SetTrafficWeight(request_)
    assert (answer.success, answer.error.code) == (False, code)
    assert words in answer.message


async def test_promote_and_roll_back(rig: Rig) -> None:
    answer = await rig.stub.PromoteVersion(pb.PromoteVersionRequest(version="v2", immediate=True))
    assert (answer.success, answer.promoted_version) == (True, "v2")
    assert await shares(rig, "shop") == {"v2": 100, "v1": 0}
    back = await rig.stub.Rollback(pb.RollbackRequest())
    assert (back.success, back.previous_version, back.current_version) == (True, "v2", "v1")
    assert await shares(rig, "shop") == {"v1": 100, "v2": 0}


async def test_roll_back_to_a_name(rig: Rig) -> None:
    answer = await rig.stub.Rollback(pb.RollbackRequest(target_version="v2", route_id="shop"))
    assert (answer.success, answer.current_version) == (True, "v2")


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (pb.RollbackRequest(), NOT_FOUND, "no traffic shift to roll back"),
        (pb.RollbackRequest(target_version="v9"), NOT_FOUND, "v9"),
        (pb.RollbackRequest(route_id="x"), NOT_FOUND, 'no route "x"'),
    ],
)
async def test_roll_back_refused(rig: Rig, request_: pb.RollbackRequest, code: int, words: str) -> None:
    with rig.untouched():
        answer = await rig.stub.Rollback(request_)
    assert (answer.success, answer.error.code) == (False, code)
    assert words in answer.message


async def test_promote_step_by_step(rig: Rig) -> None:
    analysis = types_pb2.RolloutAnalysis(interval=Duration(seconds=5), min_requests=1, max_error_percent=1)
    request = pb.PromoteVersionRequest(version="v2", promotion_rate=30, route_id="shop", analysis=analysis)
    answer = await rig.stub.PromoteVersion(request)
    assert answer.success
    assert answer.message.startswith('version "v2" has 30 % now; 30 % more every 5 s')
    found = await rig.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id="shop"))
    (rollout,) = found.rollouts
    assert (rollout.version, rollout.phase, rollout.percent, rollout.route_id) == (
        "v2",
        "ramping",
        30,
        "shop",
    )
    ((verdict, before, after),) = [
        (item.verdict, item.percent_before, item.percent_after) for item in rollout.decisions
    ]
    assert (verdict, before, after) == ("advanced", 0, 30)
    assert (found.active_version, found.config.canary_percent) == ("v1", 30)
    other = await rig.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id="api"))
    assert not other.rollouts


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (pb.PromoteVersionRequest(), INVALID, "version: which one?"),
        (pb.PromoteVersionRequest(version="v9", immediate=True), NOT_FOUND, "v9"),
        (pb.PromoteVersionRequest(version="v9"), NOT_FOUND, "v9"),
        (pb.PromoteVersionRequest(version="v2", promotion_rate=101), INVALID, "promotion_rate: 101"),
        (pb.PromoteVersionRequest(version="v2", promotion_rate=-1), INVALID, "promotion_rate: -1"),
        (pb.PromoteVersionRequest(version="v2", analysis=types_pb2.RolloutAnalysis(max_error_percent=101)), INVALID, "analysis.max_error_percent"),
    ],
)  # fmt: skip
async def test_promote_refused(rig: Rig, request_: pb.PromoteVersionRequest, code: int, words: str) -> None:
    with rig.untouched():
        answer = await rig.stub.PromoteVersion(request_)
    assert (answer.success, answer.error.code, answer.promoted_version) == (False, code, "")
    assert words in answer.message
