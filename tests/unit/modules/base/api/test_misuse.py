"""What is no refusal but a wrong call: a gRPC status, and nothing happens."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from marchproxy.contract.pb import module_pb2 as pb
from marchproxy.contract.pb import types_pb2
from tests.unit.modules.base.api.rig import METHODS, Rig, refused

# these two are not about one instance
WITH_INSTANCE = sorted(set(METHODS) - {"CanHandle", "GetInstances"})


def test_there_are_25() -> None:
    assert len(METHODS) == 25


async def first(stream: Any) -> Any:
    async for item in stream:
        return item
    return None


@pytest.mark.parametrize("method", WITH_INSTANCE)
async def test_another_instance_is_not_here(rig: Rig, method: str) -> None:
    call = getattr(rig.stub, method)(METHODS[method](instance_id="alb-9"))
    with rig.untouched():
        status = await refused(first(call) if method == "StreamMetrics" else call)
    assert status == (grpc.StatusCode.NOT_FOUND, 'instance_id: this is "alb-1", not "alb-9"')
    assert not rig.parts.control.stop.is_set()


@pytest.mark.parametrize("method", ["GetStatus", "GetRoutes", "GetConfig", "GetStats"])
async def test_an_empty_instance_is_whoever_answers(rig: Rig, method: str) -> None:
    await getattr(rig.stub, method)(METHODS[method]())


def query(**fields: Any) -> types_pb2.Query:
    return types_pb2.Query(**fields)


WRONG_FILTER = query(filters=[types_pb2.Filter(field="colour", operator="eq", value="x")])
WRONG_OPERATOR = query(filters=[types_pb2.Filter(field="priority", operator="like", value="x")])
WRONG_PAGE = query(pagination=types_pb2.Pagination(page=-1))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.GetRoutes(pb.GetRoutesRequest(query=WRONG_FILTER)), 'query.filters[0].field: unknown field "colour"; known: '),
        (lambda s: s.GetRoutes(pb.GetRoutesRequest(query=WRONG_OPERATOR)), 'unknown operator "like"'),
        (lambda s: s.GetRoutes(pb.GetRoutesRequest(query=query(sort_by="colour"))), "query.sort_by"),
        (lambda s: s.GetBackends(pb.GetBackendsRequest(query=WRONG_FILTER)), "unknown field"),
        (lambda s: s.GetBackends(pb.GetBackendsRequest(query=WRONG_PAGE)), "query.pagination.page"),
        (lambda s: s.CanHandle(pb.CanHandleRequest(route=types_pb2.Route(protocol=99))), "route.protocol: unknown value 99"),
        (lambda s: s.GetInstances(pb.GetInstancesRequest(module_type=99)), "module_type: unknown value 99"),
        (lambda s: s.GetInstances(pb.GetInstancesRequest(status_filter=99)), "status_filter: unknown value 99"),
        (lambda s: s.GetMetrics(pb.GetMetricsRequest(start_time=Timestamp(seconds=-(10**12)))), "start_time"),
        (lambda s: s.GetMetrics(pb.GetMetricsRequest(start_time=Timestamp(seconds=9), end_time=Timestamp(seconds=8))), "end_time: is before start_time"),
        (lambda s: first(s.StreamMetrics(pb.StreamMetricsRequest(interval_seconds=-1))), "interval_seconds: -1"),
        (lambda s: first(s.StreamMetrics(pb.StreamMetricsRequest(interval_seconds=3601))), "interval_seconds: 3601"),
        (lambda s: s.GetConfig(pb.GetConfigRequest(config_type="nginx")), 'config_type: unknown type "nginx"; known: state'),
    ],
)  # fmt: skip
async def test_malformed(rig: Rig, call: Callable[[Any], Any], words: str) -> None:
    with rig.untouched():
        code, message = await refused(call(rig.stub))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in message


async def test_an_unknown_route_has_no_version(rig: Rig) -> None:
    status = await refused(rig.stub.GetActiveVersion(pb.GetActiveVersionRequest(route_id="nowhere")))
    assert status == (grpc.StatusCode.NOT_FOUND, 'route_id: no route "nowhere"')
