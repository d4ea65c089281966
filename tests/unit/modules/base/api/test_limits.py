"""Rate limits over the wire."""

from dataclasses import replace
from typing import Any

import pytest

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.limit import LimitId, RateLimit
from tests.unit.modules.base.api.rig import Rig


def limit(name: str = "new", target: str = "api", **rates: Any) -> types_pb2.RateLimit:
    return types_pb2.RateLimit(**{"limit_id": name, "target": target, "enabled": True, **rates})


async def listed(rig: Rig, target: str = "") -> list[str]:
    return [
        item.limit_id
        for item in (await rig.stub.GetRateLimits(pb.GetRateLimitsRequest(target=target))).limits
    ]


async def test_get(rig: Rig) -> None:
    assert await listed(rig) == ["calm"]
    assert await listed(rig, "shop") == ["calm"]
    assert await listed(rig, "api") == []


async def test_what_the_nlb_keeps_is_not_the_modules_to_tell(rig: Rig) -> None:
    ours = RateLimit(LimitId("ours"), "module:alb", per_second=1)
    await rig.core.change(lambda state: replace(state, rate_limits=(*state.rate_limits, ours)))
    assert await listed(rig) == ["calm"]
    with rig.untouched():
        answer = await rig.stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="ours"))
    assert not answer.success
    assert "is kept by the NLB: change it in the document" in answer.message


async def test_set_and_remove(rig: Rig) -> None:
    given = limit(requests_per_second=5, requests_per_minute=100, burst_size=9)
    assert (await rig.stub.SetRateLimit(pb.SetRateLimitRequest(limit=given))).message == 'limit "new" set'
    kept = (await rig.stub.GetRateLimits(pb.GetRateLimitsRequest(target="api"))).limits[0]
    assert kept == given
    assert (await rig.stub.GetRateLimits(pb.GetRateLimitsRequest())).instances_of_type == 1
    assert (await rig.stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="new"))).success
    assert await listed(rig) == ["calm"]


async def test_one_that_each_instance_grants_in_full(rig: Rig) -> None:
    given = limit(requests_per_second=5, shared=False)
    assert (await rig.stub.SetRateLimit(pb.SetRateLimitRequest(limit=given))).success
    assert rig.core.desired.rate_limits[-1].shared is False
    assert (await rig.stub.GetRateLimits(pb.GetRateLimitsRequest(target="api"))).limits[0] == given


async def test_on_everything(rig: Rig) -> None:
    assert (
        await rig.stub.SetRateLimit(pb.SetRateLimitRequest(limit=limit(target="*", requests_per_hour=9)))
    ).success


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (limit(target="nowhere", requests_per_second=1), types_pb2.STATUS_CODE_INVALID_ARGUMENT, 'no route "nowhere"'),
        (limit(target="client:10.0.0.0/8", requests_per_second=1), types_pb2.STATUS_CODE_INVALID_ARGUMENT, "is kept by the NLB"),
        (limit(), types_pb2.STATUS_CODE_INVALID_ARGUMENT, "gives no rate"),
        (limit(requests_per_second=-1), types_pb2.STATUS_CODE_INVALID_ARGUMENT, "-1 is not between 0 and"),
        (limit(requests_per_second=2**32), types_pb2.STATUS_CODE_INVALID_ARGUMENT, "is not between 0 and"),
        (limit(requests_per_minute=1, burst_size=5), types_pb2.STATUS_CODE_INVALID_ARGUMENT, "goes with requests_per_second"),
        (limit("", requests_per_second=1), types_pb2.STATUS_CODE_INVALID_ARGUMENT, "is not a name"),
        (limit(target="shop", requests_per_second=1), types_pb2.STATUS_CODE_ALREADY_EXISTS, 'already has the limit "calm"'),
    ],
)  # fmt: skip
async def test_refused(rig: Rig, given: types_pb2.RateLimit, code: int, words: str) -> None:
    with rig.untouched():
        answer = await rig.stub.SetRateLimit(pb.SetRateLimitRequest(limit=given))
    assert (answer.success, answer.error.code) == (False, code)
    assert words in answer.message


async def test_no_such_limit(rig: Rig) -> None:
    with rig.untouched():
        answer = await rig.stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="x"))
    assert (answer.success, answer.error.code) == (False, types_pb2.STATUS_CODE_NOT_FOUND)


async def test_apply_replaces_whatever_the_route_had(rig: Rig) -> None:
    request = pb.ApplyRateLimitRequest(route_id="shop", requests_per_second=3, burst_size=6, enabled=True)
    assert (await rig.stub.ApplyRateLimit(request)).success
    (kept,) = rig.core.desired.rate_limits
    assert (kept.limit_id, kept.target, kept.per_second, kept.burst, kept.enabled) == (
        "shop",
        "shop",
        3,
        6,
        True,
    )


@pytest.mark.parametrize("route", ["", "nowhere"])
async def test_apply_needs_a_route(rig: Rig, route: str) -> None:
    with rig.untouched():
        answer = await rig.stub.ApplyRateLimit(
            pb.ApplyRateLimitRequest(route_id=route, requests_per_second=1)
        )
    assert (answer.success, answer.error.code) == (False, types_pb2.STATUS_CODE_INVALID_ARGUMENT)
