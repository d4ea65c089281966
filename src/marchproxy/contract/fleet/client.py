"""Calls to a running system: the NLB first, then the modules that it names."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceStub
from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceStub
from marchproxy.kit.clock import SystemClock
from marchproxy.kit.grpc.channels import ChannelLimit, ChannelPool, CircuitOpen
from marchproxy.kit.settings import HostPort

if TYPE_CHECKING:
    from marchproxy.contract.pb.module_pb2_grpc import ModuleServiceAsyncStub
    from marchproxy.contract.pb.nlb_pb2_grpc import NLBServiceAsyncStub

R = TypeVar("R")
_SECONDS = 10.0
_THE_NLB = (
    "the NLB: is it running (marchproxy up FILE)? Its address is `nlb.grpc` of its file; "
    "give it with --nlb or $MARCHPROXY_NLB"
)


class CallFailed(Exception):
    """A call that got no answer; the message says to whom, why, and what to do."""


class Client:
    """An NLB and its modules. Every call raises CallFailed."""

    def __init__(self, nlb: str, pool: ChannelPool) -> None:
        self.nlb_address = nlb
        self._pool = pool

    async def nlb(
        self,
        invoke: "Callable[[NLBServiceAsyncStub, float], Awaitable[R]]",
        *,
        timeout: float = _SECONDS,
        address: str = "",
    ) -> R:
        """Call the NLB, or the one at another `address`; `timeout` in seconds."""
        return await self._call(address or self.nlb_address, _nlb_stub, invoke, timeout, _THE_NLB)

    async def nlb_versions(
        self, invoke: "Callable[[ModuleServiceAsyncStub, float], Awaitable[R]]", *, timeout: float = _SECONDS
    ) -> R:
        """Call what the NLB itself answers of ModuleService: the RPCs about versions; `timeout` in seconds."""
        return await self._call(self.nlb_address, _module_stub, invoke, timeout, _THE_NLB)

    async def module(
        self,
        address: str,
        invoke: "Callable[[ModuleServiceAsyncStub, float], Awaitable[R]]",
        *,
        timeout: float = _SECONDS,
    ) -> R:
        """Call the module that serves gRPC at an address; `timeout` in seconds."""
        return await self._call(address, _module_stub, invoke, timeout, "a module that the NLB knows")

    async def instances(
        self, module_type: types_pb2.ModuleType.ValueType = types_pb2.MODULE_TYPE_UNSPECIFIED
    ) -> list[types_pb2.ModuleInstance]:
        """The registered instances of a type, or all of them."""
        request = nlb_pb2.ListModulesRequest(module_type_filter=module_type)
        answer = await self.nlb(lambda stub, left: stub.ListModules(request, timeout=left))
        return list(answer.modules)

    async def _call(
        self,
        address: str,
        stub: Callable[[grpc.aio.Channel], Any],
        invoke: Callable[[Any, float], Awaitable[R]],
        timeout: float,
        whom: str,
    ) -> R:
        try:
            return await self._pool.call(address, stub, invoke, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(_words(error, address, whom)) from error
        except (CircuitOpen, ChannelLimit) as error:
            raise CallFailed(str(error)) from error


@asynccontextmanager
async def connected(nlb: str) -> AsyncIterator[Client]:
    """A client for the length of the block. Raises CallFailed when `nlb` is no host:port."""
    try:
        address = str(HostPort.parse(nlb))
    except ValueError as error:
        raise CallFailed(f"{nlb}: the NLB's address {error}") from error
    pool = ChannelPool(clock=SystemClock())
    try:
        yield Client(address, pool)
    finally:
        await pool.close()


def _words(error: grpc.aio.AioRpcError, address: str, whom: str) -> str:
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return f"nobody answers at {address}, the address of {whom}"
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{address} did not answer in time"
    return f"{address}: {error.details() or error.code().name}"


def _nlb_stub(channel: grpc.aio.Channel) -> "NLBServiceAsyncStub":
    return NLBServiceStub(channel)


def _module_stub(channel: grpc.aio.Channel) -> "ModuleServiceAsyncStub":
    return ModuleServiceStub(channel)
