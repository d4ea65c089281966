"""Calls to modules over real gRPC: what came of them, and what is remembered of it."""

from contextlib import suppress

import grpc
import pytest

from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc import ChannelPool
from marchproxy.model.module import HealthStatus
from marchproxy.nlb.service.asker import ModuleSilent
from marchproxy.nlb.service.modules import GrpcModules
from tests.nlb_module import Service, TinyModule
from tests.ports import free_port


class Told(Service):
    """Answers Scale and HealthCheck as it is told: with a message, or a status code."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    async def Scale(self, request, context):  # noqa: N802
        return await self._answer(context)

    async def HealthCheck(self, request, context):  # noqa: N802
        return await self._answer(context)

    async def _answer(self, context):
        if isinstance(self.answer, grpc.StatusCode):
            await context.abort(self.answer, "as told")
        return self.answer


Told.__abstractmethods__ = frozenset()


@pytest.fixture
async def calls():
    pool = ChannelPool(clock=SystemClock())
    yield GrpcModules(pool)
    await pool.close()


def refusal(code) -> module_pb2.ScaleResponse:
    return module_pb2.ScaleResponse(success=False, error=types_pb2.Error(code=code, message="no"))


@pytest.mark.parametrize(
    ("answer", "failed", "refused"),
    [
        (module_pb2.ScaleResponse(success=True), 0, 0),
        (refusal(types_pb2.STATUS_CODE_UNAVAILABLE), 0, 1),  # it has no launcher
        (refusal(types_pb2.STATUS_CODE_ERROR), 1, 0),  # its launcher does not work
        (grpc.StatusCode.UNIMPLEMENTED, 0, 1),
        (grpc.StatusCode.INTERNAL, 1, 0),
    ],
)
async def test_what_came_of_a_call_is_remembered(calls, answer, failed, refused):
    async with TinyModule("a", service=Told(answer)).running() as module:
        address = f"127.0.0.1:{module.grpc_port}"
        with suppress(ModuleSilent):
            await calls.scale(address, 2, timeout=5)
    record = calls.failings.of(address)
    assert (record.failed, record.refused) == (failed, refused)


async def test_where_nobody_listens_nothing_was_sent(calls):
    with pytest.raises(ModuleSilent) as error:
        await calls.health(f"127.0.0.1:{free_port()}", deep=False, timeout=5)
    assert (error.value.alive, error.value.sent, error.value.refused) == (False, False, True)


async def test_a_health_that_nobody_knows_is_no_answer(calls):
    answer = module_pb2.HealthCheckResponse()
    answer.status = 99
    async with TinyModule("a", service=Told(answer)).running() as module:
        with pytest.raises(ModuleSilent) as error:
            await calls.health(f"127.0.0.1:{module.grpc_port}", deep=False, timeout=5)
    assert error.value.alive


async def test_an_answer_ends_the_row(calls):
    service = Told(grpc.StatusCode.INTERNAL)
    async with TinyModule("a", service=service).running() as module:
        address = f"127.0.0.1:{module.grpc_port}"
        for _ in range(3):
            with pytest.raises(ModuleSilent):
                await calls.health(address, deep=False, timeout=5)
        assert calls.failings.of(address).trouble
        service.answer = module_pb2.HealthCheckResponse(status=types_pb2.HEALTH_STATUS_HEALTHY)
        assert (await calls.health(address, deep=False, timeout=5))[0] is HealthStatus.HEALTHY
        assert not calls.failings.of(address).trouble
        await calls.forget(address)
        assert calls.failings.of(address).failed == 0
