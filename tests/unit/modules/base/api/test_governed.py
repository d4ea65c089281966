"""A module whose engine is given what it runs by somebody else."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marchproxy.contract.document import checksum, encode
from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.unit.modules.base.api.rig import Rig
from tests.unit.modules.doubles import STATE

ROUTE = types_pb2.Route(
    route_id="other", path_pattern="/other", response=types_pb2.DirectResponse(status=200)
)
LIMIT = types_pb2.RateLimit(limit_id="new", target="shop", requests_per_second=5)


class Governor:
    """Says what runs."""

    governor = "somebody else"
    checksum = ""


@pytest.fixture
def governor(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Governor:
    found = Governor()
    monkeypatch.setattr(rig.core, "_governed", found)
    return found


CHANGES: list[tuple[str, Callable[[Any], Awaitable[Any]]]] = [
    ("UpdateRoutes", lambda stub: stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=[ROUTE]))),
    ("validate", lambda stub: stub.UpdateRoutes(pb.UpdateRoutesRequest(routes=[ROUTE], validate_only=True))),
    ("DeleteRoute", lambda stub: stub.DeleteRoute(pb.DeleteRouteRequest(route_id="shop"))),
    ("UpdateBackends", lambda stub: stub.UpdateBackends(pb.UpdateBackendsRequest())),
    ("SetRateLimit", lambda stub: stub.SetRateLimit(pb.SetRateLimitRequest(limit=LIMIT))),
    ("RemoveRateLimit", lambda stub: stub.RemoveRateLimit(pb.RemoveRateLimitRequest(limit_id="l"))),
    ("ApplyRateLimit", lambda stub: stub.ApplyRateLimit(pb.ApplyRateLimitRequest(route_id="shop"))),
    (
        "SetTrafficWeight",
        lambda stub: stub.SetTrafficWeight(pb.SetTrafficWeightRequest(version="v1", weight=5)),
    ),
    (
        "PromoteVersion",
        lambda stub: stub.PromoteVersion(pb.PromoteVersionRequest(version="v1", immediate=True)),
    ),
    ("Rollback", lambda stub: stub.Rollback(pb.RollbackRequest(target_version="v1"))),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
async def test_nothing_is_changed_here(
    rig: Rig, governor: Governor, change: Callable[[Any], Awaitable[Any]]
) -> None:
    before, applied = rig.core.running, len(rig.engine.applied)
    answer = await change(rig.stub)
    assert not answer.success
    assert answer.error.code == types_pb2.STATUS_CODE_PERMISSION_DENIED
    assert "somebody else says what this instance runs" in answer.message
    assert (rig.core.running, len(rig.engine.applied)) == (before, applied)


async def test_it_is_told_by_documents_and_says_what_the_engine_has(rig: Rig, governor: Governor) -> None:
    data = encode(STATE)
    config = types_pb2.ConfigUpdate(config_data=data, checksum=checksum(data))
    assert (await rig.stub.UpdateConfig(pb.UpdateConfigRequest(config=config))).success
    assert (await rig.stub.GetStatus(pb.GetStatusRequest())).instance.config_checksum == ""
    governor.checksum = checksum(data)
    assert (await rig.stub.GetStatus(pb.GetStatusRequest())).instance.config_checksum == checksum(data)
    assert (await rig.stub.GetRoutes(pb.GetRoutesRequest())).total_routes == len(STATE.routes)
