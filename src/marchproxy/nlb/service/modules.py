"""Modules over gRPC: the calls that the NLB makes to the ModuleService of registered instances."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import grpc

from marchproxy.contract.convert.enums import HEALTH
from marchproxy.contract.convert.instance import verdict_from_pb
from marchproxy.contract.convert.route import route_to_pb
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceStub
from marchproxy.kit.grpc.channels import ChannelLimit, ChannelPool, CircuitOpen
from marchproxy.model.module import HealthStatus
from marchproxy.model.plan import Verdict
from marchproxy.model.problem import InvalidValue
from marchproxy.model.route import Route
from marchproxy.nlb.service.asker import ModuleSilent
from marchproxy.nlb.service.failings import Failings

if TYPE_CHECKING:
    from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceAsyncStub

R = TypeVar("R")
#: Codes with which a module that is alive says no, such as an older one to an RPC that it does not know.
_NO = {
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}
_NO_ANSWER = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
# gRPC has no code for these. Should its words change, a call counts as sent, and silence as silence: the careful reading.
_UNREACHABLE = "failed to connect to all addresses"
_NOBODY = "Connection refused"


class GrpcModules:
    """Calls instances through a channel pool, which the caller closes."""

    def __init__(self, pool: ChannelPool, failings: Failings | None = None) -> None:
        """Every call's outcome goes to `failings`."""
        self._pool = pool
        self.failings = failings or Failings()

    async def can_handle(self, address: str, route: Route, *, timeout: float) -> Verdict:
        """Ask CanHandle. Raises ModuleSilent."""
        request = module_pb2.CanHandleRequest(route=route_to_pb(route))
        answer = await self._call(address, lambda stub, left: stub.CanHandle(request, timeout=left), timeout)
        self.failings.answered(address)
        return verdict_from_pb(answer)

    async def health(self, address: str, *, deep: bool, timeout: float) -> tuple[HealthStatus, str]:
        """Ask HealthCheck. Raises ModuleSilent."""
        request = module_pb2.HealthCheckRequest(deep_check=deep)
        answer = await self._call(
            address, lambda stub, left: stub.HealthCheck(request, timeout=left), timeout
        )
        try:
            status = HEALTH.from_pb(answer.status, "status") or HealthStatus.STARTING
        except InvalidValue as error:
            self.failings.failed(address, f"HealthCheck: {error}")
            raise ModuleSilent(f"{address}: {error}", alive=True) from error
        self.failings.answered(address)
        return status, answer.message

    async def scale(self, address: str, count: int, *, timeout: float) -> tuple[bool, str, int, int]:
        """Ask Scale for exactly `count` instances. Raises ModuleSilent."""
        config = types_pb2.ScalingConfig(min_instances=count, max_instances=count)
        request = module_pb2.ScaleRequest(config=config, immediate=True)
        answer = await self._call(address, lambda stub, left: stub.Scale(request, timeout=left), timeout)
        message = answer.error.message or answer.message
        if answer.success:
            self.failings.answered(address)
        elif answer.error.code == types_pb2.STATUS_CODE_ERROR:
            self.failings.failed(address, f"Scale: {message}")
        else:
            self.failings.refused(address, f"Scale: {message}")
        return answer.success, message, answer.current_instances, answer.desired_instances

    async def forget(self, address: str) -> None:
        """Close the channel to an address, and drop its record."""
        self.failings.forget(address)
        await self._pool.forget(address)

    async def _call(
        self, address: str, invoke: "Callable[[ModuleServiceAsyncStub, float], Awaitable[R]]", timeout: float
    ) -> R:
        try:
            return await self._pool.call(address, _stub, invoke, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise self._failure(address, error) from error
        except (CircuitOpen, ChannelLimit) as error:
            raise ModuleSilent(str(error), sent=False) from error

    def _failure(self, address: str, error: grpc.aio.AioRpcError) -> ModuleSilent:
        words = f"{error.code().name} {error.details()}"
        if error.code() in _NO:
            self.failings.refused(address, words)
        else:
            self.failings.failed(address, words)
        unreachable = _UNREACHABLE in words
        return ModuleSilent(
            f"{address}: {words}",
            sent=not unreachable,
            refused=unreachable and _NOBODY in words,
            alive=error.code() not in _NO_ANSWER,
        )


def _stub(channel: grpc.aio.Channel) -> "ModuleServiceAsyncStub":
    return ModuleServiceStub(channel)
